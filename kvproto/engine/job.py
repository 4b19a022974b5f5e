"""Run one job, from its inputs to its result files, on any engine that has `run_stage`.

Stages run one after the other: all maps, merges if there are many segments, then all reduces. The
results are published when every task has succeeded. A job that fails leaves its events and logs,
but no results.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any, TypeVar

from kvproto.engine.accepting import Engine, run_stage
from kvproto.engine.bad_log import BadLog
from kvproto.engine.calls import Calls, MapCall, ReduceCall
from kvproto.engine.commands import (
    how_to_replay,
    how_to_report,
    how_to_resume,
    how_to_show_bad_records,
)
from kvproto.engine.description import details_of, parameters_of, programs_of, versions
from kvproto.engine.event_log import EventLog
from kvproto.engine.events import Counted, Done, Failed, JobStarted, Note, OnEvent, StageStarted
from kvproto.engine.journal import Journal, log_resumed, published
from kvproto.engine.map_task import map_task
from kvproto.engine.merge import Spooled, merge_calls, merge_task
from kvproto.engine.merge_plan import LIMITS, Limits, indexes_in_files, plan_merge
from kvproto.engine.plan import (
    MAX_TASK,
    MAX_TASKS,
    MIN_TASK,
    plan_maps,
    plan_reduces,
    task_bytes,
)
from kvproto.engine.reduce_task import reduce_task
from kvproto.engine.spec import InputChain, JobSpec, each_pair, resolve_map, resolve_reduce
from kvproto.errors import JobError, KVProtoError, TaskError, WorkerError
from kvproto.inputs.compressed import is_compressed
from kvproto.inputs.rows import jsonl_reader
from kvproto.inputs.schemes import Input
from kvproto.storage.job_directory import JobDirectory, JobPaths, machine, tidy
from kvproto.storage.manifest import keep_map_results, names_of, write_manifest
from kvproto.storage.results import Result
from kvproto.storage.store import is_object, store_of

__all__ = ["Engine", "run_job", "run_stages"]

_Call = TypeVar("_Call")
_Files = TypeVar("_Files")


def run_job(
    spec: JobSpec,
    inputs: Sequence[Input],
    directory: JobDirectory,
    engine: Engine,
    n_processes: int,
    on_event: Callable[[dict[str, Any]], object] | None = None,
    notes: Sequence[str] = (),
    journal: Journal | None = None,
    limits: Limits = LIMITS,
) -> list[str]:
    """Run a job, or resume it.

    Parameters
    ----------
    spec : JobSpec
        The job.
    inputs : sequence of Input
        The inputs, as `kvproto.inputs.schemes.find_inputs` returns them.
    directory : JobDirectory
        The directory for all files of the job.
    engine : Engine
        Runs the tasks.
    n_processes : int
        For how many tasks at a time to plan; of a job that is resumed, as at its start.
    on_event : callable or None
        Called with each event, a dict (`kvproto.engine.events`). An exception from it stops the
        job.
    notes : sequence of str
        Messages about the inputs, which become the first events after the start of the job.
    limits : Limits
        When the output of the maps is merged before the reduce.
    journal : Journal or None
        Gets what the tasks finish, and says which tasks need not run. None: the job cannot be
        resumed.

    Returns
    -------
    list of str
        The paths of the result files, in the order of the partitions, or of the inputs if there is
        no reduce; or the url of the job's tag.

    Raises
    ------
    JobError
        If a task failed; the message has its error. Also if the job is done but its last event
        could not be delivered; the message says where the results are.
    """
    is_done = False
    with closing(journal or Journal(directory)) as journal:
        try:
            with closing(EventLog(directory.events, on_event)) as log:
                try:
                    return _run_and_log(
                        spec, inputs, directory, engine, n_processes, log, notes, journal, limits
                    )
                finally:
                    is_done = log.is_done
        finally:
            if is_done:
                journal.remove()
            else:
                journal.remove_others((directory.unfinished, directory.spool))
            tidy(directory)


def _run_and_log(
    spec: JobSpec,
    inputs: Sequence[Input],
    directory: JobDirectory,
    engine: Engine,
    n_processes: int,
    log: EventLog,
    notes: Sequence[str],
    journal: Journal,
    limits: Limits,
) -> list[str]:
    """Run a job from its first event to its last."""
    began = time.monotonic()
    try:
        if journal.is_resumed:
            began -= log_resumed(directory, journal, log, engine.address)
        else:
            n_bytes = sum(one.n_bytes or 0 for one in inputs)
            where = machine(), engine.address
            about = parameters_of(spec, n_processes), versions(), programs_of(spec)
            log(JobStarted(directory.job, len(inputs), n_bytes, *where, *about))
        for note in notes:
            log(Note(note))
        paths = published(directory) if journal.is_resumed else None
        if paths is None:
            results = run_stages(spec, inputs, directory, engine, n_processes, log, journal, limits)
            write_manifest(directory.results, results)
            paths = directory.publish([result.path for result in results])
        if spec.save is not None:
            paths = [spec.save(directory.job, paths)]
    except BaseException as e:  # the job has failed, whatever the exception is
        if _failed_task(e):
            with suppress(JobError):  # a full disk: the error of the task counts
                journal.keep_failed()
        undelivered = _log_failure(log, directory, journal, e, time.monotonic() - began)
        if isinstance(e, KVProtoError):
            raise _job_error(directory, e, undelivered) from (
                e.__cause__ if isinstance(e, JobError) else e
            )
        if undelivered:
            e.add_note(undelivered.strip())
        raise
    try:
        _tidy(log, directory, is_done=True)
        _log_counters(log, journal)
        log(Done(paths, time.monotonic() - began, directory.job))
    except Exception as e:  # from the file, or anything that on_event raises
        raise JobError(
            f"job {directory.job} is done and its results are in {directory.results}, "
            f"but its last event could not be delivered: {type(e).__name__}: {e}"
        ) from e
    return paths


def _job_error(directory: JobDirectory, error: KVProtoError, undelivered: str) -> JobError:
    """Make the error of the job, with the text of the task's error, and that error as its cause."""
    text, brief = (
        f"job {directory.job} failed: {text}{undelivered}\nits logs are in {directory.path}"
        f"{how_to_show_bad_records(directory)}"
        f"{how_to_report(directory)}{how_to_resume(directory)}"
        f"{how_to_replay(directory, _failed_task(error))}"
        for text in (str(error), _brief(error))
    )
    if not isinstance(error, JobError):
        return JobError(text, cause=error)
    if isinstance(error.cause, WorkerError):
        # A traceback shows the cause too, after the job's text, which has the worker's stderr.
        error.cause.args = (error.cause.report(with_stderr=False),)
    return JobError(text, cause=error.cause, task=error.task, brief=brief, place=error.place)


