"""The kit's own codec of what a worker reads and writes: parameters, pairs, result lists.

It imports nothing from kvproto, so that it shares no fault with the codec. The decoder takes bytes
as they arrive, reports each field with its offset, and never allocates memory because of a size
that it reads. It checks both what the kit sends and what a worker writes. Implements FRAME, LIST,
LIMITS-1, LIMITS-4 and PARAMS-1 to PARAMS-5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

__all__ = [
    "MAX_ITEM",
    "Fault",
    "Field",
    "Layout",
    "Pair",
    "Stdin",
    "Stream",
    "item",
    "pair",
    "pairs_of",
    "parameter_set",
    "read_params",
]

Pair = tuple[bytes, bytes]

MAX_ITEM = 1 << 30
"""The longest item, in bytes (LIMITS-1)."""

MAX_PARAMS = 1 << 30
"""The longest parameter set, in bytes of entries (LIMITS-4)."""


REPEATED, AT_ONCE = 64, 100
"""Equal records of up to REPEATED bytes each are skipped AT_ONCE at a time."""


class Layout(NamedTuple):
    """How numbers are encoded: by default as in the protocol; others are likely mistakes."""

    order: Literal["little", "big"] = "little"
    width: int = 4


_PROTOCOL = Layout()


class Field(NamedTuple):
    """One field of a stream.

    name    "num-pairs", "key size", "key", "value size" or "value"
    offset  where it begins
    wanted  its length in bytes
    number  the value of a size or num-pairs; -1 for the bytes of an item
    record  the number of its pair (in pairs) or list (in lists), from 1
    """

    name: str
    offset: int
    wanted: int
    number: int
    record: int


class Fault(NamedTuple):
    """A violation of a clause in a stream.

    offset    of the field that is wrong
    what      the fault in words
    clause    of PROTOCOL.md
    is_final  False if more bytes could complete the stream
    """

    offset: int
    what: str
    clause: str
    is_final: bool


class Stream:
    """A stream of pairs, or of result lists, fed in pieces.

    kind       "pairs" or "lists"
    data       all bytes so far
    n_records  the number of complete pairs or lists
    ends       the offset after each of them
    """

    def __init__(
        self, kind: str, data: bytes | bytearray = b"", layout: Layout = _PROTOCOL
    ) -> None:
        self.kind = kind
        self.data: bytes | bytearray = bytearray()
        self.ends: list[int] = []
        self._layout = layout
        self._at = 0  # after the last complete pair or num-pairs
        self._left = 0  # pairs that are missing from the current list
        self._due = ("", 0, 0)  # name, offset and length of the incomplete field
        self._too_large: Fault | None = None
        self.feed(data)

    @property
    def n_records(self) -> int:
        return len(self.ends)

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        self.data += data
        while not self._too_large and (self._left or self._begins_record()) and self._has_pair():
            if not self._left:
                self._skip_repeats()

    def fault(self, at_end: bool) -> Fault | None:
        """Return the first fault so far; `at_end` says that there are no more bytes."""
        if self._too_large or not at_end:
            return self._too_large
        if len(self.data) == (self.ends[-1] if self.ends else 0):
            return None
        name, offset, wanted = self._due
        n_there = len(self.data) - offset
        what = f"the stream ends inside the {name}: it needs {wanted} bytes, but has {n_there}"
        return Fault(offset, what, "LIST-3" if self.kind == "lists" else "FRAME-4", False)

    def fields(self, first: int = 0, last: int | None = None) -> Iterator[Field]:
        """Iterate over the fields of records [first, last); the last may be cut."""
        at = self.ends[first - 1] if first else 0
        for record in range(first, len(self.ends) + 1 if last is None else last):
            left = 1
            if self.kind == "lists":
                yield (num_pairs := self._number("num-pairs", at, record))
                left, at = num_pairs.number, at + num_pairs.wanted
            while left > 0:
                for name in ("key", "value"):
                    yield (size := self._number(f"{name} size", at, record))
                    if not 0 <= size.number <= MAX_ITEM:
                        return
                    yield (item := Field(name, at + size.wanted, size.number, -1, record + 1))
                    at = item.offset + item.wanted
                left -= 1
            if left < 0:
                return

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Iterate over the begin and end of each pair in complete records."""
        order, width = self._layout
        at = 0
        for end in self.ends:
            at += width if self.kind == "lists" else 0
            while at < end:
                begin = at
                at += width + int.from_bytes(self.data[at : at + width], order)
                at += width + int.from_bytes(self.data[at : at + width], order)
                yield begin, at

    def _number(self, name: str, at: int, record: int) -> Field:
        """Read a number; it is -1 if it is incomplete."""
        order, width = self._layout
        there = self.data[at : at + width]
        return Field(
            name, at, width, int.from_bytes(there, order) if len(there) == width else -1, record + 1
        )

    def _begins_record(self) -> bool:
        """Read up to the first pair of the next list that has pairs; False if there is none yet."""
        if self.kind == "pairs":
            self._left = 1
            return True
        order, width = self._layout
        while not self._left:
            at, self._at = self._at, self._at + width
            if self._at > len(self.data):
                self._at = at
                return self._lacks("num-pairs", at, width)
            self._left = int.from_bytes(self.data[at : self._at], order)
            if not self._left:
                self.ends.append(self._at)
        return True

    def _has_pair(self) -> bool:
        """Skip the next pair; False if it is incomplete."""
        order, width = self._layout
        at, end = self._at, len(self.data)
        for name in ("key", "value"):
            item = at + width
            if item > end:
                return self._lacks(f"{name} size", at, width)
            size = int.from_bytes(self.data[at:item], order)
            if size > MAX_ITEM:
                what = f"the {name} size says {size} bytes, more than 1 GiB"
                self._too_large = Fault(at, what, "LIMITS-1", True)
                return False
            at = item + size
            if at > end:
                return self._lacks(name, item, size)
        self._at = at
        self._left -= 1
        if not self._left:
            self.ends.append(at)
        return True

    def _skip_repeats(self) -> None:
        """Skip records equal to the last two, many at a time: millions of pairs must be fast."""
        ends = self.ends
        if len(ends) < 3 or ends[-1] - ends[-2] != ends[-2] - ends[-3]:
            return
        size = ends[-1] - ends[-2]
        if size > REPEATED:
            return
        block = self.data[ends[-2] : ends[-1]] * AT_ONCE
        while self.data.startswith(block, self._at):
            ends.extend(range(self._at + size, self._at + len(block) + 1, size))
            self._at += len(block)

    def _lacks(self, name: str, offset: int, wanted: int) -> bool:
        self._due = (name, offset, wanted)
        return False


