"""The calls of the tasks, as they travel from the driver, and what travels back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Generic, NamedTuple, TypeVar, overload

from kvproto.engine.plan import Split
from kvproto.storage.bad_records import BadRecord
from kvproto.storage.spool_index import ColumnsInFiles, PackedColumns

__all__ = ["Calls", "Finished", "MapCall", "MergeCall", "ReduceCall"]

_Call = TypeVar("_Call")
_Files = TypeVar("_Files")


class MapCall(NamedTuple):
    """A map task: its number and splits; `directory` is where its spool or result files go.

    With `index_in_file` the driver does not hold the index of its spool file.
    """

    number: int
    splits: list[Split]
    directory: str
    index_in_file: bool

    @property
    def label(self) -> str:
        """What it reads, for a person."""
        others = (
            f", or one of the {len(self.splits) - 1} others of this task"
            if len(self.splits) > 1
            else ""
        )
        return f"input: {self.splits[0].url}{others}"


class ReduceCall(NamedTuple):
    """A reduce task: its partition; columns of spool files in map order, or splits of inputs."""

    partition: int
    columns: PackedColumns | ColumnsInFiles | None
    splits: list[Split]
    directory: str

    @property
    def label(self) -> str:
        """What it reads, for a person."""
        return f"partition: {self.partition}"


class MergeCall(NamedTuple):
    """A merge: its number, the columns of its partitions, and the directory for its file.

    `buffer_size` is how many bytes it keeps in memory.
    """

    number: int
    maps: range
    partitions: range
    columns: PackedColumns | ColumnsInFiles
    directory: str
    buffer_size: int

    @property
    def label(self) -> str:
        """What it reads, for a person."""
        return f"maps: {_span(self.maps)}, partitions: {_span(self.partitions)}"


def _span(numbers: range) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"


class Finished(NamedTuple, Generic[_Files]):
    """The answer of an attempt that succeeded.

    Attributes
    ----------
    output : SpoolFile or list of Result
        The files that it wrote.
    put : dict
        Its out-of-band values. The driver stores them if it accepts this attempt.
    n_bytes, n_records : int
        What it has read.
    versions : dict
        The versions of inputs that are known only when they are read: URL -> version.
    counters : dict
        What it has counted: name -> sum.
    bad : list of BadRecord
        What it has set aside.
    """

    output: _Files
    put: dict[str, bytes | str]
    n_bytes: int
    n_records: int
    versions: dict[str, str]
    counters: dict[str, int]
    bad: Sequence[BadRecord] = ()


class Calls(Sequence[_Call]):
    """The calls of a stage, each made when it is needed: all of them may be too large.

    `done` has the indexes of those that are done already: they do not run.
    """

    def __init__(
        self, n_calls: int, make: Callable[[int], _Call], done: Collection[int] = ()
    ) -> None:
        self.done = done
        self._numbers = range(n_calls)
        self._make = make

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> _Call: ...

    @overload
    def __getitem__(self, index: slice) -> list[_Call]: ...

    def __getitem__(self, index: int | slice) -> _Call | list[_Call]:
        if isinstance(index, slice):
            return [self._make(number) for number in self._numbers[index]]
        return self._make(self._numbers[index])
