"""Run a map over all pairs of its input but those on which it fails.

Only whole result lists pass, each once and in the order of the pairs. After a failure the record is
known (`pinpoint`), and two fresh workers take what has no answer yet: one the pairs before the
record, which the failed worker had read, and one those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from kvproto.driver.exchange import Exchange
from kvproto.driver.source import BytesSource
from kvproto.driver.window import pair_offsets
from kvproto.errors import ProtocolError, WorkerError
from kvproto.protocol.stream import FrameStream

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Begin", "Failed", "Lists", "WholeLists", "lists_without_failures"]

Lists = list[memoryview]
"""Pieces of whole result lists, with their num-pairs, in order. The last one ends a list."""

Failed = Callable[[WorkerError], object]
"""Takes the error of a pair on which the program fails; `record` of the error is that pair."""


class WholeLists:
    """A decoder that holds an incomplete result list back.

    Attributes
    ----------
    rest : Lists
        After a fault: the lists that were complete before it, and that `feed` has not returned.
    """

    def __init__(self, max_item: int) -> None:
        self._stream = FrameStream(with_lists=True, max_item=max_item)
        self._kept: Lists = []
        self._n_bytes = self._n_returned = 0
        self.rest: Lists = []

    @property
    def n_lists(self) -> int:
        """The number of complete result lists so far."""
        return self._stream.n_lists

    def feed(self, data: Buffer) -> Lists:
        """Return the lists that these bytes complete, valid until the next call.

        Raises ItemTooLarge.
        """
        view = memoryview(data)
        try:
            self._stream.check(view)
        except ProtocolError:
            self.rest = self._complete(view)
            raise
        return self._complete(view)

    def _complete(self, view: memoryview) -> Lists:
        under_way = self._stream.list_under_way()
        end = self._stream.place().offset if under_way is None else under_way[0]
        n_before, self._n_bytes = self._n_bytes, self._n_bytes + len(view)
        if end == self._n_returned:
            self._kept.append(memoryview(bytes(view)))
            return []
        self._n_returned = end
        lists = [*self._kept, view[: end - n_before]]
        left = bytes(view[end - n_before :])
        self._kept = [memoryview(left)] if left else []
        return lists

    def close(self) -> None:
        """Mark the end. Raises Truncated when it ends inside a list."""
        self._stream.close()

    def list_under_way(self) -> tuple[int, int] | None:
        """Return (offset, num-pairs) of the incomplete list, or None between lists."""
        return self._stream.list_under_way()


class _Part:
    """Pairs that a worker has to answer; `n_before` of the whole input come before them.

    Attributes
    ----------
    is_again : bool
        Whether a worker has read them before.
    """

    def __init__(self, frames: Iterable[Any], n_before: int, *, is_again: bool = False) -> None:
        self.n_before = n_before
        self.is_again = is_again
        self._frames = iter(frames)
        self._first = b""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        first, self._first = self._first, b""
        return first or next(self._frames)

    def go_on(self, first: bytes, n_before: int) -> _Part:
        """Return the same part from here on; it begins with `first`, which was read already."""
        self._first, self.n_before = first, n_before
        return self


class Begin(Protocol):
    """Starts a run: a context of its exchange."""

    def __call__(
        self, source: BytesSource, decoder: WholeLists, *, n_before: int, is_again: bool
    ) -> AbstractContextManager[Exchange[Lists]]: ...


def lists_without_failures(
    begin: Begin, frames: Iterable[bytes], failed: Failed, max_item: int
) -> Iterator[memoryview]:
    """Yield pieces of the result lists of all pairs but those on which the program fails.

    Each piece is valid until the next. Raises the WorkerError of a failure that does not come from
    one pair alone, or from one that was answered.
    """
    waiting = [_Part(frames, 0)]
    while waiting:
        part = waiting.pop()
        decoder = WholeLists(max_item)
        exchange = None
        source = BytesSource(part, max_item=max_item)
        try:
            with begin(source, decoder, n_before=part.n_before, is_again=part.is_again) as exchange:
                for lists in exchange.output():
                    yield from lists
        except WorkerError as error:
            if exchange is None:
                raise
            yield from decoder.rest
            waiting += _around(error, exchange, part)
            failed(error)


def _around(error: WorkerError, exchange: Exchange[Lists], part: _Part) -> list[_Part]:
    """Return the pairs after the record of an error, and those before it without an answer."""
    record, window = error.record, exchange.window
    if record is None or record.first != record.number or window is None:
        raise error
    if window.source_error is not None:  # the end of what can be read is not that of the input
        raise window.source_error
    first, _, frames = window.frames()
    number, n_lists = record.number - part.n_before, exchange.n_lists
    if not first <= n_lists <= number:
        raise error
    offsets = pair_offsets(frames)
    start, end = offsets[n_lists - first], offsets[number - first]
    before = [_Part([frames[start:end]], part.n_before + n_lists, is_again=True)] * (start < end)
    return [part.go_on(frames[offsets[number + 1 - first] :], record.number + 1), *before]
