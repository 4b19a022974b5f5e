"""The pool of this machine: real processes, killed, failing, cancelled."""

import ctypes
import os
import select
import signal
import sys
import threading

import pytest

from kvproto.driver.program import ExternalProgram
from kvproto.engine.events import Message, Read, Retry, TaskEnded
from kvproto.engine.pool import LocalPool
from kvproto.engine.stage import Stage
from kvproto.engine.task_events import emit_read
from kvproto.errors import Cancelled, DataError, JobError, TaskError, WorkerError, WorkerReported


@pytest.fixture
def stop(tmp_path):
    """A pipe whose reading end the pool watches: what is written to it stops the pool."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def pool(tmp_path, stop):
    with LocalPool(
        2, log_directory=str(tmp_path), tmp_directory=str(tmp_path), stop_fd=stop[0]
    ) as pool:
        yield pool


def run(pool, fn, calls, retries=2):
    events = []
    results = dict(pool.run_stage(Stage("stage", calls, retries, events.append), fn))
    return results, without_ends(events)


def without_ends(events):
    """The events but those of the ends of attempts, which test_attempts is about."""
    return [event for event in events if not isinstance(event, TaskEnded)]


def first_time(path) -> bool:
    """Whether nobody has come here before, over all processes."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def end(pid):
    """Kill a process, and wait until it is dead."""
    watch = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([watch], [], [])
    os.close(watch)


def test_each_call_has_its_result(pool):
    assert run(pool, lambda n: n * n, list(range(50))) == ({n: n * n for n in range(50)}, [])


def test_no_calls_start_no_process(pool, tmp_path):
    assert run(pool, print, []) == ({}, [])
    assert os.listdir(tmp_path) == []


def test_both_processes_work_at_the_same_time(pool, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def meet(mode):  # either end opens only when the other one does
        with open(fifo, mode):
            return os.getpid()

    pids, _ = run(pool, meet, ["r", "w"])
    assert len(set(pids.values())) == 2


def test_a_second_stage_runs_its_own_function_in_the_same_processes(pool):
    first, _ = run(pool, lambda _: os.getpid(), range(20))
    second, _ = run(pool, lambda n: (os.getpid(), -n), range(20))
    assert {n for _, n in second.values()} == {-n for n in range(20)}
    assert {pid for pid, _ in second.values()} <= set(first.values())


def test_a_killed_process_costs_only_its_task_which_is_tried_again(pool, tmp_path):
    def die_once(n):
        if n == 3 and first_time(tmp_path / "mark"):
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    results, events = run(pool, die_once, range(10))
    assert results == {n: n for n in range(10)}
    [retry] = events
    assert (type(retry), retry.stage, retry.task, retry.attempt) == (Retry, "stage", 3, 1)
    assert "was killed by SIGKILL, as the kernel does when memory runs out" in retry.text


def test_a_process_that_dies_between_stages_costs_nothing(pool):
    pids, _ = run(pool, lambda _: os.getpid(), range(4))
    for pid in set(pids.values()):
        end(pid)
    results, events = run(pool, lambda n: n, range(10), retries=0)
    assert (len(results), events) == (10, [])


def fork_that_waits_for_ever():
    """Fork as C code does, which Python's own hooks do not see; the child holds all that its parent
    has open.
    """
    libc = ctypes.PyDLL(None)
    if libc.fork() == 0:
        libc.pause()


def test_a_process_that_dies_is_noticed_while_a_process_that_it_forked_lives_on(pool):
    def die(n):
        fork_that_waits_for_ever()
        os._exit(7)

    with pytest.raises(TaskError, match="ended with exit status 7"):
        run(pool, die, [0], retries=0)


def test_what_a_process_sent_before_it_died_counts(pool):
    def speak_and_die(n):
        fork_that_waits_for_ever()
        print("before the end")
        os._exit(7)

    events = []
    with pytest.raises(TaskError):
        list(pool.run_stage(Stage("stage", [0], 0, events.append), speak_and_die))
    assert [event.text for event in without_ends(events)] == ["before the end"]


def test_a_process_that_dies_between_stages_with_a_fork_of_it_alive_costs_nothing(pool):
    def fork(n):
        fork_that_waits_for_ever()
        return os.getpid()

    pids, _ = run(pool, fork, [0])
    end(pids[0])
    assert run(pool, lambda n: n, [0], retries=0) == ({0: 0}, [])


def test_a_task_that_kills_each_process_fails_after_its_retries_with_the_end_of_the_log(pool):
    def die(n):
        os.write(2, b"the last words\n")
        os._exit(7)

    with pytest.raises(TaskError) as caught:
        run(pool, die, [0])
    said = str(caught.value)
    assert "task stage:0 failed after 3 attempts" in said
    assert "ended with exit status 7" in said and "the last words" in said


def test_an_input_error_is_tried_again(pool, tmp_path):
    def unlucky(n):
        if first_time(tmp_path / f"mark-{n}"):
            raise DataError("not yet")
        return n

    results, events = run(pool, unlucky, range(3))
    assert results == {0: 0, 1: 1, 2: 2}
    assert [event.text for event in events] == ["DataError: not yet"] * 3


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), SystemExit(3), WorkerReported("it gave up")]
)
def test_what_will_not_do_better_fails_at_once(pool, tmp_path, error):
    def fail(n):
        assert first_time(tmp_path / "mark")
        raise error

    with pytest.raises(TaskError, match=r"task stage:0 failed:\n") as caught:
        run(pool, fail, [0])
    assert type(caught.value.__cause__) is type(error)


