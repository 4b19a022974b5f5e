"""What the driver and an engine's worker processes leave for each other in the job's shared place.

Objects in one directory, each written whole:

    driver               the state of the driver, written again every few seconds
    stage.NAME           what task processes need of a stage
    events.NAME.RUN.N    what a running task has sent since its batch N - 1; batch 0 says that the
                         attempt begins, and where
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

__all__ = ["Batch", "Exchange", "State", "attempt_name"]


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


class Batch(NamedTuple):
    """Events of an attempt.

    Attributes
    ----------
    stage : str
    attempt : Attempt
    run : str
        Differs each time that the engine runs the attempt.
    worker : str
        Names the process that runs it.
    events : sequence of Event
    """

    stage: str
    attempt: Attempt
    run: str
    worker: str
    events: Sequence[Event]


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

    def write_batch(self, number: int, batch: Batch) -> None:
        """Store a batch of events."""
        name = attempt_name(batch.stage, batch.attempt)
        self._write(_batch_name(name, batch.run, number), pickle.dumps(batch))

    def batches(self) -> list[str]:
        """List the names of all batches, those of one run of an attempt in order."""
        names = self._store.names(self.address)
        return sorted(
            name for name in names if name.startswith("events.") and not name.endswith(".part")
        )

    def take_batch(self, name: str) -> Batch | None:
        """Read a batch and remove it; None if it is gone."""
        try:
            batch: Batch = pickle.loads(self._read(name))
        except FileNotFoundError:
            return None
        self._remove(name)
        return batch

    def take_batches(self, name: str, run: str, end: int) -> list[Batch]:
        """Take the batches 1 to end - 1 that are still there, of a run of the attempt `name`."""
        taken = (self.take_batch(_batch_name(name, run, number)) for number in range(1, end))
        return [batch for batch in taken if batch is not None]

    def remove_first(self, name: str, run: str) -> None:
        """Remove batch 0 of a run of the attempt `name`, if it is still there."""
        self._remove(_batch_name(name, run, 0))

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


def _batch_name(name: str, run: str, number: int) -> str:
    return f"events.{name}.{run}.{number:06d}"