def _failed_task(error: BaseException) -> str:
    """The task that failed for good, such as "map:17", or ""."""
    return "{}:{}".format(*error.task) if isinstance(error, TaskError) and error.task else ""


def _brief(error: BaseException) -> str:
    """The text of an error without a worker's stderr."""
    return error.report(with_stderr=False) if isinstance(error, JobError) else str(error)


def _log_failure(
    log: EventLog,
    directory: JobDirectory,
    journal: Journal,
    error: BaseException,
    seconds: float,
) -> str:
    """Log the last event of a failed job; return why it could not be delivered, or ""."""
    try:
        _tidy(log, directory)
        _log_counters(log, journal)
        text, brief = str(error) or type(error).__name__, _brief(error)
        log(Failed(text, seconds, brief if brief != text else "", details_of(error)))
    except Exception as e:  # from the file, or anything that on_event raises
        if str(e) == str(error):
            return ""
        return f"\nthe event of this failure could not be delivered: {type(e).__name__}: {e}"
    return ""


def _log_counters(log: EventLog, journal: Journal) -> None:
    if counters := journal.counters():
        log(Counted(counters))


def _tidy(log: EventLog, directory: JobDirectory, *, is_done: bool = False) -> None:
    """Remove what only a running job needs; log a note for each path that cannot be removed."""
    for path in tidy(directory, is_done=is_done):
        by_hand = "" if is_object(path) else f": rm -r {path}"
        log(Note(f"{path} could not be removed; remove it by hand{by_hand}"))


def run_stages(
    spec: JobSpec,
    inputs: Sequence[Input],
    directory: JobPaths,
    engine: Engine,
    n_processes: int,
    log: OnEvent,
    journal: Journal,
    limits: Limits,
) -> list[Result]:
    """Run the map, the reduce, or both; the result files are in the directory `unfinished`."""
    if spec.map is None:
        by_partition = plan_reduces(inputs, spec.n_partitions)
        if by_partition is not None:
            alone = [
                ReduceCall(number, None, splits, directory.unfinished)
                for number, splits in enumerate(by_partition)
            ]
            n_bytes = sum(split.n_bytes for splits in by_partition for split in splits)
            return _run_reduce(spec, alone, n_bytes, 0, directory, engine, log, journal)
        spec = _with_map(spec)
    is_lines = spec.map_input in _OF_LINES and spec.map_init is None
    if is_lines and spec.unpack:
        inputs = [_whole_if_compressed(one) for one in inputs]
    for text in _about_sizes(inputs, is_lines, n_processes):
        log(Note(text))
    tasks = plan_maps(inputs, n_processes, cut=is_lines, share=spec.map_init is None)
    map_spec = resolve_map(spec)
    target = directory.spool if map_spec.has_reduce else directory.unfinished
    in_files = indexes_in_files(len(tasks), map_spec.n_partitions, limits)
    maps = [MapCall(number, splits, target, in_files) for number, splits in enumerate(tasks)]
    n_bytes = sum(split.n_bytes for splits in tasks for split in splits)
    map_spec.max_bad = map_spec.max_bad._replace(n_bytes=n_bytes)
    task = functools.partial(map_task, map_spec, directory.shared)
    log(StageStarted("map", len(maps), n_bytes))
    mapped: list[Any]
    with BadLog(directory, map_spec.max_bad, log, journal.finished("map")) as bad:
        mapped = run_stage(
            engine, "map", task, maps, spec.attempts, directory, log, journal, bad.accept
        )
        bad.check()
    if not map_spec.has_reduce:
        return [result for results in mapped for result in results]
    spooled = Spooled(directory.spool, mapped, map_spec.n_partitions)
    spooled = _merge(spec, spooled, directory, engine, n_processes, log, journal, limits)
    if spec.keep_map and names_of(directory.map_results) is None:
        keep_map_results(directory.map_results, spooled.segments(), map_spec.kind)

    def reduce(partition: int) -> ReduceCall:
        return ReduceCall(partition, spooled.columns(partition), [], directory.unfinished)

    calls = Calls(map_spec.n_partitions, reduce)
    return _run_reduce(
        spec, calls, spooled.n_bytes, spooled.n_pairs, directory, engine, log, journal
    )


