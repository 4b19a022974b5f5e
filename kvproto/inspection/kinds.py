"""The kinds of data that can be inspected. Each takes bytes in pieces, checks and describes them.

pairs   what a worker reads after its parameters
lists   result lists: what a worker writes
params  a parameter set
stdin   all that a worker reads: a parameter set, then pairs
result  a result file of a job

No I/O. Implements FRAME, LIST, PARAMS, LIMITS-1 and LIMITS-4 of PROTOCOL.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from kvproto._text import ROW_BYTES, counted, quoted_text
from kvproto.errors import ItemTooLarge, ProtocolError, Truncated
from kvproto.errors.protocol import likely_size
from kvproto.inspection.rows import Chosen, Gap, Row, around, ends
from kvproto.inspection.window import Window
from kvproto.protocol.native import crc32
from kvproto.protocol.params import MAX_PARAMS, decode_params
from kvproto.storage.records import OBJECTS, RESULT_HEAD
from kvproto.storage.results import TRAILER_BYTES, decode_trailer

__all__ = ["KINDS", "MAX_SET", "Fault", "Kind"]

MAX_SET = 16 << 20
"""The most bytes of a parameter set that are inspected: 16 MiB."""

_SHOWN_PARAMS = 100


class Fault(NamedTuple):
    """What is wrong with data.

    Attributes
    ----------
    offset : int
        Where the field at fault begins.
    text : str
        The reason, with its clause.
    data : bytes
        The bytes from the offset on; there may be none.
    words : str
        What the first of them are.
    """

    offset: int
    text: str
    data: bytes
    words: str

    def __str__(self) -> str:
        return f"byte {self.offset:,} (hex {self.offset:x}): {self.text}"


class Kind:
    """Data of one kind.

    Attributes
    ----------
    title : str
        What it is, for a person.
    fault : Fault or None
        What is wrong with it, as soon as it is known.
    n_good : int
        How many records, or other complete parts, are before that.
    """

    title = ""
    fault: Fault | None = None
    n_good = 0

    def feed(self, data: bytes) -> None:
        """Check the next bytes, cut anywhere."""
        raise NotImplementedError

    def close(self) -> None:
        """Mark the end of the data."""

    def summary(self) -> list[str]:
        """Return what it has, in a few lines."""
        raise NotImplementedError

    def rows(self) -> Iterator[Row | Gap]:
        """Yield the rows of its dump, without those of the fault."""
        raise NotImplementedError

    def chosen_is_there(self) -> bool:
        """Whether it has the place that was chosen."""
        return True


class Frames(Kind):
    """Pairs, or result lists, from `offset` on."""

    def __init__(
        self,
        chosen: Chosen | None = None,
        *,
        with_lists: bool = False,
        offset: int = 0,
        unit: str = "",
    ) -> None:
        self.title = "result lists" if with_lists else "pairs"
        self.unit = unit or ("list" if with_lists else "pair")
        self._chosen = chosen
        self.window = Window(
            with_lists=with_lists, offset=offset, chosen=chosen.is_read if chosen else None
        )

    def feed(self, data: bytes) -> None:
        self.window.feed(data)
        self._note(self.window.fault)

    def close(self) -> None:
        self.window.close()
        self._note(self.window.fault)

    def _note(self, fault: ProtocolError | None) -> None:
        self.n_good = self.window.stream.n_pairs + self.window.stream.n_lists
        if fault is not None:
            self.fault = _fault_of(fault, self.window.bytes_at(fault.offset))
            if self.unit == "list" and self.window.has_only_a_huge_list():
                self.n_good = 0  # it is something else

    def summary(self) -> list[str]:
        stream, n_bytes = self.window.stream, self.window.offset - self.window.start
        if self.unit == "list":
            lists, pairs = counted(stream.n_lists, "result list"), counted(stream.n_pairs, "pair")
            return [f"{lists} with {pairs} in {counted(n_bytes, 'byte')}"]
        text = f"{counted(stream.n_pairs, self.unit)} in {counted(n_bytes, 'byte')}"
        if stream.n_pairs:
            text += f", {n_bytes / stream.n_pairs:,.1f} bytes each on average"
        return [text]

    def rows(self) -> Iterator[Row | Gap]:
        if not self.window.first:
            return iter(())
        if self._chosen is not None:
            return around(self.window, self._chosen, self.unit)
        return ends(self.window, self.unit)

    def chosen_is_there(self) -> bool:
        chosen, window = self._chosen, self.window
        if chosen is None:
            return True
        if chosen.kind == "offset":
            return window.start <= chosen.number < window.offset
        n_read = window.stream.n_lists if chosen.kind == "list" else window.stream.n_pairs
        return chosen.number < n_read or (chosen.number == n_read and self.fault is not None)


class Params(Kind):
    """A parameter set, and what follows it: nothing, or pairs."""

    def __init__(self, chosen: Chosen | None = None, *, with_pairs: bool = False) -> None:
        self.title = "parameters and pairs, as a worker reads them"
        if not with_pairs:
            self.title = "a parameter set"
        self._chosen = chosen
        self._with_pairs = with_pairs
        self._data = b""
        self._n_bytes: int | None = None  # of the whole set
        self._params: dict[bytes, bytes] | None = None
        self.pairs: Frames | None = None

    def feed(self, data: bytes) -> None:
        if self.pairs is not None:
            self._feed_pairs(data)
            return
        self._data += data
        if self._n_bytes is None and (b"\n" in self._data[:16] or len(self._data) > 16):
            self._read_head()
        if self._n_bytes is not None and len(self._data) >= self._n_bytes and not self.fault:
            self._end_set()

    def _read_head(self) -> None:
        digits, _, _ = self._data[:16].partition(b"\n")
        if not (digits.isdigit() and len(digits) <= 10) or int(digits) > MAX_PARAMS:
            self._decode(self._data)
        elif int(digits) > MAX_SET:
            what = (
                f"the total announces {int(digits):,} bytes; a set is inspected up to {MAX_SET:,}"
            )
            self.fault = _fault(0, what, self._data)
        else:
            self._n_bytes = len(digits) + 1 + int(digits)

    def _end_set(self) -> None:
        rest, self._data = self._data[self._n_bytes :], self._data[: self._n_bytes]
        self._decode(self._data)
        if self.fault is None and self._with_pairs:
            self.pairs = Frames(self._chosen, offset=len(self._data))
            if rest:
                self._feed_pairs(rest)
        elif self.fault is None and rest:
            what = f"bytes follow the parameter set that ends at byte {len(self._data)} [PARAMS-5]"
            self.fault = _fault(len(self._data), what, rest)

    def _feed_pairs(self, data: bytes) -> None:
        assert self.pairs is not None
        self.pairs.feed(data)
        self.fault, self.n_good = self.pairs.fault, 1 + self.pairs.n_good

    def close(self) -> None:
        if self.pairs is not None:
            self.pairs.close()
            self.fault = self.pairs.fault
        elif self.fault is None and self._params is None:
            self._decode(self._data)

    def _decode(self, data: bytes) -> None:
        try:
            self._params = decode_params(data)
            self.n_good = 1 + len(self._params)
        except ProtocolError as e:
            self.fault = _fault_of(e, data[e.offset :])

    def summary(self) -> list[str]:
        if self._params is None:
            return []
        n, n_bytes = len(self._params), len(self._data)
        lines = [f"{counted(n, 'parameter')} in {counted(n_bytes, 'byte')}"]
        return lines + (self.pairs.summary() if self.pairs is not None else [])

    def rows(self) -> Iterator[Row | Gap]:
        end = len(self._data)
        if self.fault is not None and self.pairs is None:
            end = self.fault.offset
        shown = _rows_of_params(self._data, end)
        return chain(shown, self.pairs.rows()) if self.pairs is not None else shown

    def chosen_is_there(self) -> bool:
        if self._chosen is None:
            return True
        if self._chosen.kind == "offset" and self._chosen.number < len(self._data):
            return True
        return self.pairs is not None and self.pairs.chosen_is_there()


def _rows_of_params(data: bytes, end: int) -> Iterator[Row | Gap]:
    """The head and the entries of a set that is sound up to the offset `end`."""
    at = data.find(b"\n", 0, end) + 1
    if not at:
        return
    yield Row(0, data[:at], at, f"total {int(data[: at - 1]):,}: the bytes of all entries")
    number = 0
    while at < end and number < _SHOWN_PARAMS:
        for name in ("name", "value"):
            digits, _, _ = data[at : at + 11].partition(b" ")
            begin = at + len(digits) + 1
            stop = begin + int(digits or b"0") + 1
            if stop > end:
                return
            item = data[begin : stop - 1]
            words = f"{name}, {counted(len(item), 'byte')}: {quoted_text(item)}"
            which = f"parameter {number:,}: " if name == "name" else ""
            yield Row(at, data[at:stop], stop - at, which + words)
            at = stop
        number += 1
    if at < end:
        yield Gap(f"{end - at:,} bytes left out")


class ResultFile(Kind):
    """A result file of a job: a header, frames, and a trailer with their checksum."""

    title = "a result file of a job"

    def __init__(self, chosen: Chosen | None = None) -> None:
        self._chosen = chosen
        self._header = self._end = b""
        self._frames: Frames | None = None
        self._crc = 0

    def feed(self, data: bytes) -> None:
        if self._frames is None:
            self._header += data
            line, newline, rest = self._header.partition(b"\n")
            if not newline and len(line) < 100:
                return
            if not (newline and line.startswith(RESULT_HEAD)):
                self._fail(0, "no header of a result file", self._header)
                return
            self._header, data = line + newline, rest
            unit = "batch" if line.endswith(OBJECTS.encode()) else "pair"
            self._frames = Frames(self._chosen, offset=len(self._header), unit=unit)
        kept = self._end + data
        records, self._end = kept[:-TRAILER_BYTES], kept[-TRAILER_BYTES:]
        if records:
            self._crc = crc32(records, self._crc)
            self._frames.feed(records)
            self.fault, self.n_good = self._frames.fault, 1 + self._frames.n_good

    def close(self) -> None:
        frames = self._frames
        if frames is None:
            self._fail(0, "no header of a result file", self._header)
        if frames is None or self.fault is not None:
            return
        trailer, offset = decode_trailer(self._end), frames.window.offset
        n_bytes, n_pairs = offset - len(self._header), frames.window.stream.n_pairs
        if trailer is None:
            frames.feed(self._end)
            frames.close()
            self.fault = frames.fault
            if self.fault is None:
                self._fail(frames.window.offset, "the file ends without its trailer", b"")
            return
        frames.close()
        if frames.fault is not None:
            self.fault = frames.fault
        elif trailer[0] != n_bytes:
            what = f"the trailer says {trailer[0]:,} bytes of records, but they have {n_bytes:,}"
            self._fail(offset, what, self._end)
        elif frames.unit == "pair" and trailer[1] != n_pairs:
            what = f"the trailer says {trailer[1]:,} pairs, but there are {n_pairs:,}"
            self._fail(offset, what, self._end)
        elif trailer[2] != self._crc:
            what = f"the checksum is {trailer[2]:08x}, but the records have {self._crc:08x}"
            self._fail(offset, f"{what}: the file is damaged", self._end)

    def _fail(self, offset: int, text: str, data: bytes) -> None:
        self.fault = _fault(offset, text, data)

    def summary(self) -> list[str]:
        if self._frames is None:
            return []
        trailer = decode_trailer(self._end)
        if self._frames.unit == "batch" and trailer is not None:
            return [*self._frames.summary(), counted(trailer[1], "pickled pair")]
        return self._frames.summary()

    def rows(self) -> Iterator[Row | Gap]:
        frames = self._frames
        if frames is None:
            return
        n_header = len(self._header)
        yield Row(0, self._header, n_header, f"header {quoted_text(self._header)}")
        yield from frames.rows()
        trailer = decode_trailer(self._end)
        if trailer is not None and self.fault is None:
            words = f"trailer: {trailer[0]:,} bytes, {trailer[1]:,} pairs, crc32 {trailer[2]:08x}"
            yield Row(frames.window.offset, self._end, TRAILER_BYTES, words, 3)

    def chosen_is_there(self) -> bool:
        return self._frames is not None and self._frames.chosen_is_there()


def _fault(offset: int, text: str, data: bytes) -> Fault:
    return Fault(offset, text, data[:100], quoted_text(data[:ROW_BYTES]) if data else "the end")


def _fault_of(error: ProtocolError, data: bytes) -> Fault:
    """The fault of an error; `data` begins at its offset."""
    fault = _fault(error.offset, str(error), data)
    if isinstance(error, Truncated):
        had = f"{error.had:,} of {error.wanted:,} bytes"
        text = f"the data ends inside the {error.field}, after {had} [{error.clause}]"
        return fault._replace(text=text, words=f"{error.field}, {had}" if data else "the end")
    if isinstance(error, ItemTooLarge):
        text = f"the {error.field} is {error.size:,}, over the limit of 1 GiB [{error.clause}]"
        words = f"{error.field} {error.size:,}"
        return fault._replace(text=text + likely_size(error.size), words=words)
    return fault


KINDS: dict[str, Callable[[Chosen | None], Kind]] = {
    "pairs": Frames,
    "lists": lambda chosen: Frames(chosen, with_lists=True),
    "params": Params,
    "stdin": lambda chosen: Params(chosen, with_pairs=True),
    "result": ResultFile,
}
"""The name of a kind -> what makes a Kind, with the place to be shown or None."""