_HEAD = re.compile(rb"([0-9]{1,10})\n")
_BEGUN_HEAD = re.compile(rb"[0-9]{0,10}")
_NUMBER = re.compile(rb"([0-9]{1,10}) ")
_CUT = Fault(0, "the stream ends inside the parameters", "PARAMS-5", False)


def read_params(data: bytes) -> tuple[int, list[tuple[bytes, bytes]]] | Fault:
    """Read the parameter set at the start of `data`: its length in all, and its entries."""
    head = _HEAD.match(data)
    if not head:
        no_head = Fault(0, "no head `<total>\\n`", "PARAMS-1", True)
        return _CUT if _BEGUN_HEAD.fullmatch(data) else no_head
    if int(head[1]) > MAX_PARAMS:
        what = f"the parameters say {int(head[1])} bytes, more than 1 GiB"
        return Fault(0, what, "LIMITS-4", True)
    at, end = head.end(), head.end() + int(head[1])
    entries: list[tuple[bytes, bytes]] = []
    while at < min(end, len(data)):
        begin = at
        halves: list[bytes] = []
        for closing in (b" ", b"\n"):
            size = _NUMBER.match(data, at, end)
            if not size:
                is_cut = end > len(data) and _BEGUN_HEAD.fullmatch(data, at)
                what = "an entry does not continue with a length and a space"
                return _CUT if is_cut else Fault(at, what, "PARAMS-2", True)
            at = size.end() + int(size[1])
            if at >= end:
                return Fault(begin, "an entry goes beyond the total", "PARAMS-5", True)
            if at >= len(data):
                return _CUT
            if data[at : at + 1] != closing:
                name = "space" if closing == b" " else "newline"
                return Fault(at, f"no {name} where the length says it is", "PARAMS-2", True)
            halves.append(data[size.end() : at])
            at += 1
        entries.append((halves[0], halves[1]))
    return _CUT if at < end else (end, entries)


class Stdin:
    """The whole stdin of a worker: a parameter set, pairs, end of file.

    params    names and values, in order
    n_params  length of the set in bytes; 0 if it is malformed
    pairs     the pairs after it
    fault     the first fault, or None; its offset is in the whole stdin
    """

    def __init__(self, data: bytes) -> None:
        params = read_params(data)
        self.fault: Fault | None = params if isinstance(params, Fault) else None
        self.n_params, self.params = (0, []) if isinstance(params, Fault) else params
        self.pairs = Stream("pairs", b"" if self.fault else data[self.n_params :])
        if not self.fault and (fault := self.pairs.fault(at_end=True)):
            self.fault = fault._replace(offset=fault.offset + self.n_params)


# --- the encoder -------------------------------------------------------------------------------


def item(data: bytes) -> bytes:
    """Encode an item: its size, then the bytes."""
    n = len(data)
    return bytes((n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24)) + data


def pair(key: bytes, value: bytes) -> bytes:
    """Encode a pair.

    Parameters
    ----------
    key, value : bytes
        Of any content, at most 1 GiB each.

    Returns
    -------
    bytes
        Key size, key, value size, value (FRAME-1, FRAME-2).
    """
    return item(key) + item(value)


def pairs_of(pairs: Iterable[Pair]) -> bytes:
    """Encode pairs, one after another."""
    return b"".join(pair(*p) for p in pairs)


def parameter_set(entries: Iterable[Pair]) -> bytes:
    """Encode a parameter set.

    Parameters
    ----------
    entries : iterable of (bytes, bytes)
        Names and values.

    Returns
    -------
    bytes
        The encoded set.

    Notes
    -----
    PARAMS-1 and PARAMS-2. The encoder is the kit's own; it also encodes a name that occurs twice.
    """
    body = b"".join(
        b"%d %b %d %b\n" % (len(name), name, len(value), value) for name, value in entries
    )
    return b"%d\n%b" % (len(body), body)
