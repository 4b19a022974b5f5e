"""Run a stage of a job on an engine: accept what its tasks answer, and log how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from kvproto.engine.calls import Calls, Finished
from kvproto.engine.events import Event, OnEvent, Progress, Read, Retry
from kvproto.engine.journal import Journal
from kvproto.engine.meter import Counts
from kvproto.engine.stage import Stage
from kvproto.storage import oob
from kvproto.storage.job_directory import JobPaths

__all__ = ["Engine", "run_stage"]

_Call = TypeVar("_Call")
_Files = TypeVar("_Files")


class Engine(Protocol):
    """Runs tasks; `kvproto.engine.pool.LocalPool` is the engine for this machine.

    Attributes
    ----------
    address : str
        The `engine` parameter that finds it again; "" for this machine.
    """

    address: str

    def run_stage(self, stage: Stage, fn: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
        """Yield (index, fn(call)) for each call of the stage, in any order.

        The first success of a call counts. Nothing is run or yielded for the calls in `Calls.done`.
        """


def run_stage(
    engine: Engine,
    name: str,
    fn: Callable[[_Call], Finished[_Files]],
    calls: Sequence[_Call],
    attempts: int,
    directory: JobPaths,
    log: OnEvent,
    journal: Journal,
    on_accept: Callable[[int, Finished[_Files]], object] = lambda index, finished: None,
) -> list[_Files]:
    """Run a stage to its end and return the files of its tasks in the order of the calls.

    `on_accept` is called with the index of each task that succeeds, and its answer.
    """
    before: dict[int, Finished[_Files]] = journal.finished(name)
    outputs = {index: finished.output for index, finished in before.items()}
    counts = Counts()

    def log_progress() -> None:
        log(Progress(name, len(outputs), len(calls), counts.n_bytes, counts.n_records))

    def on_event(event: Event) -> None:
        if isinstance(event, Read):
            counts.add(event.task, event.bytes, event.records)
            log_progress()
            return
        if isinstance(event, Retry):
            counts.restart(event.task)
        log(event)

    if before:
        calls = Calls(len(calls), calls.__getitem__, done=frozenset(before))
        for index, finished in before.items():
            counts.finish(index, finished.n_bytes, finished.n_records)
        log_progress()
    stage = Stage(name, calls, attempts - 1, on_event)
    for index, finished in engine.run_stage(stage, fn):
        on_accept(index, finished)
        oob.put_all(directory.oob, finished.put)
        outputs[index] = finished.output
        journal.accept(name, index, finished)
        counts.finish(index, finished.n_bytes, finished.n_records)
        log_progress()
    journal.flush()
    return [outputs[index] for index in range(len(calls))]
