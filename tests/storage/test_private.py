"""The home is its user's alone, and what killed drivers have left in it is cleared up."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.command_line import kvproto_command
from support.jobs import ECHO, KEPT, program, results, words

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import nop_map
from kvproto.engine.sweep import sweep
from kvproto.errors import JobError
from kvproto.storage.home import home
from kvproto.storage.job_directory import JobPaths, machine

pytestmark = pytest.mark.slow


@pytest.fixture
def umask():
    """A function that sets the umask, for the test alone."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_all_that_is_in_the_home_is_its_users_alone_whatever_the_umask(
    tmp_path, umask, monkeypatch, mask
):
    (tmp_path / "required").write_text("text")
    (tmp_path / "required").chmod(0o755)
    echo = program(tmp_path, ECHO)
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "data" / "home"))

    def look(pairs, params):
        modes = [(path, stat.S_IMODE(os.lstat(path).st_mode)) for path in everything(params)]
        put("modes", repr(modes))  # noqa: F821
        return list(pairs)

    umask(mask)
    job = Job("private").run(
        input=["raw://a b"],
        map=external([echo]),
        reduce=look,
        params=str(tmp_path / "data"),
        sort=True,
        profile=True,
        keep_map=True,
        save=True,
        required_files=[str(tmp_path / "required")],
        status_interval=1,
    )
    job.wait()
    umask(0o022)
    while_it_ran = eval(job.oob_get("modes"))
    after_it = [
        (path, stat.S_IMODE(os.lstat(path).st_mode)) for path in everything(tmp_path / "data")
    ]
    assert len(while_it_ran) > 10 < len(after_it)
    for path, mode in while_it_ran + after_it:
        assert mode & 0o077 == 0, path
        assert mode & 0o600 == 0o600, path


def everything(top):
    """A directory and all that is below it."""
    return [str(top), *(str(path) for path in Path(top).rglob("*") if not path.is_symlink())]


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_home_that_others_may_write_to_is_refused_with_what_to_do(tmp_path, monkeypatch, mode):
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(mode)
    monkeypatch.setenv("KVPROTO_HOME", str(path))
    with pytest.raises(
        JobError,
        match=f"other users may write to {path} .*: chmod go-w {path}, or set KVPROTO_HOME",
    ):
        results(input=["raw://x"], map=words)
    assert not os.listdir(path)


@pytest.mark.skipif(os.getuid() != 0, reason="giving a directory away takes root")
def test_a_home_of_another_user_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "another"
    path.mkdir(0o700)
    os.chown(path, 65534, 65534)
    monkeypatch.setenv("KVPROTO_HOME", str(path))
    with pytest.raises(
        JobError,
        match=f"{path} belongs to another user .*; set KVPROTO_HOME to a directory of your own",
    ):
        results(input=["raw://x"], map=words)


