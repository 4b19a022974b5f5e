"""The errors: what they carry, and that it survives pickling."""

import pickle

from kvproto.errors import (
    DataError,
    JobError,
    NoSuchTag,
    TaskError,
    Truncated,
    WaitTimeout,
    WorkerCrashed,
    WorkerHung,
    WorkerOutputError,
)


def again(error):
    return pickle.loads(pickle.dumps(error))


def test_a_job_error_keeps_the_error_of_its_task_through_pickling():
    crash = WorkerCrashed("killed", argv=["op", "map"], status=-11, pair_index=5, n_sent=7)
    for error in (TaskError("map:3 failed", cause=crash, task=("map", 3)), JobError("failed")):
        copy = again(error)
        assert (type(copy), str(copy), copy.task) == (type(error), str(error), error.task)
    copy = again(TaskError("map:3 failed", cause=crash, task=("map", 3)))
    assert isinstance(copy.cause, WorkerCrashed)
    assert (copy.cause.argv, copy.cause.signal_name, copy.cause.pair_index) == (
        ("op", "map"),
        "SIGSEGV",
        5,
    )


def test_an_error_keeps_a_cause_of_the_tree_through_pickling():
    fault = Truncated(field="key", offset=3, wanted=4, had=1, clause="FRAME-4")
    try:
        raise WorkerOutputError("bad framing") from fault
    except WorkerOutputError as error:
        copy = again(error)
    assert isinstance(copy.__cause__, Truncated)
    assert (copy.__cause__.offset, copy.__cause__.wanted) == (3, 4)


def test_errors_with_a_second_base_or_facts_of_their_own_survive_pickling():
    assert isinstance(again(WaitTimeout("not done")), TimeoutError)
    assert again(WorkerHung("stuck", timeout="idle", advice="look")).timeout == "idle"
    assert again(WorkerHung("stuck", timeout="idle", advice="look")).advice == "look"
    assert (again(NoSuchTag("none")).code, NoSuchTag("none").is_final) == (404, False)
    assert again(DataError("gone", "http://u:secret@host/", 410)).code == 410
