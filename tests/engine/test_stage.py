"""What engines share: the state of a stage, with a clock that the tests move."""

import os
import pickle
from pathlib import Path

import pytest

from kvproto.engine.calls import Calls
from kvproto.engine.events import Retry
from kvproto.engine.output import reduce_output
from kvproto.engine.spec import JobSpec, resolve_reduce
from kvproto.engine.stage import Attempt, Stage, portable
from kvproto.engine.task_main import Failure
from kvproto.errors import TaskError
from kvproto.storage.job_directory import JobDirectory

UNLUCKY = Failure("it failed", "it failed", None, True)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def stage(n_calls, events=None, *, retries=2, clock=None):
    on_event = ([] if events is None else events).append
    return Stage("map", range(n_calls), retries, on_event, clock or Clock())


def finish(stage, n_calls):
    for _ in range(n_calls):
        assert stage.succeeded(stage.take())


def test_calls_begin_in_order_and_then_there_are_none():
    calls = stage(2)
    assert [calls.take() for _ in range(3)] == [Attempt(0, 0), Attempt(1, 0), None]


def test_a_call_is_pickled_when_it_is_sent():
    assert pickle.loads(stage(5).call(3)) == 3


def test_a_call_that_failed_comes_first_and_its_retry_is_an_event():
    events = []
    calls = stage(3, events)
    first = calls.take()
    calls.failed(first, UNLUCKY)
    assert events == [Retry("map", 0, 1, "it failed")]
    assert calls.take() == Attempt(0, 1)


def test_a_call_fails_for_good_after_its_retries():
    calls = stage(1, retries=1)
    calls.failed(calls.take(), UNLUCKY)
    with pytest.raises(TaskError, match=r"map:0 failed after 2 attempts(.|\n)*it failed"):
        calls.failed(calls.take(), UNLUCKY)


def test_a_call_that_could_not_begin_waits_again_and_is_no_failure():
    events = []
    calls = stage(2, events)
    calls.give_back(calls.take())
    assert (calls.take(), events) == (Attempt(0, 1), [])


def test_a_second_attempt_begins_only_when_most_calls_are_done_and_one_is_slow():
    clock = Clock()
    events = []
    calls = stage(10, events, clock=clock)
    slow = calls.take()
    clock.now = 4.0
    finish(calls, 8)
    last = calls.take()
    assert calls.take_slow() is None, "8 of 10 are done"
    calls.succeeded(last)
    assert events == []
    assert calls.take_slow() == Attempt(slow.task, 1)
    assert calls.take_slow() is None, "it has two attempts already"
    [note] = events
    assert note.text.endswith(":0 is slow: a second attempt begins")


def test_a_call_that_takes_as_long_as_the_others_gets_no_second_attempt():
    clock = Clock()
    calls = stage(10, clock=clock)
    attempts = [calls.take() for _ in range(10)]
    for attempt in attempts[:9]:
        calls.succeeded(attempt, 4.0)
    clock.now = 5.0
    assert calls.take_slow() is None
    clock.now = 7.0
    assert calls.take_slow() == Attempt(9, 1)


def test_a_call_that_waited_in_the_engine_is_not_slow_for_that():
    clock = Clock()
    calls = stage(10, clock=clock)
    finish(calls, 9)
    last = calls.take()
    clock.now = 9.0
    calls.began(last)
    assert calls.take_slow() is None


def twice(events=None, **kwargs):
    """A stage in which only two attempts of the last call are left."""
    clock = Clock()
    calls = stage(10, events, clock=clock, **kwargs)
    finish(calls, 9)
    first = calls.take()
    clock.now = 9.0
    second = calls.take_slow()
    if events is not None:
        events.clear()  # the note of the second attempt
    return calls, first, second


def test_of_two_attempts_only_the_first_success_counts():
    calls, first, second = twice()
    assert calls.others(first) == [second]
    assert (calls.succeeded(second), calls.n_left) == (True, 0)
    assert (calls.succeeded(first), calls.n_left) == (False, 0)


def test_an_attempt_that_fails_after_another_succeeded_changes_nothing():
    events = []
    calls, first, second = twice(events, retries=0)
    calls.succeeded(second)
    calls.failed(first, UNLUCKY)
    assert (events, calls.take()) == ([], None)


def test_while_another_attempt_runs_a_failure_starts_no_third_one():
    events = []
    calls, first, second = twice(events, retries=0)
    calls.failed(first, UNLUCKY)
    assert (events, calls.take()) == ([Retry("map", 9, 1, "it failed")], None)
    assert calls.succeeded(second)


def test_an_error_that_no_other_attempt_avoids_ends_the_stage_while_another_runs():
    calls, first, _ = twice()
    with pytest.raises(TaskError):
        calls.failed(first, UNLUCKY._replace(may_retry=False))


def test_a_run_that_the_engine_repeats_is_a_failure_without_a_new_attempt():
    events = []
    calls = stage(1, events, retries=1)
    first = calls.take()
    calls.lost(first, "the worker died")
    assert (events, calls.take()) == ([Retry("map", 0, 1, "the worker died")], None)
    with pytest.raises(TaskError, match="the worker died"):
        calls.lost(first, "the worker died")


def test_a_run_that_the_engine_repeats_after_a_success_is_told_and_fails_nothing():
    events = []
    calls = stage(1, events, retries=0)
    first = calls.take()
    calls.succeeded(first)
    calls.lost(first, "the worker died")
    assert events == [Retry("map", 0, 1, "the worker died")]


def test_a_function_is_sent_by_value():
    assert pickle.loads(portable(lambda n: n + 1))(1) == 2


def test_of_two_attempts_that_wrote_the_same_result_one_is_published_under_the_plain_name():
    directory = JobDirectory("job")
    spec, partition = resolve_reduce(JobSpec("job", None, sorted)), 3
    results = []
    for value in ("first", "second"):
        with reduce_output(spec, partition, directory.unfinished) as output:
            output.write(0, output.encode([("key", value)]), 1)
            results += output.publish()
    directory.close()
    [path] = directory.publish([results[1].path])
    assert path == os.path.join(directory.results, "result-00003")
    assert os.listdir(directory.results) == ["result-00003"]
    assert b"second" in Path(path).read_bytes()


def test_a_call_that_is_done_already_does_not_run():
    calls = Stage("map", Calls(4, "abcd".__getitem__, done={0, 2}), 2, [].append)
    assert calls.n_left == 2
    assert [calls.take(), calls.take(), calls.take()] == [Attempt(1, 0), Attempt(3, 0), None]
