"""Where jobs are kept: what cannot be written there is named, with the variable that chooses
another place.
"""

import errno
import json
import os
import re
import subprocess
import sys

import pytest
from support.jobs import words

from kvproto.classic import Job
from kvproto.engine.registry import all_jobs, resolve_job
from kvproto.engine.starts import started
from kvproto.errors import DataError, JobError
from kvproto.storage.atomic import naming
from kvproto.storage.job_directory import JobDirectory


def test_a_home_that_is_no_directory_is_named_with_its_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "file"))
    with pytest.raises(
        JobError,
        match=f"writing {tmp_path}/file: Not a directory; .* below {tmp_path}/file: .* "
        f"KVPROTO_HOME",
    ):
        Job("nowhere").run(input=["raw://x"], map=words)


@pytest.mark.parametrize(
    "number, error",
    [
        (errno.ENOSPC, JobError),
        (errno.EDQUOT, JobError),
        (errno.EIO, DataError),
        (errno.ESTALE, DataError),
    ],
)
def test_a_full_disk_is_no_error_that_another_try_mends(number, error, home):
    path = f"{home}/spool/map"
    with pytest.raises(error, match=path) as caught, naming(path, "writing"):
        raise OSError(number, os.strerror(number))
    assert ("KVPROTO_HOME" in str(caught.value)) == (error is JobError)


ON_A_SMALL_DISK = r"""
import os, sys
from kvproto.classic import Job, external
def map(entry, params):
    for number in range(100_000):
        yield number, f"{number:100}"
def talk(entry, params):
    for number in range(100):
        print(f"{number:1000}")
    return []
def fill(event):
    if sys.argv[1] in ("at " + event["event"], "at " + event.get("stage", "")):
        with open(os.path.join(os.environ["KVPROTO_HOME"], "filler"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                file.truncate(file.tell() - int(sys.argv[3]))
job = Job("big")
try:
    functions = {"function": map, "talker": talk}
    map = functions.get(sys.argv[2]) or external(["/bin/cat"])
    job.run(input=["raw://x"], map=map, on_event=fill).wait()
except Exception as e:
    print(type(e).__name__, e)
"""


def on_a_small_disk(directory, limit, code, *argv):
    mount = f'mount -t tmpfs -o mode=700,{limit} tmpfs "$KVPROTO_HOME" || exit 77; exec "$@"'
    shell = ["unshare", "-rm", "sh", "-c", mount, "sh", sys.executable, "-c", code, *argv]
    environment = {**os.environ, "KVPROTO_HOME": str(directory)}
    try:
        done = subprocess.run(shell, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare to make a small disk with")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be made here: {done.stderr}")
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "when, map, left, file",
    [
        ("never", "function", "0", r"unfinished/result-00000-00000\.\w+"),
        ("at job", "talker", "0", "events.jsonl"),
        (
            "at map",
            "program",
            "16384",
            r"/tmp/task-\w+",
        ),  # room for its directory, not for the program
    ],
)
def test_a_job_on_a_full_disk_says_which_file_and_what_to_do_at_once(
    tmp_path, when, map, left, file
):
    said = on_a_small_disk(tmp_path, "size=1m", ON_A_SMALL_DISK, when, map, left)
    assert said.startswith("JobError job big@")
    assert re.search(
        f"{file}: No space left on device; jobs are kept below {tmp_path}: .*KVPROTO_HOME", said
    )
    assert "attempts" not in said and "entry" not in said


def make(*names):
    """Make jobs that have ended, one after the other."""
    jobs = []
    for number, name in enumerate(names):
        directory = JobDirectory(name)
        with open(directory.events, "w") as file:
            file.write(
                json.dumps(
                    {"event": "job", "job": "", "inputs": 1, "bytes": 0, "time": 1000.5 + number}
                )
                + "\n"
            )
        directory.close()
        jobs.append(directory.job)
    return jobs


def test_a_job_is_found_by_its_name_its_beginning_or_as_the_last_one():
    count, zip, count_more, a_last = make("count", "zip", "count_more", "a_last")
    assert all_jobs() == sorted([count, zip, count_more, a_last])
    assert resolve_job(count) == count
    assert resolve_job("count@") == count
    assert resolve_job("z") == zip
    assert resolve_job("@") == a_last
    assert (started(zip), started("nobody@1")) == (1001.5, 0.0)


def test_a_name_that_means_no_job_or_several_says_which_there_are(home):
    with pytest.raises(JobError, match=f"there are no jobs in {home}; KVPROTO_HOME says"):
        resolve_job("@")
    first, second = make("count", "count")
    with pytest.raises(
        JobError,
        match=f"2 jobs begin with cou: give more of the name. The last ones:\n  {first}\n"
        f"  {second}$",
    ):
        resolve_job("cou")
    with pytest.raises(JobError, match=rf"there is no job cuont@2 in {home}; did you mean count\?"):
        resolve_job("cuont@2")
    with pytest.raises(JobError, match="there is no job  in"):
        resolve_job("")


def test_what_is_being_made_or_removed_is_no_job(home):
    [job] = make("job")
    os.mkdir(home / "jobs" / ".job@1")
    assert all_jobs() == [job]


def test_a_name_that_would_hide_the_job_is_changed():
    [job] = make("../.hidden name")
    assert job.startswith("_.hidden_name@") and all_jobs() == [job]


MADE_HALF = """
import os
from kvproto.storage.home import home
from kvproto.storage.job_directory import JobDirectory
try:
    JobDirectory("job")
except Exception as e:
    print(type(e).__name__, e)
print(os.listdir(os.path.join(home(), "jobs")))
"""


def test_a_job_directory_that_cannot_be_made_whole_leaves_nothing(tmp_path):
    said = on_a_small_disk(tmp_path, "nr_inodes=6", MADE_HALF)
    assert (
        said.startswith(f"JobError writing {tmp_path}/jobs/job@")
        and "No space left on device" in said
    )
    assert said.endswith("\n[]\n")


def test_a_job_directory_that_cannot_get_its_name_leaves_no_descriptor_open(home, monkeypatch):
    def fail(old, new):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), old)

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(JobError, match="No space left"):
        JobDirectory("job")
    assert os.listdir("/proc/self/fd") == before
    assert os.listdir(home / "jobs") == []
