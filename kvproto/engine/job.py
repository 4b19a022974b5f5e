"""One job from its inputs to its result files, over any engine that has `run_stage`.

Stages one after the other: all maps, then all reduces. Results count only when every task has succeeded;
a job that fails leaves its events and logs, and no results.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from kvproto.engine.events import EventLog
from kvproto.engine.output import map_kind
from kvproto.engine.plan import plan_maps, plan_reduces
from kvproto.engine.spec import InputChain, JobSpec
from kvproto.engine.tasks import MapCall, ReduceCall, map_task, reduce_task
from kvproto.errors import JobError, KVProtoError
from kvproto.storage.job_directory import JobDirectory, machine
from kvproto.storage.manifest import keep_map_results, write_manifest
from kvproto.storage.results import Result

__all__ = ["run_job"]


def run_job(
    spec: JobSpec,
    inputs: Sequence,
    directory: JobDirectory,
    engine,
    n_processes: int,
    on_event: Callable[[dict], None] | None = None,
    notes: Sequence[str] = (),
) -> list[str]:
    """Run a job and return the paths of its result files, in the order of partitions (map only: of the inputs), or its tag.

    inputs       as `kvproto.classic.schemes.find_inputs` gives them
    engine       has run_stage(name, fn, calls, retries, on_event) -> iterator of (index, result)
    n_processes  for how many the input is cut
    on_event     gets each event; what it raises stops the job
    notes        texts about the inputs, told at the start
    Raises JobError, which holds the failed task's error whole, and says so where the job is done and only its last
    event could not be told: its results are there then.
    """
    try:
        with closing(EventLog(directory.events, on_event)) as log:
            return _run_told(spec, inputs, directory, engine, n_processes, log, notes)
    finally:
        directory.tidy()


def _run_told(
    spec: JobSpec,
    inputs: Sequence,
    directory: JobDirectory,
    engine,
    n_processes: int,
    log,
    notes: Sequence[str],
) -> list[str]:
    """Run a job from its first event to its last."""
    began = time.monotonic()
    try:
        n_bytes = sum(found.n_bytes or 0 for found in inputs)
        log(
            {
                "event": "job",
                "job": directory.job,
                "inputs": len(inputs),
                "bytes": n_bytes,
                "machine": machine(),
            }
        )
        for note in notes:
            log({"event": "note", "text": note})
        results = _run_stages(spec, inputs, directory, engine, n_processes, log)
        write_manifest(directory.results, results)
        paths = directory.publish([result.path for result in results])
        if spec.save:
            paths = [spec.save(directory.job, paths)]
    except BaseException as e:
        untold = _tell_failure(log, directory, e, time.monotonic() - began)
        if isinstance(e, KVProtoError):
            message = f"job {directory.job} failed: {e}{untold}\nits logs are in {directory.path}"
            raise JobError(message) from (
                e.__cause__ if isinstance(e, JobError) else e
            )  # the task's own, where it could travel
        if untold:
            e.add_note(untold.strip())
        raise
    try:
        _tidy(log, directory)
        log({"event": "done", "results": paths, "seconds": time.monotonic() - began})
    except Exception as e:  # of the file, or whatever on_event raises
        raise JobError(
            f"job {directory.job} is done and its results are in {directory.results}, "
            f"but its last event could not be told: {type(e).__name__}: {e}"
        ) from e
    return paths


def _tell_failure(
    log: EventLog, directory: JobDirectory, error: BaseException, seconds: float
) -> str:
    """Give the last event of a job that failed; returns a line on why it could not be told, which hides no error."""
    try:
        _tidy(log, directory)
        log({"event": "failed", "text": str(error) or type(error).__name__, "seconds": seconds})
    except Exception as e:  # of the file, or whatever on_event raises
        return (
            ""
            if str(e) == str(error)
            else f"\nnor could this be told to all: {type(e).__name__}: {e}"
        )
    return ""


def _tidy(log: EventLog, directory: JobDirectory) -> None:
    """Remove what the job does not need any more. That something resists does not change how the job ended."""
    for path in directory.tidy():
        log(
            {
                "event": "note",
                "text": f"{path} could not be removed; remove it by hand: rm -r {path}",
            }
        )


def _run_stages(
    spec: JobSpec, inputs: Sequence, directory: JobDirectory, engine, n_processes: int, log
) -> list[Result]:
    """Run the map, the reduce, or both; the results are in `unfinished`, and written down beside where they will be."""
    if spec.map is None:
        by_partition = plan_reduces(inputs, spec.n_partitions)
        if (
            by_partition is None
        ):  # the inputs are not partitioned as the job wants it: a map that gives each pair as it is
            spec = replace(
                spec,
                map=_each_pair,
                map_input=spec.reduce_input,
                reduce_input=InputChain(),
                map_init=None,
                combiner=None,
                map_output_stream=(),
            )
        else:
            calls = [
                ReduceCall(number, [], splits, directory.unfinished)
                for number, splits in enumerate(by_partition)
            ]
            return _run_reduce(spec, calls, directory, engine, log)
    spec = replace(spec, n_partitions=spec.n_partitions or 1)
    is_lines = spec.map_input == InputChain() and spec.map_init is None
    tasks = plan_maps(inputs, n_processes, cut=is_lines, share=spec.map_init is None)
    target = directory.unfinished if spec.reduce is None else directory.spool
    maps = [MapCall(number, splits, target) for number, splits in enumerate(tasks)]
    n_bytes = sum(split.n_bytes for splits in tasks for split in splits)
    task = functools.partial(map_task, replace(spec, save=None), directory.path)
    mapped = _run_stage(engine, "map", task, maps, spec.attempts, n_bytes, log)
    if spec.reduce is None:
        return [result for results in mapped for result in results]
    columns = [list(column) for column in zip(*mapped)] or [[]] * spec.n_partitions
    if spec.keep_map:
        keep_map_results(directory.map_results, columns, map_kind(spec))
    calls = [
        ReduceCall(number, column, [], directory.unfinished)
        for number, column in enumerate(columns)
    ]
    return _run_reduce(spec, calls, directory, engine, log)


def _run_reduce(
    spec: JobSpec, calls: list[ReduceCall], directory: JobDirectory, engine, log
) -> list[Result]:
    n_bytes = sum(part.n_bytes for call in calls for part in (*call.segments, *call.splits))
    task = functools.partial(reduce_task, replace(spec, save=None), directory.path)
    reduced = _run_stage(engine, "reduce", task, calls, spec.attempts, n_bytes, log)
    return [result for results in reduced for result in results]


def _each_pair(entry, params) -> list:
    """The map of a reduce that has none, where its inputs have to be partitioned."""
    return [entry]


def _run_stage(
    engine, name: str, fn: Callable, calls: Sequence, attempts: int, n_bytes: int, log: EventLog
) -> list:
    """Run a stage to its end and return its results in the order of the calls."""
    log({"event": "stage", "stage": name, "tasks": len(calls), "bytes": n_bytes})
    results: list = [None] * len(calls)
    progress = {
        "event": "progress",
        "stage": name,
        "done": 0,
        "total": len(calls),
        "bytes": 0,
        "records": 0,
    }

    def on_event(event: dict) -> None:
        if event["event"] == "progress":
            progress["bytes"] += event["bytes"]
            progress["records"] += event["records"]
            log(dict(progress))
        else:
            log(event)

    for index, result in engine.run_stage(name, fn, calls, attempts - 1, on_event):
        results[index] = result
        progress["done"] += 1
        log(dict(progress))
    return results
