"""Find the record at which a map fails: play its input again to fresh workers.

The pairs from the window of the failed run go to a fresh worker in steps, each of which waits for
its answers. The step at which the worker fails in the same way is cut into smaller ones, down to
one pair. A worker that answers late, against MAP-4, gets beginnings of the input instead, each
half as long as needed. Every result is then checked on its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from kvproto._record import Record
from kvproto._stdio import ready_fds
from kvproto.driver.window import pair_offsets
from kvproto.errors import (
    KVProtoError,
    WorkerClosedStdout,
    WorkerCrashed,
    WorkerError,
    WorkerExitedEarly,
    WorkerFailed,
    WorkerHung,
    WorkerLeftChild,
    WorkerNotStarted,
    WorkerOutputError,
)
from kvproto.protocol.frames import decode_pairs

if TYPE_CHECKING:
    from kvproto.driver.exchange import Exchange
    from kvproto.driver.limits import Limits

__all__ = ["Played", "Steps", "can_pinpoint", "failure_kind", "pinpoint"]

_STEPS = 1000  # into which the pairs are cut: as many waits for a worker
_OUTPUT = ("output", None)  # a kind of failure
_SLOW = (WorkerHung, WorkerClosedStdout, WorkerLeftChild)  # failures that take a time limit


class Steps:
    """A source for a replay: some pairs, in pieces of whole pairs.

    Parameters
    ----------
    frames : memoryview
    offsets : sequence of int
        Where each pair begins in the frames.
    cuts : sequence of int
        The numbers of the pairs at which the pieces begin, and, last, the end.
    """

    fileno = None

    def __init__(self, frames: memoryview, offsets: Sequence[int], cuts: Sequence[int]) -> None:
        self.n_pairs = self.pair_offset = 0
        self.n_steps = len(cuts) - 1
        self.begun = cuts[0]  # where the piece begins that was returned last
        self._frames, self._offsets = frames, offsets
        self._cuts = pairwise(cuts)

    def read(self) -> memoryview:
        """Return the next piece."""
        for begin, end in self._cuts:
            self.begun = begin
            self.n_pairs += end - begin
            piece = self._frames[self._offsets[begin] : self._offsets[end]]
            self.pair_offset += len(piece)
            return piece
        return self._frames[:0]

    def release(self, piece: memoryview) -> None:
        """Do nothing."""


Play = Callable[[Steps, "Limits"], WorkerError | None]
"""Plays steps to a fresh worker; returns how it failed, if it did."""


class Played(NamedTuple):
    """What a search has shown: in words, and the numbers of the first and the last pair."""

    text: str
    first: int | None = None
    last: int | None = None


class _TimeUp(Exception):
    """The time for the search is over."""


def can_pinpoint(error: WorkerError, failed: Exchange[Any]) -> bool:
    """Whether a failed run was at some pair, which can be searched for."""
    if failed.window is None or isinstance(error, WorkerNotStarted):
        return False
    if isinstance(error, WorkerCrashed) and error.status is None:  # its supervisor was killed
        return False
    if isinstance(error, WorkerHung) and error.timeout not in ("idle", "grace"):
        return False
    return not failed.input_ended or failed.n_lists != failed.source.n_pairs


def pinpoint(error: WorkerError, failed: Exchange[Any], play: Play) -> None:
    """Find the record at which a map has failed, and add it to the error.

    Parameters
    ----------
    error : WorkerError
        How the map has failed.
    failed : Exchange
        Its run, which is closed.
    play : callable
        Runs the program again.
    """
    assert failed.window is not None
    seconds = failed.limits.pinpoint
    deadline = float("inf") if seconds is None else time.monotonic() + seconds
    n_read = error.n_sent - error.n_unread - failed.n_params
    _complete(failed, n_read, deadline)
    first, start, frames = failed.window.frames()
    offsets = pair_offsets(frames)
    if len(offsets) == 1:
        error.replayed("no; the pairs without an answer are too large to be kept", None)
        return
    search = _Search(error, failed, play, frames, offsets, deadline)
    owed = max(0, failed.n_lists - first)
    n_begun = sum(offset < n_read - start for offset in offsets)
    played = search.run(failed.window.n_before + first, owed, max(owed + 1, n_begun))
    record = None
    if played.first is not None and played.last is not None:
        at = played.last - first - failed.window.n_before
        ((key, value),) = decode_pairs(frames[offsets[at] : offsets[at + 1]], max_item=0xFFFFFFFF)
        record = Record(played.last, key, value, played.first)
    error.replayed(played.text, record)


def _complete(failed: Exchange[Any], n_read: int, deadline: float) -> None:
    """Read on until the pair is complete that the worker has read in part, or not answered."""
    source, window = failed.source, failed.window
    assert window is not None
    while not failed.input_ended and (
        source.pair_offset < n_read or source.n_pairs <= failed.n_lists
    ):
        left = deadline - time.monotonic()
        if source.fileno is not None and not ready_fds([source.fileno], seconds=min(left, 1.0)):
            return
        try:
            piece = source.read()
        except (KVProtoError, OSError) as e:  # the error of the worker came first
            window.source_error = e
            return
        if not isinstance(piece, memoryview) or not piece:
            return
        window.add(piece)


class _Search:
    """The search in the pairs of a window; numbers of pairs count from its first one."""

    def __init__(
        self,
        error: WorkerError,
        failed: Exchange[Any],
        play: Play,
        frames: bytes,
        offsets: Sequence[int],
        deadline: float,
    ) -> None:
        self._kind = failure_kind(error)
        self._is_slow = isinstance(error, _SLOW)
        self._play = play
        self._frames, self._offsets = memoryview(frames), offsets
        self._deadline = deadline
        self._limits = failed.limits
        # Enough for a worker that takes its time before its first answer, but not for ever.
        is_silent = failed.first_output is None
        seconds = failed.moved - failed.began if is_silent else failed.first_output or 0.0
        self._patience = max(5.0 if is_silent and self._is_slow else 2.0, 3 * seconds)
        self._last = Steps(self._frames, offsets, (0, 0))
        self._span = (0, len(offsets) - 1)
        self._reproduced = False

    def run(self, first: int, owed: int, n_pairs: int) -> Played:
        """Search in the first `n_pairs` pairs, of which `owed` was answered first."""
        n_pairs = min(n_pairs, len(self._offsets) - 1)
        self._span = (0, n_pairs)
        try:
            return self._searched(first, min(owed, n_pairs - 1), n_pairs)
        except _TimeUp:
            begin, end = self._span
            where = f"a fresh worker fails on one of {_pairs(first + begin, first + end - 1)}; "
            return Played(
                (where if self._reproduced else "") + "the search for the record ran out of time"
            )

    def _searched(self, first: int, owed: int, n_pairs: int) -> Played:
        number = self._by_steps(owed, n_pairs)
        begin = None if number is None else self._begin_of_fewest(number)
        if number is None or begin is None:
            number = self._by_halves(n_pairs)
            begin = None if number is None else self._begin_of_fewest(number)
        if number is None or begin is None:
            before = "needs the pairs before these, or is" if first else "is"
            return Played(
                f"not reproduced, a fresh worker does not fail on "
                f"{_pairs(first, first + n_pairs - 1)}; the failure {before} a matter of chance"
            )
        if number == 0 and self._fails(0, 0):
            return Played("a fresh worker fails in the same way without any pair")
        if begin == number < owed and self._kind != _OUTPUT:
            return Played(
                f"a fresh worker fails in the same way on pair {first + number} alone, which was "
                "answered before; the fault may be at the end of the input"
            )
        limit = f" (no answer within {self._patience:g} s)" if self._is_slow else ""
        if begin < number:
            before = _pairs(first + begin, first + number - 1)
            text = f"not reproduced alone; a fresh worker fails on it after {before}{limit}"
        else:
            text = f"a fresh worker fails on this record alone, in the same way{limit}"
            if number == 0 and len(self._offsets) > 2 and self._fails(1, 2):
                text += "; it fails on the next one alone, too, so perhaps on any"
        return Played(text, first + begin, first + number)

    def _by_steps(self, owed: int, n_pairs: int) -> int | None:
        """Find the pair that gets no answer when the pairs are sent in steps."""
        begin, end = owed, n_pairs
        while True:
            size = -(-(end - begin) // _STEPS)
            if not self._fails(*sorted({0, *range(begin, end, size), end})):
                return None
            self._reproduced = True
            begin, end = self._last.begun, self._last.n_pairs
            if end - begin <= 1:
                return begin
            self._span = begin, end

    def _by_halves(self, n_pairs: int) -> int | None:
        """Find the last pair of the shortest beginning of the input on which a worker fails."""
        if not self._fails(0, n_pairs):
            return None
        self._reproduced = True
        passes, fails = 0, n_pairs
        while fails - passes > 1:
            middle = (passes + fails) // 2
            if self._fails(0, middle):
                fails = middle
            else:
                passes = middle
            self._span = passes, fails
        return passes

    def _begin_of_fewest(self, number: int) -> int | None:
        """Return where the shortest run of pairs begins that ends with this one and fails."""
        if self._fails(number, number + 1):
            return number
        if number == 0 or not self._fails(0, number + 1):
            return None
        fails, passes = 0, number
        while passes - fails > 1:
            middle = (passes + fails) // 2
            if self._fails(middle, number + 1):
                fails = middle
            else:
                passes = middle
        return fails

    def _fails(self, *cuts: int) -> bool:
        """Play pairs to a fresh worker; return whether it fails in the same way."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _TimeUp
        patience = self._patience if self._is_slow or len(cuts) > 2 else float("inf")
        idle, grace = self._limits.idle, self._limits.grace
        self._last = Steps(self._frames, self._offsets, cuts)
        error = self._play(
            self._last,
            self._limits._replace(
                idle=min(patience, idle or left, left),
                total=left,
                grace=min(patience, grace or left, left),
            ),
        )
        if isinstance(error, WorkerHung) and error.timeout in ("start", "total"):
            raise _TimeUp
        if len(cuts) > 2 and self._kind == _OUTPUT and isinstance(error, WorkerHung):
            return True  # a list that never becomes complete
        return error is not None and failure_kind(error) == self._kind


def failure_kind(error: WorkerError) -> tuple[str, int | None]:
    """What must be equal for two runs to fail in the same way."""
    if isinstance(error, (WorkerExitedEarly, WorkerFailed)):
        return "exit", error.status
    if isinstance(error, WorkerOutputError):
        return _OUTPUT
    return type(error).__name__, error.status if isinstance(error, WorkerCrashed) else None


def _pairs(first: int, last: int) -> str:
    return f"pair {first}" if first == last else f"pairs {first} to {last}"
