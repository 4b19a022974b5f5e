"""The kit's own decoder of what a worker reads and writes: parameters, pairs, result lists.

Promises: it imports nothing of kvproto, so that a fault of the codec cannot hide here; it takes bytes as they come
and tells each field with its offset; no field is allocated by the word of the peer. Both what the kit sends
and what a worker says go through it. Implements FRAME, LIST, LIMITS-1 and PARAMS-1 to PARAMS-5 for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["MAX_ITEM", "Fault", "Field", "Layout", "Stream", "fault_of_stdin", "n_bytes_of_params"]

MAX_ITEM = 1 << 30
"""The longest item, in bytes (LIMITS-1)."""


class Layout(NamedTuple):
    """How numbers are written: the protocol's by default; others tell what a wrong worker may have written."""

    order: str = "little"
    width: int = 4


class Field(NamedTuple):
    """One field of a stream.

    name     str: "num-pairs", "key size", "key", "value size", "value"
    offset   int, where it begins
    wanted   int, its length in bytes
    number   int, what a size or num-pairs says; -1 for the bytes of an item
    record   int, from 1: which pair (in pairs) or list (in lists) it belongs to
    """

    name: str
    offset: int
    wanted: int
    number: int
    record: int


class Fault(NamedTuple):
    """What breaks a clause in a stream.

    offset    int, where the field at fault begins
    what      str, for a person
    clause    str, of PROTOCOL.md
    is_final  bool, whether no later byte can mend it; False: the stream only ended too soon
    """

    offset: int
    what: str
    clause: str
    is_final: bool


class Stream:
    """A stream of pairs, or of result lists; fed in pieces, read field by field.

    kind         "pairs" or "lists"
    data         bytearray, all that was fed
    n_records    int, complete pairs or lists so far
    ends         list of int, the offset behind each of them
    """

    def __init__(self, kind: str, data: bytes = b"", layout: Layout = Layout()) -> None:
        self.kind = kind
        self.data = bytearray()
        self.ends: list[int] = []
        self._layout = layout
        self._walk = self._fields()
        self._due: Field | None = None  # the field whose bytes are not all there
        self._too_large: Fault | None = None
        self.feed(data)

    @property
    def n_records(self) -> int:
        return len(self.ends)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.data += data
        for field in self._walk:
            if field is self._due:
                return

    def fault(self, at_end: bool) -> Fault | None:
        """What is wrong so far; `at_end`: and no byte is to come."""
        if self._too_large or not at_end:
            return self._too_large
        boundary = self.ends[-1] if self.ends else 0
        if len(self.data) == boundary:
            return None
        field = self._due
        had = len(self.data) - field.offset
        what = f"the stream ends inside the {field.name}: {field.wanted} bytes wanted, {had} there"
        return Fault(field.offset, what, "LIST-3" if self.kind == "lists" else "FRAME-4", False)

    def fields(self) -> Iterator[Field]:
        """Each field once more, from the start; the last one may have less bytes than it wants, or none."""
        again = Stream(self.kind, layout=self._layout)
        again.data = self.data
        for field in again._walk:
            yield field
            if field is again._due:
                return

    def _fields(self) -> Iterator[Field]:
        at = 0
        while True:
            record, left = len(self.ends) + 1, 1
            if self.kind == "lists":
                left = yield from self._number("num-pairs", at, record)
                at += self._layout.width
            while left:
                for name in ("key", "value"):
                    size = yield from self._number(f"{name} size", at, record)
                    if size > MAX_ITEM:
                        what = f"the {name} size says {size} bytes, more than 1 GiB"
                        self._too_large = Fault(at, what, "LIMITS-1", True)
                        return
                    at += self._layout.width
                    yield from self._whole(Field(name, at, size, -1, record))
                    at += size
                left -= 1
            self.ends.append(at)

    def _number(self, name: str, at: int, record: int) -> Iterator[Field]:
        width = self._layout.width
        yield from self._there(Field(name, at, width, -1, record))
        number = int.from_bytes(self.data[at : at + width], self._layout.order)
        yield Field(name, at, width, number, record)
        return number

    def _whole(self, field: Field) -> Iterator[Field]:
        yield from self._there(field)
        yield field

    def _there(self, field: Field) -> Iterator[Field]:
        while len(self.data) < field.offset + field.wanted:
            self._due = field
            yield field
        self._due = None


_HEAD = re.compile(rb"([0-9]{1,10})\n")
_NUMBER = re.compile(rb"([0-9]{1,10}) ")


def n_bytes_of_params(data: bytes) -> int | Fault:
    """The length of the parameter set at the start of `data`, its head counted, or what is wrong with it."""
    head = _HEAD.match(data)
    if not head:
        return Fault(0, "no head `<total>\\n`", "PARAMS-1", False)
    at, end = head.end(), head.end() + int(head[1])
    if end > len(data):
        return Fault(0, "the stream ends inside the parameters", "PARAMS-5", False)
    while at < end:
        for closing in (b" ", b"\n"):
            size = _NUMBER.match(data, at, end)
            if not size:
                return Fault(at, "no length and space where an entry goes on", "PARAMS-2", True)
            at = size.end() + int(size[1])
            if at >= end or data[at : at + 1] != closing:
                return Fault(min(at, end), f"{closing!r} is not where the length says", "PARAMS-2", True)
            at += 1
    return end


def fault_of_stdin(data: bytes) -> Fault | None:
    """What is wrong with all that a worker gets on stdin: a parameter set, then pairs, then end of file."""
    n_params = n_bytes_of_params(data)
    if isinstance(n_params, Fault):
        return n_params
    fault = Stream("pairs", data[n_params:]).fault(at_end=True)
    return fault and fault._replace(offset=fault.offset + n_params)
