"""One damaged file of the home is told by its name, and the rest goes on; what is acknowledged is
on the disk.
"""

import os
import stat
import subprocess
import threading

import pytest
from support.command_line import command_line, kvproto_command

from kvproto.classic import Job, result_iterator
from kvproto.classic.ddfs import DDFS
from kvproto.engine.events import read_event
from kvproto.errors import JobError

pytestmark = pytest.mark.slow

DAMAGES = [b"", b"[" * 100_000, "fifo"]


def damaged(path, how):
    """Put something else in the place of a file."""
    if path.exists():
        path.unlink()
    if how == "fifo":
        os.mkfifo(path)
    elif how == "directory":
        path.mkdir()
    else:
        path.write_bytes(how)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_tag_is_told_and_deleted_and_the_others_are_as_they_were(home, tmp_path, how):
    (tmp_path / "text").write_bytes(b"a\n")
    DDFS().chunk("bad", [str(tmp_path / "text")])
    DDFS().chunk("good", [str(tmp_path / "text")])
    document = home / "ddfs" / "tag" / "bad" / "0000000001.json"
    damaged(document, how)
    listed = kvproto_command("tag", "ls")
    assert (listed.returncode, listed.stdout) == (0, b"bad\ngood\n")
    assert "kvproto: tag bad" in listed.stderr.decode()
    assert str(document) in listed.stderr.decode()
    for arguments in (("get", "bad"), ("put", "bad", str(tmp_path / "text"))):
        failed = kvproto_command("tag", *arguments)
        assert (failed.returncode, failed.stdout, failed.stderr.count(b"\n")) == (1, b"", 1)
        assert str(document) in failed.stderr.decode()
    assert kvproto_command("tag", "get", "good").stdout == b"a\n"
    assert kvproto_command("tag", "put", "--replace", "good", tmp_path / "text").returncode == 0
    assert kvproto_command("tag", "rm", "good").returncode == 0
    assert kvproto_command("tag", "rm", "bad").returncode == 0
    assert DDFS().list() == []


def test_a_damaged_tag_can_be_filled_anew(home, tmp_path):
    (tmp_path / "text").write_bytes(b"a\n")
    DDFS().chunk("bad", [str(tmp_path / "text")])
    damaged(home / "ddfs" / "tag" / "bad" / "0000000001.json", b"")
    assert kvproto_command("tag", "put", "--replace", "bad", tmp_path / "text").returncode == 0
    assert kvproto_command("tag", "get", "bad").stdout == b"a\n"


def test_what_is_no_tag_in_the_directory_of_tags_does_not_matter(home):
    DDFS().tag("good", ["raw://x"])
    directory = home / "ddfs" / "tag"
    (directory / "no name").mkdir()
    (directory / "part+").symlink_to(".")
    (directory / "file").write_bytes(b"")
    assert DDFS().list() == ["good"]


EVENTS = [b"{}\n", b'{"event": "job", "time": NaN}\n', b"[" * 100_000 + b"\n", "fifo"]
EVENTS.append(b'{"event": "done", "time": 1, "results": 7, "seconds": 1}\n')


