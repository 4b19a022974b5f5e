"""The driver: one external program as a map or a reduce, over the protocol of PROTOCOL.md.

Promises: it writes ahead and never waits for a list, with bounded memory; a worker that fails in whatever
way ends in an error of its own class that says where; nothing of the worker is left afterwards, neither a
process nor its directory. Refuses to know: jobs, partitions, where pairs come from or go to.
Implements the driver's side of MAP, REDUCE, STDERR, LIFECYCLE and FILES.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from kvproto.driver.contents import as_bytes
from kvproto.driver.exchange import Exchange, Timeouts
from kvproto.driver.process import SupervisedProcess
from kvproto.driver.source import BytesSource, DescriptorSource, PairSource
from kvproto.errors import FilesError, WorkerNotStarted
from kvproto.protocol.frames import MAX_ITEM, ListDecoder, Pair, PairDecoder
from kvproto.protocol.messages import Message
from kvproto.protocol.params import encode_params
from kvproto.protocol.stream import FrameStream

__all__ = ["ExternalProgram", "external"]

MODES = ("map", "reduce")

Files = Mapping[str, bytes | str] | Iterable[str | os.PathLike]


def external(files: Iterable[str | os.PathLike]) -> dict[str, bytes]:
    """Package an external program for a job: {"op": its bytes, "<base name>": bytes of a supporting file, ...}.

    files   paths; the first is the executable, the rest its supporting files, in any order

    Raises FilesError for no file at all or two of one base name, WorkerNotStarted for a program that is
    not there or not executable, OSError for a supporting file that cannot be read (FILES-1, FILES-2).
    """
    if isinstance(files, (str, bytes, os.PathLike)):
        raise TypeError("external() takes a list of paths; for one program: external([path])")
    paths = [os.fspath(path) for path in files]
    if not paths:
        raise FilesError("external() needs at least one path: the program")
    program, *others = paths
    packaged = {"op": _read_program(program)}
    for path in others:
        name = os.path.basename(path)
        if name in packaged:
            raise FilesError(
                f"{path}: the directory of a worker is flat and has a file {name!r} already; rename one [FILES-2]"
            )
        packaged[name] = _read(path)
    return packaged


class ExternalProgram:
    """An external program, to be run as a map or a reduce as often as you like; a context manager.

    files        what `external` takes or gives: a list of paths, or {"op": bytes, "<name>": bytes, ...}
    mode         "map" or "reduce", when it is to be used as that alone; None for both
    params       what `encode_params` takes: a dict (default {}), str or bytes for raw parameters, None for none
    args         arguments for the program, before the mode
    start        seconds until the program has been executed
    idle         seconds without a byte moving in any direction while it is waited for; None: for ever
    total        seconds for a whole run; None (default): no limit
    grace        seconds from the last thing it has to do until it has exited
    on_message   called with each `Message` of its stderr, as it comes
    max_item     bytes, limit of an item in either direction (LIMITS-1)

    Leaving the context kills what still runs. Raises FilesError for names that break FILES-2, and what
    `external` raises. Every method raises a WorkerError of its own kind for each way of failing; what it has
    given by then is to be discarded (LIFECYCLE-4).
    """

    def __init__(
        self,
        files: Files,
        *,
        mode: str | None = None,
        params: Mapping | str | bytes | None = {},
        args: Iterable[str] = (),
        start: float = 30.0,
        idle: float | None = 300.0,
        total: float | None = None,
        grace: float = 10.0,
        on_message: Callable[[Message], object] | None = None,
        max_item: int = MAX_ITEM,
    ) -> None:
        if mode is not None and mode not in MODES:
            raise ValueError(f"mode is 'map', 'reduce' or None, not {mode!r}")
        for name, seconds in (("start", start), ("idle", idle), ("total", total), ("grace", grace)):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} is a number of seconds above 0, or None, not {seconds!r}")
        if isinstance(files, Mapping):
            self._files, self.name = _checked_files(files), "op"
        else:
            paths = list(files) if not isinstance(files, (str, bytes, os.PathLike)) else files
            self._files = external(paths)
            self.name = os.fspath(paths[0])
        self._mode = mode
        self._params = encode_params(params)
        self._args = [str(arg) for arg in args]
        self._timeouts = Timeouts(start, idle, total, grace)
        self._on_message = on_message
        self._max_item = max_item
        self._live: set[Exchange] = set()

    def map(self, entries: Iterable[bytes | str | tuple]) -> Iterator[list[Pair]]:
        """Run it as a map: one list of (bytes, bytes) for each entry, in order (MAP-2).

        entries   iterable of bytes or str (the value of a pair with an empty key), or of (key, value)

        While entries is asked for its next one, everything else stands still; what comes at its leisure is better
        given as a descriptor to `map_frames`.
        """
        if isinstance(entries, (bytes, str)):
            raise TypeError("map() takes an iterable of entries; for a single one: map([entry])")
        decoder = ListDecoder(max_item=self._max_item)
        with self._exchange(
            "map", PairSource(entries, with_entries=True, max_item=self._max_item)
        ) as exchange:
            for data in exchange.output(decoder):
                lists = exchange.decoded(decoder, data)
                exchange.answered(exchange.n_lists + len(lists))
                yield from lists

    def reduce(self, pairs: Iterable[tuple]) -> Iterator[Pair]:
        """Run it as a reduce: the pairs of its lists, one by one, as they come (REDUCE-2).

        pairs   iterable of (key, value), bytes or str
        """
        # A list may be as long as the whole output: its pairs are given as they come, not when it is complete.
        lists = FrameStream(with_lists=True, max_item=self._max_item)
        decoder = PairDecoder(max_item=self._max_item)
        with self._exchange(
            "reduce", PairSource(pairs, with_entries=False, max_item=self._max_item)
        ) as exchange:
            for data in exchange.output(lists):
                yield from decoder.feed(exchange.decoded(lists, data))

    def map_frames(self, frames: int | Iterable[bytes]) -> Iterator[bytes]:
        """Run it as a map without an object per pair: framed pairs in, the pairs of its lists out, one behind the other.

        frames   a readable file descriptor, or an iterable of bytes; pairs as `encode_pairs` makes them, cut anywhere

        Gives bytes, cut anywhere. Raises ProtocolError when frames break the framing.
        """
        return self._frames("map", frames)

    def reduce_frames(self, frames: int | Iterable[bytes]) -> Iterator[bytes]:
        """Run it as a reduce without an object per pair; frames and what it gives are as for `map_frames`."""
        return self._frames("reduce", frames)

    def pipe_frames(
        self, mode: str, frames: int | Iterable[bytes], write: Callable[[memoryview], object]
    ) -> None:
        """As `map_frames` or `reduce_frames`, by mode, to a function: the fastest way from one descriptor to another.

        write   called with each piece, a memoryview that is valid during the call only
        """
        for pairs in self._views(mode, frames):
            write(pairs)

    def close(self) -> None:
        """Kill what still runs and wait until it is gone; an iterator that is still in use raises KVProtoError."""
        for exchange in tuple(self._live):
            exchange.close()

    def __enter__(self) -> ExternalProgram:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _frames(self, mode: str, frames: int | Iterable[bytes]) -> Iterator[bytes]:
        for pairs in self._views(mode, frames):
            yield bytes(pairs)

    def _views(self, mode: str, frames: int | Iterable[bytes]) -> Iterator[memoryview]:
        lists = FrameStream(with_lists=True, max_item=self._max_item)
        kind = DescriptorSource if isinstance(frames, int) else BytesSource
        with self._exchange(mode, kind(frames, max_item=self._max_item)) as exchange:
            for data in exchange.output(lists):
                pairs = exchange.decoded(lists, data)
                exchange.answered(lists.n_lists)
                if pairs:
                    yield pairs

    def _exchange(self, mode: str, source) -> Exchange:
        if self._mode not in (None, mode):
            raise ValueError(f"this program was made with mode={self._mode!r}")
        return Exchange(
            SupervisedProcess(self._files, [*self._args, mode]),
            source,
            argv=[self.name, *self._args, mode],
            answers_each_pair=mode == "map",
            preamble=self._params,
            timeouts=self._timeouts,
            on_message=self._on_message,
            live=self._live,
        )


def _read_program(path: str) -> bytes:
    trouble = advice = ""
    if not os.path.exists(path):
        trouble, advice = (
            "there is no such file",
            "give the path of the program; PATH is not searched",
        )
    elif not os.path.isfile(path):
        trouble, advice = "it is not a regular file", "give the path of the program"
    elif not os.access(path, os.X_OK):
        trouble, advice = "it is not executable", f"chmod +x {path}"
    if trouble:
        raise WorkerNotStarted(trouble, argv=[path], advice=advice)
    return _read(path)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _checked_files(files: Mapping[str, bytes | str]) -> dict[str, bytes]:
    if "op" not in files:
        raise FilesError(
            "the files of an external program have no 'op', the program itself [FILES-1]"
        )
    checked = {}
    for name, content in files.items():
        if (
            not isinstance(name, str)
            or not name
            or "/" in name
            or "\0" in name
            or name in (".", "..")
        ):
            raise FilesError(
                f"{name!r} is not a plain file name: the directory of a worker is flat [FILES-2]"
            )
        checked[name] = as_bytes(content, repr(name))
    return checked