def test_a_user_without_a_home_directory_is_told_to_give_one(tmp_path):
    code = (
        "from kvproto.cli import main; import os, pwd, sys; pwd.getpwuid = {}.__getitem__; "
        "sys.exit(main())"
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "KVPROTO_HOME", "XDG_DATA_HOME")
    }
    command = [
        sys.executable,
        "-c",
        code,
        "run",
        "-q",
        "kvproto.classic.Job",
        "-m",
        "kvproto.classic.func.nop_map",
        "raw://x",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert (
        done.stderr.startswith("kvproto: there is no place for jobs: ")
        and "set KVPROTO_HOME" in done.stderr
    )
    assert not os.listdir(tmp_path)


KILLED = """
import os, signal
from kvproto.classic import Job

def map(entry, params):
    os.kill(params, signal.SIGKILL)
    while True:
        pass

if __name__ == "__main__":
    job = Job("killed").run(input=["raw://x"], map=map, params=os.getpid(), processes=1)
    print(job.name, flush=True)
    job.wait(show=False)
"""


@pytest.mark.parametrize("by", ["the next run", "kvproto jobs"])
def test_what_a_killed_driver_has_left_is_swept(tmp_path, by):
    (tmp_path / "killed.py").write_text(KILLED)
    killed = subprocess.run(
        [sys.executable, "killed.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    paths = JobPaths(killed.stdout.strip())
    (Path(paths.oob) / "x.part").touch()
    (Path(paths.spool) / "map").touch()
    if by == "the next run":
        results(input=["raw://x"], map=nop_map)
    else:
        assert b"dead" in kvproto_command("jobs").stdout
    assert sorted(os.listdir(paths.path)) == KEPT


def test_a_job_that_runs_and_one_that_is_being_made_are_not_swept(tmp_path):
    def map(entry, params):
        before = sorted(os.listdir(params[0]))
        sweep()
        return [(before, sorted(os.listdir(params[0])))]

    os.makedirs(os.path.join(home(), "jobs", ".made@now"))
    params = [None]
    job = Job("runs")
    job.map = lambda entry, params: map(
        entry, [os.path.dirname(os.path.dirname(os.environ["TMPDIR"]))]
    )

    [(before, after)] = list(result_iterator(job.run(input=["raw://x"], params=params).wait()))
    assert before == after and "control" in before
    assert os.path.isdir(os.path.join(home(), "jobs", ".made@now"))


def test_an_old_directory_of_a_purge_that_was_killed_is_swept():
    left = Path(home(), "jobs", ".purged@then")
    (left / "results").mkdir(parents=True)
    long_ago = time.time() - 3600
    os.utime(left, (long_ago, long_ago))
    sweep()
    assert not left.exists()


def test_what_resists_removal_is_told_and_changes_nothing_about_the_job():
    def map(entry, params):
        spool = os.path.join(os.path.dirname(os.path.dirname(os.environ["TMPDIR"])), "spool")
        if os.system(f"touch {spool}/kept && chattr +i {spool}/kept 2>/dev/null"):
            put("skip", "1")  # noqa: F821
        return [(entry, spool)]

    job = Job("resists").run(input=["raw://x"], map=map, processes=1)
    job.wait()
    if job.oob_list():
        pytest.skip("no file can be made immutable here")
    spool = JobPaths(job.name).spool
    try:
        notes = [event["text"] for _, event in job.events() if event["event"] == "note"]
        assert notes == [f"{spool} could not be removed; remove it by hand: rm -r {spool}"]
        assert [event["event"] for _, event in job.events()][-1] == "done"
    finally:
        subprocess.run(["chattr", "-i", f"{spool}/kept"], check=True)


def test_a_job_that_runs_on_another_machine_with_the_same_home_is_not_swept(tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    killed = subprocess.run(
        [sys.executable, "killed.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    paths = JobPaths(killed.stdout.strip())
    events = Path(paths.events)
    events.write_text(events.read_text().replace(machine(), "another-machine"))
    before = sorted(os.listdir(paths.path))
    sweep()
    assert sorted(os.listdir(paths.path)) == before and "control" in before


@pytest.mark.parametrize("which", ["", "jobs", "ddfs"])
@pytest.mark.parametrize(
    "command",
    [
        ["jobs"],
        ["results", "@"],
        ["purge", "@"],
        ["tag", "ls"],
        ["run", "kvproto.classic.Job", "-m", "kvproto.classic.func.nop_map", "raw://x"],
    ],
)
def test_every_command_refuses_a_home_that_others_may_write_to_before_it_does_anything(
    which, command
):
    results(input=["raw://x"], map=nop_map)
    path = Path(home(), which)
    path.mkdir(exist_ok=True)
    path.chmod(0o777)
    before = everything(home())
    refused = kvproto_command(*command)
    assert refused.returncode == 1
    assert f"other users may write to {path} ".encode() in refused.stderr
    assert everything(home()) == before


def test_a_tag_that_was_never_finished_is_swept_and_one_that_is_being_written_is_not():
    old, new = (Path(home(), "ddfs", "tag", "some", f"{name}.part") for name in ("old", "new"))
    old.parent.mkdir(parents=True)
    for path in (old, new, old.with_suffix(".json")):
        path.touch()
    for path in (old, old.with_suffix(".json")):
        os.utime(path, (time.time() - 3600,) * 2)
    sweep()
    assert sorted(os.listdir(old.parent)) == ["new.part", "old.json"]