@pytest.fixture(scope="module")
def job_and_home(tmp_path_factory):
    """A job that is done, in a home that damaged ones come into."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVPROTO_HOME", str(home))
        job = Job("good").run(input=["raw://x"], map=lambda line, params: [(line, 1)])
        job.wait()
        yield job, home


@pytest.mark.parametrize("how", EVENTS)
def test_a_job_with_damaged_events_is_told_and_the_others_are_as_they_were(
    job_and_home, monkeypatch, how
):
    job, home = job_and_home
    monkeypatch.setenv("KVPROTO_HOME", str(home))
    bad = home / "jobs" / "bad@20200101-000000-00000000"
    bad.mkdir()
    damaged(bad / "events.jsonl", how)
    listed = kvproto_command("jobs")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.decode().splitlines()] == [
        "NAME",
        bad.name,
        job.name,
    ]
    assert f"kvproto: job {bad.name}: " in listed.stderr.decode()
    assert kvproto_command("results", "--out", "text", "@").stdout == b"x\t1\n"
    assert kvproto_command("wait", "@").returncode == 0
    failed = kvproto_command("results", "bad@")
    assert (failed.returncode, failed.stderr.count(b"Traceback")) == (1, 0)
    assert kvproto_command("purge", "bad@").returncode == 0
    assert not bad.exists()


@pytest.mark.parametrize("how", [b"", "directory"])
def test_what_is_no_fifo_in_the_place_of_one_is_no_driver(home, how):
    job = Job("x").run(input=["raw://x"], map=lambda line, params: [])
    job.wait()
    damaged(home / "jobs" / job.name / "control", how)
    assert "ready" in kvproto_command("jobs").stdout.decode()
    with pytest.raises(JobError, match="not active"):
        job.kill()


@pytest.mark.parametrize("how", [b"", b"skey 00000000\nx", "fifo", "directory"])
def test_a_damaged_value_is_told_and_the_others_are_listed(home, capfd, how):
    def puts(line, params):
        for key in ("good", "bad"):
            put(key, "1")  # noqa: F821
        return []

    job = Job("x").run(input=["raw://x"], map=puts)
    job.wait()
    for path in (home / "jobs" / job.name / "oob").iterdir():
        if b"bad" in path.read_bytes():
            damaged(path, how)
            break
    assert job.oob_list() == ["good"]
    assert f"is damaged: {path}: " in capfd.readouterr().err
    assert job.oob_get("good") == "1"
    with pytest.raises(JobError, match="value 'bad'"):
        job.oob_get("bad")


@pytest.mark.parametrize("how", [b"", b"\0" * 50, "fifo", "directory"])
def test_a_damaged_profile_is_an_error_that_names_it(home, how):
    job = Job("x").run(input=["raw://x"], map=lambda line, params: [], profile=True)
    job.wait()
    assert job.profile_stats().total_calls > 0
    [path] = (home / "jobs" / job.name / "profile").iterdir()
    damaged(path, how)
    done = kvproto_command("pstats", "@")
    assert done.returncode == 1
    assert f"kvproto: the profile {path} " in done.stderr.decode()


# --- what is acknowledged is on the disk -----------------------------------------------------


@pytest.fixture
def synced(monkeypatch):
    """The paths of what this process has had written to the disk so far."""
    paths = []
    fsync = os.fsync

    def noted(fd):
        paths.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


def test_a_tag_and_its_data_are_on_the_disk_when_they_are_acknowledged(home, tmp_path, synced):
    (tmp_path / "text").write_bytes(b"a\n")
    _, [[url]] = DDFS().chunk("x", [str(tmp_path / "text")])
    blob = url.removeprefix("file://")
    tag = f"{home}/ddfs/tag/x"
    written = [path for path in synced if path.startswith(f"{blob}.")]
    assert len(written) == 1
    assert synced.index(written[0]) < synced.index(os.path.dirname(blob)) < synced.index(tag)
    assert [path for path in synced if path.startswith(tag) and path.endswith(".part")]
    DDFS().delete("x")
    assert synced[-1] == tag


def test_the_results_of_a_job_are_on_the_disk_when_it_is_done(home, synced):
    job = Job("x").run(input=["raw://x"], map=lambda line, params: [(line, 1)], save=True)
    [tag] = job.wait()
    directory = job.directory
    for part in ("unfinished/", "unfinished", "results.jsonl", "events.jsonl"):
        assert [path for path in synced if path.startswith(f"{directory}/{part}")], part
    assert directory in synced
    assert f"{home}/ddfs/tag/disco:results:{job.name.replace('.', '_')}" in synced
    assert list(result_iterator([tag])) == [("x", 1)]


# --- whose it is -----------------------------------------------------------------------------


def test_the_tags_are_their_user_s_alone_whatever_the_umask(home, tmp_path):
    (tmp_path / "text").write_bytes(b"a\n")
    command = " ".join(command_line("tag", "put", "x", str(tmp_path / "text")))
    subprocess.run(["sh", "-c", f"umask 000; {command}"], check=True)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    assert modes == {0o700, 0o600}


def test_tags_in_a_home_that_others_may_write_to_are_refused(home):
    DDFS().tag("x", ["raw://x"])
    home.chmod(0o777)
    for arguments in (("ls",), ("get", "x"), ("put", "x", "raw://y"), ("rm", "x")):
        done = kvproto_command("tag", *arguments)
        assert done.returncode == 1
        assert b"other users may write to" in done.stderr


def test_tags_that_change_while_they_are_listed_are_listed(home):
    """Deleting and making tags never makes a listing fail."""
    stop = threading.Event()

    def change():
        while not stop.is_set():
            DDFS().tag("x", ["raw://x"])
            DDFS().delete("x")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(100):
            assert DDFS().list() in (["x"], [])
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "line",
    [
        '{"time": 1, "event": "done", "results": [], "seconds": %s}' % ("9" * 400),
        '{"time": %s, "event": "done", "results": [], "seconds": 1}' % ("9" * 400),
        '{"time": 1, "event": "done", "results": ["\\ud800"], "seconds": 1}',
        '{"time": 1, "event": "done", "results": ["tag://\\u001b[2J"], "seconds": 1}',
    ],
)
def test_an_event_that_no_job_writes_is_told_as_damage(line):
    with pytest.raises(ValueError, match="is an event w"):
        read_event(line.encode())
