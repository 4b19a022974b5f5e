"""A task that is killed at any moment while it publishes what it made is done again, and nothing of
it is there twice.
"""

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest
from support.jobs import ECHO, KEPT, RESUMABLE, program

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import nop_map, plain_output_stream
from kvproto.driver import proc
from kvproto.engine import prepared
from kvproto.errors import JobError

pytestmark = pytest.mark.slow


def kill_at_next_rename(marks, is_after):
    """Let the first process be killed at its first rename, before or after it is done, the second
    one at its second rename, and so on.
    """
    number = len(os.listdir(marks)) + 1
    rename, left = os.rename, [number]

    def lethal(*paths):
        left[0] -= 1
        if left[0]:
            return rename(*paths)
        if is_after:
            rename(*paths)
        Path(marks, f"{number}").touch()
        os.kill(os.getpid(), signal.SIGKILL)

    os.rename = lethal


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("stage", ["map alone", "map", "reduce"])
def test_a_task_that_is_killed_while_it_publishes_is_done_again_and_once(tmp_path, stage, is_after):
    marks = tmp_path / "marks"
    marks.mkdir()

    def map(entry, params):
        if stage != "reduce":
            kill_at_next_rename(str(marks), is_after)
        put("map", entry)  # noqa: F821
        return [(letter, 1) for letter in entry]

    def reduce(iter, params):
        if stage == "reduce":
            kill_at_next_rename(str(marks), is_after)
        put("reduce", "value")  # noqa: F821
        return iter

    with_reduce = {} if stage == "map alone" else {"reduce": reduce, "sort": True}
    options = {"partitions": 3, "profile": True, "processes": 1, "attempts": 8}
    job = Job("killed").run(input=["raw://abcabc"], map=map, **options, **with_reduce)
    results = job.wait()
    assert sorted(result_iterator(results)) == [(letter, 1) for letter in "aabbcc"]
    assert sorted(os.listdir(os.path.join(job.directory, "results"))) == [
        os.path.basename(path) for path in results
    ]
    assert (
        job.oob_list() == (["map"] if stage == "map alone" else ["map", "reduce"])
        and job.oob_get("map") == "abcabc"
    )
    names = [
        name
        for folder in ("oob", "profile")
        for name in os.listdir(os.path.join(job.directory, folder))
    ]
    assert not [name for name in names if name.endswith(".part")]
    left = [*KEPT, "oob", "profile", "results", "results.jsonl"]
    assert sorted(os.listdir(job.directory)) == left
    number = len(os.listdir(marks)) + 1
    assert number > 3  # it was killed at each of its renames


def state():
    """Descriptors and threads of this process, its children but the prepared process, and what is
    in the directory of temporary files.
    """
    kept = prepared._Process.prepared._popen.pid
    return (
        len(os.listdir("/proc/self/fd")),
        threading.enumerate(),
        [pid for pid in proc.children(os.getpid()) if pid != kept],
        os.listdir(os.environ["TMPDIR"]),
    )


def test_jobs_of_every_end_leave_no_descriptor_thread_process_or_file(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))

    def fail(entry, params):
        raise ValueError(entry)

    ends = [
        {"map": nop_map},
        {"map": nop_map, "reduce": lambda iter, params: iter, "sort": True},
        {
            "map": nop_map,
            "map_output_stream": [plain_output_stream],
            "reduce": lambda iter, params: [],
        },
        {"map": fail},
        {"map": nop_map, "reduce": external(["/bin/cat"])},
        {"map": external(["/bin/false"])},
        {"map": lambda entry, params: os._exit(3)},
        {"map": nop_map, "params": threading.Lock()},
    ]
    before = []
    for functions in [{"map": nop_map}, *ends, *ends]:
        job = Job("left").run(input=["raw://a b"], **functions)
        with contextlib.suppress(JobError):
            list(result_iterator(job.wait()))
        for thread in threading.enumerate():
            if thread.name == f"kvproto {job.job}":
                thread.join()
        kept = {*KEPT, *RESUMABLE, "failed", "results", "results.jsonl"}
        assert set(os.listdir(job.directory)) <= kept
        before = before or state()
    assert state() == before


@pytest.mark.parametrize("what", ["worker", "task"])
def test_a_killed_supervisor_costs_one_attempt_as_a_killed_worker_does(tmp_path, what):
    mark = tmp_path / "killed"
    once = (
        f"if not os.path.exists({str(mark)!r}):\n    open({str(mark)!r}, 'w').close()\n"
        f"    os.kill(os.getppid(), 9)\n    sys.stdin.read()\n"
    )

    def map(entry, params):
        if not os.path.exists(params):
            open(params, "w").close()
            os.kill(os.getppid(), signal.SIGKILL)
            threading.Event().wait()
        return [(b"", entry.encode())]

    function = map if what == "task" else external([program(tmp_path, once + ECHO)])
    job = Job("killed").run(input=["raw://x"], map=function, params=str(mark))
    assert list(result_iterator(job.wait())) == [(b"", b"x")]
    [text] = [event["text"] for _, event in job.events() if event["event"] == "retry"]
    assert "its supervisor" in text and "input: raw://x" in text