def test_a_bug_is_shown_with_the_traceback_of_the_function_and_not_of_the_engine(pool):
    def faulty(n):
        return {}["missing"]

    with pytest.raises(TaskError) as caught:
        run(pool, faulty, [0])
    said = str(caught.value)
    assert "in faulty" in said and "KeyError: 'missing'" in said
    assert "engine/task_main.py" not in said


def test_an_error_that_cannot_be_pickled_is_shown_all_the_same(pool):
    def fail(n):
        class Odd(Exception):
            def __reduce__(self):
                raise RuntimeError

        raise Odd("of a kind of its own")

    with pytest.raises(TaskError, match="of a kind of its own") as caught:
        run(pool, fail, [0])
    assert caught.value.__cause__ is None


def test_an_error_of_a_class_that_only_the_task_can_import_is_shown_all_the_same(pool, tmp_path):
    (tmp_path / "only_in_the_task.py").write_text("class Odd(Exception):\n    pass\n")

    def fail(n):
        import sys  # noqa: PLC0415

        sys.path.append(str(tmp_path))
        import only_in_the_task  # noqa: PLC0415

        raise only_in_the_task.Odd("of a kind of its own")

    with pytest.raises(TaskError, match=r"only_in_the_task.Odd: of a kind of its own") as caught:
        run(pool, fail, [0])
    assert caught.value.__cause__ is None


def test_a_worker_error_keeps_its_facts_on_the_way(pool):
    def fail(n):
        raise WorkerError(
            "it failed", argv=["op", "map"], status=-11, pair_index=5, stderr_tail=["words"]
        )

    with pytest.raises(TaskError, match="task stage:0 failed:") as caught:
        run(pool, fail, [0], retries=0)
    cause = caught.value.__cause__
    assert (cause.argv, cause.signal_name, cause.pair_index) == (("op", "map"), "SIGSEGV", 5)
    assert str(cause) in str(caught.value)


def test_what_cannot_be_sent_to_a_process_is_said_before_one_starts(pool, tmp_path):
    lock = threading.Lock()
    with pytest.raises(JobError, match=r"cannot be sent to its task processes.*lock"):
        run(pool, lambda n: lock, [0])
    assert os.listdir(tmp_path) == []


def test_events_and_prints_of_a_task_arrive_with_its_number(pool):
    def speak(n):
        print("two\nlines")
        emit_read(5, 1)
        print("unended", end="")

    _, events = run(pool, speak, [None])
    assert events == [
        Message("stage", 0, "two"),
        Message("stage", 0, "lines"),
        Read("stage", 0, 5, 1),
        Message("stage", 0, "unended"),
    ]


@pytest.fixture
def blocked(tmp_path):
    """A task function that says its pid and then waits for ever, and a way to read that pid."""
    told, never = tmp_path / "told", tmp_path / "never"
    os.mkfifo(told)
    os.mkfifo(never)

    def block(n):
        told.write_text(f"{os.getpid()}")
        never.read_text()

    return block, lambda: os.pidfd_open(int(told.read_text()))


def is_gone(watch) -> bool:
    try:
        os.waitid(os.P_PIDFD, watch, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # ours, and reaped
        return True
    finally:
        os.close(watch)
    return False


def test_a_stop_ends_the_stage_and_its_processes_and_lets_none_begin(pool, blocked, stop):
    block, watch = blocked
    watches = []

    def stop_when_it_runs():
        watches.append(watch())
        os.write(stop[1], b"stop")

    thread = threading.Thread(target=stop_when_it_runs)
    thread.start()
    with pytest.raises(Cancelled):
        run(pool, block, [0])
    thread.join()
    assert is_gone(watches[0])
    with pytest.raises(Cancelled):
        run(pool, block, [0])


def test_an_abandoned_stage_leaves_no_process_at_work(pool, blocked):
    block, watch = blocked
    stage = pool.run_stage(
        Stage("stage", [0, 1], 0, lambda event: None), lambda n: n if n == 0 else block(n)
    )
    assert next(stage) == (0, 0)
    watched = watch()
    stage.close()
    assert is_gone(watched)


MANY_FILES = f"""#!{sys.executable}
for number in range(1000):  # which take their time to be removed
    open(str(number), "w").close()
open({{told!r}}, "w").close()
open({{never!r}}).read()
"""


def test_a_stopped_task_leaves_neither_worker_program_nor_its_directory(pool, tmp_path):
    told, never = tmp_path / "told", tmp_path / "never"
    os.mkfifo(told)
    os.mkfifo(never)
    program = MANY_FILES.format(told=str(told), never=str(never)).encode()

    def map(n):
        with ExternalProgram({"op": program}) as worker:
            return n == 0 or list(worker.map(["entry"]))

    stage = pool.run_stage(Stage("stage", [0, 1], 0, lambda event: None), map)
    assert next(stage) == (0, True)
    told.read_text()
    assert list(tmp_path.glob("task-*/kvproto-*"))
    stage.close()
    assert not list(tmp_path.glob("task-*/kvproto-*"))
