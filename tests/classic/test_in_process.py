"""Jobs with processes=0: their tasks run in this process, where a debugger can stop them."""

import os
import sys
import tempfile
from bdb import BdbQuit
from pathlib import Path

import pytest
from support.jobs import COUNT, events, program

from kvproto.classic import Job, Params, external, result_iterator
from kvproto.classic.core import Disco
from kvproto.engine.task_events import emit_message
from kvproto.errors import JobError, WorkerCrashed
from kvproto.storage.control import tell_to_stop
from kvproto.storage.job_directory import JobPaths

pytestmark = pytest.mark.slow


def run(**jobargs):
    return Job("here").run(processes=0, **jobargs)


def failure(**jobargs):
    with pytest.raises(JobError) as caught:
        run(**jobargs).wait()
    return caught.value


# --- what is the same as in task processes -------------------------------------------------------


def words(line, params):
    emit_message(f"a line of {len(line)}")
    count("lines")  # noqa: F821  # a free name
    return [(word, 1) for word in line.split()]


def each(pairs, params):
    return list(pairs)


MEASURED = ("time", "seconds", "start", "end", "pid", "user", "system", "memory", "parameters")
MEASURED += ("computing", "waiting_for_input", "waiting_for_output", "program_cpu")
MEASURED += ("program_memory",)


@pytest.mark.parametrize("kind", ["function", "program"])
def test_results_and_events_are_those_of_task_processes(tmp_path, kind):
    map = words if kind == "function" else external([program(tmp_path, COUNT)])
    (tmp_path / "text").write_text("b a\nc b\n" * 50)
    jobargs = {"input": [str(tmp_path / "text")] * 2, "map": map, "sort": True, "partitions": 3}
    written, logged, names = [], [], []
    for processes in (0, 1):
        job = Job("one").run(processes=processes, reduce=each, **jobargs)
        written.append([Path(path).read_bytes() for path in job.wait()])
        names.append(job.name)
        logged.append(
            [
                str({name: value for name, value in event.items() if name not in MEASURED})
                for _, event in job.events()
                if event["event"] != "progress"
            ]
        )
    assert written[0] == written[1] and any(written[0])
    assert [text.replace(names[0], names[1]) for text in logged[0]] == logged[1]
    assert "'outcome': 'done'" in str(logged)


def nothing(entries, params):
    """As a map_init, it gives each input a task of its own."""


def test_each_task_has_fresh_params_and_the_functions_themselves():
    seen = []

    def map(line, params):
        seen.append(params.n)
        params.n += 1
        return [(params.key(line), params.n)]

    params = Params(n=1, key=str.upper)
    job = run(input=["raw://a", "raw://b"], map=map, map_init=nothing, params=params)
    assert sorted(result_iterator(job.wait())) == [("A", 2), ("B", 2)]
    assert seen == [1, 1] and params.n == 1


def test_params_that_cannot_be_copied_are_an_error_that_says_so(tmp_path):
    with open(tmp_path / "open", "w") as file:
        error = failure(input=["raw://a"], map=each, params=Params(file=file))
    assert "the job's params cannot be copied for a task: Cannot pickle files" in str(error)


# --- how it fails --------------------------------------------------------------------------------


def test_the_error_of_a_job_has_the_exception_itself_as_its_cause():
    raised = LookupError("here")

    def map(line, params):
        raise raised

    error = failure(input=["raw://a"], map=map)
    assert error.cause is raised and error.__cause__ is raised and error.task == ("map", 0)
    last = raised.__traceback__
    while last.tb_next:
        last = last.tb_next
    assert last.tb_frame.f_code is map.__code__
    assert "in map\n    raise raised\nLookupError: here\ninput: raw://a" in str(error)


@pytest.mark.parametrize(("asked", "n_attempts"), [({}, 1), ({"attempts": 2}, 2)])
def test_a_task_has_one_attempt_unless_run_is_given_a_number(tmp_path, asked, n_attempts):
    crashing = program(tmp_path, f"open({str(tmp_path / 'log')!r}, 'a').write('x'); os.abort()")
    limits = {"pinpoint": False}
    error = failure(input=["raw://a"], map=external([crashing]), ext_limits=limits, **asked)
    assert isinstance(error.cause, WorkerCrashed)
    assert (tmp_path / "log").read_text() == "x" * n_attempts