_OF_LINES = (InputChain(), InputChain((jsonl_reader,)))
"""What reads an input in parts, each of whole lines."""

_LARGE = 1 << 30
"""Bytes of an input that one task should not read alone."""


def _whole_if_compressed(one: Input) -> Input:
    """An input that is not cut if it is compressed."""
    is_small = (one.n_bytes or 0) <= MIN_TASK
    return one if is_small or not is_compressed(one) else one._replace(seekable=False)


def _about_sizes(inputs: Sequence[Input], is_lines: bool, n_processes: int) -> Iterator[str]:
    """Say which map tasks are larger than tasks usually are, and why."""
    reason = "compressed data" if is_lines else "the input of a job with a reader or a map_init"
    for one in inputs:
        if (one.n_bytes or 0) > _LARGE and not (is_lines and one.seekable):
            yield (
                f"input {one.url}: one task reads all of its {(one.n_bytes or 0) / (1 << 30):.1f} "
                f"GiB, because {reason} cannot be cut; several files can be read at a time"
            )
    n_bytes = sum(one.n_bytes or 0 for one in inputs)
    of_task = task_bytes(n_bytes, n_processes)
    if of_task > MAX_TASK:
        yield (
            f"each map task reads about {of_task >> 20:,} MiB of the {n_bytes / (1 << 40):.1f} TiB "
            f"of input, so that there are not many more than {MAX_TASKS:,} tasks"
        )


def _with_map(spec: JobSpec) -> JobSpec:
    """Add a map that passes pairs on, for a reduce whose inputs are not partitioned as it needs."""
    return replace(
        spec,
        map=each_pair,
        map_input=spec.reduce_input,
        reduce_input=InputChain(),
        map_init=None,
        combiner=None,
        map_output_stream=(),
    )


def _merge(
    spec: JobSpec,
    spooled: Spooled,
    directory: JobPaths,
    engine: Engine,
    n_processes: int,
    log: OnEvent,
    journal: Journal,
    limits: Limits,
) -> Spooled:
    """Merge what the maps wrote, where that is worth while."""
    n_maps, n_partitions, n_bytes = len(spooled.files), spooled.n_partitions, spooled.n_bytes
    request_bytes = store_of(directory.spool).request_bytes
    merge = plan_merge(n_maps, n_partitions, n_bytes, n_processes, request_bytes, limits)
    if merge is None:
        return spooled
    n_segments = n_maps * n_partitions
    log(
        Note(
            f"{n_maps:,} maps x {n_partitions:,} partitions: {n_segments:,} segments of "
            f"{n_bytes // n_segments:,} bytes on average are merged by {merge.n_tasks:,} "
            "tasks before the reduce, because reading so many would take longer"
        )
    )
    calls = merge_calls(spooled, merge, limits.task_bytes)
    log(StageStarted("merge", len(calls), n_bytes))
    merged = run_stage(engine, "merge", merge_task, calls, spec.attempts, directory, log, journal)
    return Spooled(directory.spool, merged, n_partitions, merge)


def _run_reduce(
    spec: JobSpec,
    calls: Sequence[ReduceCall],
    n_bytes: int,
    n_pairs: int,
    directory: JobPaths,
    engine: Engine,
    log: OnEvent,
    journal: Journal,
) -> list[Result]:
    reduce_spec = resolve_reduce(spec)
    n_sorted = n_pairs if reduce_spec.sort and reduce_spec.is_direct else 0
    log(StageStarted("reduce", len(calls), n_bytes, n_sorted))
    task = functools.partial(reduce_task, reduce_spec, directory.shared)
    reduced = run_stage(engine, "reduce", task, calls, spec.attempts, directory, log, journal)
    return [result for results in reduced for result in results]
