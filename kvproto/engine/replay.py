"""Run one task of a job again: find its call by planning the job anew, without running the others.

What the tasks before it wrote is in the journal and the spool, which a job that failed keeps.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from kvproto._text import counted
from kvproto.engine.bad_limit import NONE_BAD
from kvproto.engine.calls import Calls, Finished
from kvproto.engine.events import OnEvent
from kvproto.engine.in_process import InProcess
from kvproto.engine.job import run_stages
from kvproto.engine.journal import Journal, Planned
from kvproto.engine.map_task import map_input
from kvproto.engine.merge_plan import LIMITS
from kvproto.engine.reduce_task import reduce_input
from kvproto.engine.spec import External, Function, MapSpec, ReduceSpec
from kvproto.engine.stage import Stage
from kvproto.errors import JobError
from kvproto.protocol.frames import PairDecoder, encode_pair
from kvproto.storage.job_directory import JobPaths

__all__ = ["Task", "find_task"]


class Task(NamedTuple):
    """A task that can run again.

    Attributes
    ----------
    stage : str
        "map", "merge" or "reduce".
    number : int
        Its number in the stage, from 0.
    function : callable
        Runs it, with its call.
    call : MapCall, MergeCall or ReduceCall
    """

    stage: str
    number: int
    function: Callable[[Any], Any]
    call: Any

    @property
    def name(self) -> str:
        """As errors name it."""
        return f"{self.stage}:{self.number}"

    def run(self, engine: InProcess, directory: str, on_event: OnEvent) -> Finished[Any]:
        """Run it in this process. What it writes goes to `directory`. TaskError if it fails."""
        call = self.call._replace(directory=directory)
        calls = Calls(self.number + 1, lambda number: call, done=range(self.number))
        stage = Stage(self.stage, calls, 0, on_event)
        results = dict(engine.run_stage(stage, self.function))
        finished: Finished[Any] = results[self.number]
        return finished

    def alone(self, number: int) -> Task:
        """The same map task; its function is called with the entry of this number alone."""
        assert isinstance(self.function, partial)
        spec, shared = self.function.args
        spec = copy.copy(spec)
        spec.map = one = _OneEntry(spec.map, number)
        if spec.init is not None:
            spec.init = partial(one.begin, spec.init)
        return self._replace(function=partial(self.function.func, spec, shared))

    def program(self) -> External | None:
        """The external program that it runs; None for a function of Python."""
        if not isinstance(self.function, partial):
            return None
        spec = self.function.args[0]
        program = spec.map if isinstance(spec, MapSpec) else spec.reduce
        return program if isinstance(program, External) else None

    def frames(self) -> Iterator[bytes]:
        """Yield what this program reads after its parameters: frames, cut anywhere."""
        assert isinstance(self.function, partial)
        spec, shared = self.function.args
        if isinstance(spec, ReduceSpec):
            return reduce_input(spec, shared, self.call)
        return map_input(spec, shared, self.call)

    def frame(self, number: int) -> bytes:
        """Return the pair of this number alone. JobError if there are not so many."""
        decoder, n_before = PairDecoder(), 0
        for piece in self.frames():
            pairs = decoder.feed(piece)
            if number < n_before + len(pairs):
                return encode_pair(*pairs[number - n_before])
            n_before += len(pairs)
        raise JobError(f"task {self.name} has no record {number}: it reads {n_before}, from 0")


class _OneEntry:
    """A map that calls another one with a single entry, by its number in the task."""

    def __init__(self, function: Function, number: int) -> None:
        functools.update_wrapper(self, function)
        self._function, self._number, self._n_entries = function, number, 0

    def __call__(self, entry: Any, params: Any) -> Any:
        self._n_entries += 1
        return self._function(entry, params) if self._n_entries == self._number + 1 else ()

    def begin(self, init: Function, entries: Iterator[Any], params: Any) -> Any:
        """Call the init of the map; the entries that it takes have numbers too."""
        return init(self._counted(entries), params)

    def _counted(self, entries: Iterator[Any]) -> Iterator[Any]:
        for entry in entries:
            self._n_entries += 1
            yield entry


class _Reached(Exception):
    """The planning has come to the task; `task` is it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task


class _Finder:
    """An engine that runs nothing, and raises _Reached at the task."""

    address = ""

    def __init__(self, stage: str, number: int) -> None:
        self._stage, self._number = stage, number

    def run_stage(self, stage: Stage, fn: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
        task, calls = f"{self._stage}:{self._number}", stage.calls
        if stage.name == self._stage:
            if self._number >= len(calls):
                raise JobError(
                    f"there is no task {task}: the {stage.name} of the job has "
                    f"{counted(len(calls), 'task')}, from 0"
                )
            raise _Reached(Task(stage.name, self._number, fn, calls[self._number]))
        if stage.n_left:
            raise JobError(
                f"task {task} cannot run: it needs the {stage.name}, of which "
                f"{counted(stage.n_left, 'task')} did not finish"
            )
        return iter(())


def find_task(planned: Planned, paths: JobPaths, journal: Journal, stage: str, number: int) -> Task:
    """Find a task of a job that has failed. JobError if it is not there or lacks its input.

    A map does not set records aside any more: it fails on them.
    """
    try:
        run_stages(
            planned.spec,
            planned.inputs,
            paths,
            _Finder(stage, number),
            planned.n_processes,
            lambda event: None,
            journal,
            LIMITS,
        )
    except _Reached as reached:
        function = reached.task.function
        if isinstance(function, partial) and isinstance(function.args[0], MapSpec):
            function.args[0].max_bad = NONE_BAD
        return reached.task
    raise JobError(f"there is no task {stage}:{number}: the job has no {stage}")
