"""What the driver and an engine's worker processes leave for each other in the job's shared place.

Objects in one directory, each written whole:

    driver               the state of the driver, written again every few seconds
    stage.NAME           what task processes need of a stage
    run,ATTEMPT,RUN      an engine runs an attempt: written when it begins
    events,ATTEMPT,RUN,N what a task has sent while it runs
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from kvproto.engine.events import Event
from kvproto.engine.stage import Attempt
from kvproto.storage.home import in_home, make_directory
from kvproto.storage.store import is_object, store_of

__all__ = ["Exchange", "Run", "State", "attempt_name"]


class State(NamedTuple):
    """What workers have to know about the driver.

    Attributes
    ----------
    beat : int
        Changes every few seconds.
    patience : float
        Seconds without a new beat after which workers take the driver for dead.
    cancelled : frozenset of str
        The names of the attempts to end.
    """

    beat: int
    patience: float
    cancelled: frozenset[str] = frozenset()


class Run(NamedTuple):
    """One time that the engine runs an attempt.

    Attributes
    ----------
    stage : str
        The name of the stage in the exchange.
    attempt : Attempt
    worker : str
        The process that runs it, and when it began: HOST:PID:NANOSECONDS.
    """

    stage: str
    attempt: Attempt
    worker: str

    @property
    def name(self) -> str:
        """The name of the attempt, unique in its job."""
        return attempt_name(self.stage, self.attempt)

    @property
    def began(self) -> int:
        """When it began, in nanoseconds by the clock of its worker."""
        return int(self.worker.rpartition(":")[2])


class Exchange:
    """The exchange of one driver of a job, a directory in the exchange of the job.

    Its methods raise OSError, or DataError for what cannot be written.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._store = store_of(address)

    def make(self) -> None:
        """Make the directory."""
        if not is_object(self.address):
            with in_home(self.address):
                make_directory(self.address)

    def remove(self) -> None:
        """Remove all that drivers of the job have left: the job has ended."""
        self._store.remove_tree(os.path.dirname(self.address))

    # --- from the driver -------------------------------------------------------------------------

    def write_state(self, state: State) -> None:
        """Replace the state of the driver."""
        self._write("driver", pickle.dumps(state))

    def read_state(self) -> State:
        """Read it; FileNotFoundError when the job has ended."""
        state: State = pickle.loads(self._read("driver"))
        return state

    def write_stage(self, name: str, data: bytes) -> None:
        """Store what task processes need of a stage."""
        self._write(f"stage.{name}", data)

    def read_stage(self, name: str) -> bytes:
        """Read it."""
        return self._read(f"stage.{name}")

    # --- from the workers ------------------------------------------------------------------------

    def begin_run(self, run: Run) -> None:
        """Say that a run of an attempt begins."""
        self._write(f"run,{run.name},{run.worker}", b"")

    def forget_run(self, run: Run) -> None:
        """Remove what `begin_run` wrote."""
        self._remove(f"run,{run.name},{run.worker}")

    def write_events(self, run: Run, number: int, events: Sequence[Event]) -> None:
        """Store events of a run; `number` counts its batches."""
        self._write(f"events,{run.name},{run.worker},{number:06d}", pickle.dumps(events))

    def look(self) -> tuple[list[Run], dict[str, Run]]:
        """List the runs, and the names of batches of events with the run of each, in order.

        Runs come in the order in which they began, as far as the clocks of the workers agree.
        """
        runs, batches = [], {}
        for name in sorted(self._store.names(self.address)):
            kind, *parts = name.split(",")
            if name.endswith(".part"):  # a file that is being written
                continue
            if kind == "run":
                runs.append(_run(*parts))
            elif kind == "events":
                batches[name] = _run(*parts[:2])
        return sorted(runs, key=lambda run: run.began), batches

    def take_events(self, name: str) -> list[Event]:
        """Read a batch of events and remove it; no events if it is gone."""
        try:
            events: list[Event] = pickle.loads(self._read(name))
        except FileNotFoundError:
            return []
        self._remove(name)
        return events

    def take_all_events(self, run: Run, end: int) -> list[Event]:
        """Take the batches of a run below the number `end` that are still there."""
        names = (f"events,{run.name},{run.worker},{number:06d}" for number in range(end))
        return [event for name in names for event in self.take_events(name)]

    # --- objects ---------------------------------------------------------------------------------

    def _write(self, name: str, data: bytes) -> None:
        # Not `put`, which waits for the disk: nothing of this has to survive the machine.
        with self._store.create(os.path.join(self.address, name)) as file:
            file.write(data)
            file.publish()

    def _read(self, name: str) -> bytes:
        return self._store.get(os.path.join(self.address, name))

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._store.remove(os.path.join(self.address, name))


def attempt_name(stage: str, attempt: Attempt) -> str:
    """The name of an attempt, unique in its job."""
    return f"{stage}-{attempt.task:05d}-{attempt.number}"


def _run(name: str, worker: str) -> Run:
    stage, task, number = name.rsplit("-", 2)
    return Run(stage, Attempt(int(task), int(number)), worker)