@pytest.mark.parametrize("stop", [KeyboardInterrupt, BdbQuit])
def test_ctrl_c_and_the_q_of_pdb_stop_the_job_and_are_raised(stop, capfd):
    def map(line, params):
        raise stop

    job = Job("here")
    with pytest.raises(stop):
        job.run(input=["raw://a"], map=map, processes=0)
    assert Disco().results(job.name) == ("dead", [])
    by = "Ctrl-C or a signal" if stop is KeyboardInterrupt else "the debugger"
    outcomes = [event["outcome"] for _, event in job.events() if event["event"] == "task"]
    assert outcomes == ["cancelled"]
    assert events(job)[-1]["text"] == f"the map stage was stopped by {by}"
    assert f"kvproto: job {job.name} was stopped; its logs are in" in capfd.readouterr().err
    assert not os.path.exists(JobPaths(job.name).control)


def test_the_q_of_pdb_is_no_bad_record():
    def map(line, params):
        raise BdbQuit

    with pytest.raises(BdbQuit):
        run(input=["raw://a"], map=map, max_bad_records=1)


def test_an_input_that_cannot_be_read_is_skipped_here_too(tmp_path):
    (tmp_path / "text").write_text("a\n")
    inputs = [str(tmp_path / "text"), str(tmp_path / "missing")]
    job = run(input=inputs, map=words, bad_inputs="skip")
    assert list(result_iterator(job.wait())) == [("a", 1)]


def test_a_kill_stops_the_job_before_its_next_task():
    seen = []

    def map(line, params):
        seen.append(line)
        tell_to_stop(JobPaths(this_name()).control)  # noqa: F821  # a free name
        return []

    job = Job("here")
    with pytest.raises(JobError, match="stopped by a kill"):
        job.run(input=["raw://a", "raw://b"], map=map, map_init=nothing, processes=0).wait()
    assert seen == ["a"]


def test_an_error_of_on_event_stops_the_job_even_if_a_function_catches_it():
    def on_event(event):
        if event["event"] == "message":
            raise LookupError(event["text"])

    def map(line, params):
        try:
            emit_message("no")
        except LookupError:
            return []

    job = run(input=["raw://a"], map=map, on_event=on_event)
    with pytest.raises(LookupError, match="no"):
        job.wait()


# --- what a job function leaves ------------------------------------------------------------------


def test_a_task_has_its_own_surroundings_and_the_driver_gets_its_own_back(tmp_path, capfd):
    (tmp_path / "given").write_text("text")
    before = os.getcwd(), dict(os.environ), sys.path[:], tempfile.gettempdir()

    def map(line, params):
        assert Path("given").read_text() == "text"
        assert tempfile.gettempdir() == os.environ["TMPDIR"] != before[3]
        print("as it is", line)
        os.environ["ADDED"] = "1"
        os.chdir("/")
        sys.path.append("/added")
        return [(line, 1)]

    job = run(input=["raw://a"], map=map, required_files=[str(tmp_path / "given")])
    assert list(result_iterator(job.wait())) == [("a", 1)]
    assert (os.getcwd(), dict(os.environ), sys.path[:], tempfile.gettempdir()) == before
    assert capfd.readouterr().out == "as it is a\n"
    assert not os.path.exists(JobPaths(job.name).tmp)


def test_messages_go_to_the_log_of_the_job_and_not_to_the_terminal(capfd):
    job = run(input=["raw://a b"], map=words)
    assert "a line of 3" in [event.get("text") for event in events(job)]
    assert Path(job.directory, "logs", "in-process.txt").read_text() == "a line of 3\n"
    assert capfd.readouterr().err == ""


# --- the parameter -------------------------------------------------------------------------------


def test_an_engine_elsewhere_has_processes():
    with pytest.raises(ValueError, match="processes=0 runs the tasks in this process, not on"):
        run(input=["raw://a"], map=words, engine="dask://localhost:1")


def test_a_job_function_runs_no_other_job_in_its_process():
    def map(line, params):
        return [(str(run(input=["raw://b"], map=words).wait()), 1)]

    assert "this process runs a task already" in str(failure(input=["raw://a"], map=map))


def test_a_job_that_failed_in_task_processes_is_resumed_here(tmp_path):
    ran = tmp_path / "ran"

    def map(line, params):
        with open(params, "a") as file:
            file.write(f"{line} {os.getpid()}\n")
        return [(line, 1)]

    def reduce(pairs, params):
        if not os.path.exists(f"{params}.repaired"):
            raise LookupError("it fails")
        return [("reduced in", os.getpid())]

    job = Job("again").run(input=["raw://a"], map=map, reduce=reduce, params=str(ran))
    with pytest.raises(JobError, match="it fails"):
        job.wait()
    (tmp_path / "ran.repaired").touch()
    resumed = Job(name=job.name).resume(processes=0)
    assert list(result_iterator(resumed.wait())) == [("reduced in", os.getpid())]
    assert len(ran.read_text().splitlines()) == 1
