"""What a task reads: splits as entries for a function, or as frames for an external program.

The default entries are the lines with their newline, as str: UTF-8, any other bytes as lone
surrogates (`surrogateescape`), so that they come out as the same bytes. A byte order mark of UTF-8
before the first line is dropped. A reader of the job gets the same file object, with the bytes at
`buffer`. A job with text=False has bytes, and readers get binary files, except for raw://, whose
data was text. For an external program lines become frames without Python objects. Data without
lines, an archive for instance, is an error where lines are read. Compressed inputs are unpacked.

When an input fails, its next replica is read from the start, and what was given already is skipped.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain
from operator import length_hint
from typing import Any, BinaryIO, Protocol

from kvproto._record import Place, set_place
from kvproto.engine.context import pass_str_as_bytes
from kvproto.engine.locating import locate_lines
from kvproto.engine.meter import Meter, MeteredFile
from kvproto.engine.pair_source import check_finished, iterable
from kvproto.engine.plan import Split
from kvproto.engine.spec import External, Function, InputChain, attributes, function_name
from kvproto.engine.task_events import emit_message
from kvproto.errors import DataError, JobError, KVProtoError, WorkerError
from kvproto.inputs.compressed import check_content
from kvproto.inputs.lines import check_text, line_blocks, skip_mark, text_file
from kvproto.inputs.replicas import failover, skip
from kvproto.inputs.schemes import open_input
from kvproto.inputs.streams import chain_input
from kvproto.inputs.unpacking import ahead, content_file, content_of
from kvproto.protocol import native as _native
from kvproto.protocol.frames import MAX_ITEM
from kvproto.storage.atomic import BLOCK
from kvproto.storage.records import pack_frames

__all__ = ["InputReader", "Opener", "UnreadInput", "entry_frame"]


class Opener(Protocol):
    """Opens a part of an input: its file, and the size in bytes of the part where that is known."""

    def __call__(self, url: str, start: int, end: int | None) -> tuple[BinaryIO, int | None]: ...


class UnreadInput(DataError):
    """An input cannot be read or unpacked: `split` is the part of it that the task reads."""

    def __init__(self, split: Split, error: DataError) -> None:
        super().__init__(error.msg, error.url, error.code, is_final=error.is_final)
        self.split = split


class InputReader:
    """The splits of one task, read in order. `place()` says where it is, for an error.

    Attributes
    ----------
    has_failed : bool
        The input could not be read, or a reader or an init function raised.
    n_of_init : int
        How many entries the init function took before the first one of `frames`.
    """

    def __init__(
        self,
        splits: list[Split],
        input_chain: InputChain,
        params: Any,
        meter: Meter,
        *,
        for_function: Function | External,
        init: Function | None = None,
        is_text: bool = True,
        unpack: bool = True,
        opener: Opener = open_input,
        on_open: Callable[[str], None] = lambda url: None,
        skips: bool = False,
    ) -> None:
        self._splits = splits
        self._chain = input_chain
        self._params = params
        self._meter = meter
        self._function = for_function
        self._init = init
        self._is_text = is_text
        self._unpack = unpack
        self._open = opener
        self._on_open = on_open
        self._skips = skips
        self._url = splits[0].url if splits else "none"
        self._n_opened = 0
        self._n_before = self._n_taken = 0
        self._begins: list[tuple[int, Split]] = []  # how many entries were read before each split
        self.n_of_init = 0
        self._part: Sequence[Any] = ()
        self._left: Iterator[Any] = iter(())
        self._is_content = False
        self.has_failed = False

    def entries(self) -> Iterator[Any]:
        """The entries of all splits, after the call of init, which may take some for itself."""
        return chain.from_iterable(self._begun())

    def _begun(self) -> Iterator[Iterator[Any]]:
        """Yield the iterator of all entries, after the call of init."""
        read = self._entries_of if self._chain.functions else self._lines_of
        parts = chain.from_iterable(self._of_replicas(split, read) for split in self._splits)
        entries = chain.from_iterable(parts)
        if self._init is not None:
            try:
                check_finished(self._init(entries, self._params), self._init)
                pass_str_as_bytes(attributes(self._params))
            except Exception:  # whatever the user's function raises
                self.has_failed = True
                raise
        yield entries

    def _of_replicas(
        self, split: Split, read: Callable[[Split, str], Iterator[Any]]
    ) -> Iterator[Any]:
        """Yield what `read(split, url)` gives, and go on with the next replica where one fails.

        n_records (entries) or _n_taken (bytes) counts what was given of the split, for the next
        replica to skip.
        """
        self._n_before = self._meter.n_records
        self._begins.append((self._n_before, split))
        self._n_taken = 0
        return failover((split.url, *split.replicas), partial(read, split), self._failed)

    def _failed(self, error: Exception, is_last: bool) -> None:
        """Note an error of a replica or a reader; none of the map gets here."""
        if not is_last:
            self._meter.failed = None
            emit_message(
                f"{error}; continuing with its next replica, after the entries already read"
            )
            return
        self.has_failed = True
        if isinstance(error, (DataError, JobError)):
            self._meter.failed = error
        if self._skips and isinstance(error, DataError):
            self._meter.failed = UnreadInput(self._begins[-1][1], error)
            raise self._meter.failed from error

    def _entries_of(self, split: Split, url: str) -> Iterator[Iterable[Any]]:
        """Yield entries, one at a time: the next may take its time."""
        meter = self._meter
        with (
            self._opened(split, url) as (file, size),
            self._stream(file, size, url, split.start == 0) as stream,
            _counting_from(split),
        ):
            entries = iter(stream)
            skip(entries, meter.n_records - self._n_before, url)
            for entry in entries:
                self._part = (entry,)
                meter.n_records += 1
                yield self._part
                if meter.n_records == meter.next_status:
                    meter.tell_status()
        meter.check()  # a reader may have caught the error

    def _lines_of(self, split: Split, url: str) -> Iterator[Iterable[str | bytes]]:
        """Yield lines, many of them made and counted at a time."""
        meter = self._meter
        is_text = self._is_text or url.startswith("raw://")
        for block in self._blocks_of(split, url, _LINES):
            for part in self._until_status(_native.split_lines(block, is_text)):
                self._part = part
                meter.n_records += len(part)
                self._left = iter(part)
                yield self._left
                if meter.n_records == meter.next_status:
                    meter.tell_status()

    def _blocks_of(self, split: Split, url: str, n_block: int) -> Iterator[memoryview]:
        """Yield the lines in blocks, without those that another replica gave."""
        with self._opened(split, url) as (file, _):
            if split.start == 0:
                check_text(file, f"input {url}")
                skip_mark(file)
            _skip(file, self._n_taken, url)
            for block in line_blocks(file, url, n_block, MAX_ITEM):
                self._n_taken += len(block)
                yield block

    def _until_status(self, entries: list[Any]) -> Iterator[list[Any]]:
        """Cut a list of entries where a status message is due."""
        while 0 < (n_due := self._meter.next_status - self._meter.n_records) < len(entries):
            yield entries[:n_due]
            entries = entries[n_due:]
        if entries:
            yield entries

    @contextmanager
    def _stream(
        self, file: Any, size: int | None, url: str, is_start: bool
    ) -> Iterator[Iterable[Any]]:
        """What the reader makes of an open input; closed at the end."""
        functions = self._chain.functions
        if file is not None and (self._is_text or url.startswith("raw://")):
            file = text_file(file, is_start)
        stream, _, _ = chain_input(functions, file, size, url, self._params)
        with closing(stream):
            if is_start:
                check_text(stream, f"input {url}")
            yield iterable(stream, functions[-1], "entries")

    def frames(self) -> Iterator[bytes]:
        """Yield entries as frames, cut anywhere: the value of an empty key, or a pair."""
        if self._chain != InputChain() or self._init is not None:
            function = self._chain.functions[-1] if self._chain.functions else self._function
            for number, entry in enumerate(self.entries()):
                if number == 0:
                    self.n_of_init = self._meter.n_records - length_hint(self._left) - 1
                yield entry_frame(entry, number, function)
            return
        for split in self._splits:
            yield from self._of_replicas(split, self._line_frames)

    def _line_frames(self, split: Split, url: str) -> Iterator[bytes]:
        with closing(self._framed(self._blocks_of(split, url, BLOCK))) as frames:
            for first in frames:
                yield first
                # One task reads all of a compressed input: another core makes its frames.
                yield from ahead(frames) if self._is_content else frames

    def _framed(self, blocks: Iterator[memoryview]) -> Generator[bytes]:
        for block in blocks:
            frames, n_lines = _native.frame_lines(block)
            self._meter.add_records(n_lines)
            yield frames

    def place(self, error: BaseException, *, is_in_function: bool) -> str:
        """Where an error is: the input and, for a function, the entry by its number in this task.

        is_in_function: the function raised it for the last entry read; otherwise it may be any of
        those before.
        """
        n_left = length_hint(self._left)  # of the last part, which is counted whole
        n_read = self._meter.n_records - n_left
        if self.has_failed:
            return f"input: {self._url}, after {n_read} entries of this task"
        if not is_in_function:
            before = (
                f", or one of the {self._n_opened - 1} before it in this task"
                if self._n_opened > 1
                else ""
            )
            if isinstance(self._function, External):  # whose errors count the pairs themselves
                return f"input: {self._url}{before}"
            number = f"at or before number {n_read - 1} of this task, counted from 0"
            return f"input: {self._url}{before}\nentry: {number}"
        entry = repr(self._part[len(self._part) - n_left - 1])
        if len(entry) > 300:
            entry = f"{entry[:300]}... ({len(entry)} characters)"
        where: Place | str = self._url
        place = self.locate([n_read - 1])[0]
        if place is not None:
            set_place(error, place)
            where = where if place.start is None else place
        return f"input: {where}\nentry: number {n_read - 1} of this task, counted from 0: {entry}"

    def place_record(self, error: WorkerError) -> str | None:
        """Add to an error where its record comes from; return what else to say of it."""
        number = error.pair_index if error.record is None else error.record.number
        place = None if number is None else self.locate([number + self.n_of_init])[0]
        if place is None:
            return None
        if error.record is None:
            return f"input: {place} (the first pair without an answer)"
        error.placed(place)
        return ""

    def last_number(self) -> int:
        """Return the number in this task, from 0, of the last entry that `entries` has yielded."""
        return self._meter.n_records - length_hint(self._left) - 1

    def locate(self, indexes: Sequence[int]) -> list[Place | None]:
        """Return where the entries with these indexes, in order, come from; None: not read."""
        places: list[Place | None] = []
        ends = [*(begin for begin, _ in self._begins[1:]), self._meter.n_records]
        for (begin, split), end in zip(self._begins, ends, strict=False):
            here = [index - begin for index in indexes if begin <= index < end]
            url = self._url if split is self._begins[-1][1] else split.url
            if self._chain.functions:
                places += [Place(url, index, split.start) for index in here]
            elif here:
                places += locate_lines(split, url, here, self._open, self._unpack)
        return places + [None] * (len(indexes) - len(places))

    @contextmanager
    def _opened(self, split: Split, url: str) -> Iterator[tuple[Any, int | None]]:
        self._url = url
        self._on_open(url)
        self._n_opened += 1
        if not self._chain.opens:
            yield None, None
            return
        file, size = self._open(url, split.start, split.end)
        with file:
            if url == split.url and split.end is None and size is not None and size < split.n_bytes:
                raise DataError(
                    f"input {url}: was cut short after the job began: "
                    f"{size} bytes, it had {split.n_bytes}"
                )
            with io.BufferedReader(MeteredFile(file, url, self._meter), 1 << 18) as buffered:
                content = None
                if self._unpack and split.start == 0:
                    content = content_of(buffered, f"input {url}")
                self._is_content = content is not None
                opened: io.BufferedReader[Any] = buffered
                if content is not None:
                    if url != (split.url, *split.replicas)[-1]:
                        check_content(url)
                    content = ahead(self._meter.watched(content))
                    opened, size = content_file(content, buffered), None
                with opened, _advising(content is not None):
                    yield opened, size


@contextmanager
def _advising(is_unpacked: bool) -> Iterator[None]:
    """Add advice to an error of a reader that may unpack what is unpacked already."""
    try:
        yield
    except Exception as e:  # whatever the user's function raises
        if is_unpacked and not isinstance(e, KVProtoError):
            e.add_note("the input was compressed; with unpack=False the reader gets it as it is")
        raise


@contextmanager
def _counting_from(split: Split) -> Iterator[None]:
    """Add to an error in a part of an input where its reader began to count the lines."""
    try:
        yield
    except DataError as e:
        if split.start:
            e.add_note(f"lines: counted from the first one that begins at byte {split.start}")
        raise


def entry_frame(entry: Any, number: int, function: Function | External | None) -> bytes:
    """An entry as a frame. TypeError names the function that made what cannot be one."""
    try:
        return pack_frames([entry if isinstance(entry, tuple) else ("", entry)], number)
    except (TypeError, ValueError) as e:
        raise type(e)(
            f"{function_name(function)} returned an entry that cannot be sent to a program: {e}"
        ) from None


_LINES = 1 << 16  # bytes: lines that become Python objects at a time


def _skip(file: Any, n_bytes: int, url: str) -> None:
    while n_bytes:
        block = file.read(min(BLOCK, n_bytes))
        if not block:
            raise DataError(f"input {url}: shorter than its replica, {n_bytes} bytes are missing")
        n_bytes -= len(block)
