"""External programs: run one as a map or a reduce.

The driver writes ahead without waiting for answers, in bounded memory. Each kind of failure has its
own error class. No process and no directory of a worker is left at the end.
Implements the driver's side of MAP, REDUCE, STDERR and LIFECYCLE.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from kvproto.driver.cores import keep_core
from kvproto.driver.exchange import Decoded_co, Decoder, Exchange
from kvproto.driver.files import Path, ProgramFiles, checked_files, external, paths_of
from kvproto.driver.limits import LIMITS, Limits, checked_limit
from kvproto.driver.load import Load, measured
from kvproto.driver.pinpoint import Steps, can_pinpoint, pinpoint
from kvproto.driver.process import SupervisedProcess
from kvproto.driver.source import BytesSource, DescriptorSource, FileRange, PairSource, Source
from kvproto.driver.whole_lists import Failed, Lists, WholeLists, lists_without_failures
from kvproto.driver.window import Window
from kvproto.errors import WorkerCrashed, WorkerError
from kvproto.protocol.dealing import Dealer, Write
from kvproto.protocol.frames import MAX_ITEM, ListDecoder, Pair, PairDecoder
from kvproto.protocol.messages import Message
from kvproto.protocol.params import Params, encode_params
from kvproto.protocol.stream import FrameStream

__all__ = ["ExternalProgram", "external"]

MODES = ("map", "reduce")

Item = bytes | str
Files = Mapping[str, bytes | str] | Iterable[Path]


class ExternalProgram:
    """An external program, which can run as a map or a reduce any number of times.

    Leaving the context kills the runs that have not ended.

    Parameters
    ----------
    files : iterable of paths, or mapping of str to bytes
        Paths as for `external`, or what it returns.
    mode : {"map", "reduce"}, optional
        The only mode that the program supports.
    params : dict, str, bytes or None
        The parameters, as `encode_params` accepts them.
    args : iterable of str
        Arguments of the program; the mode follows them.
    start : float or None
        Seconds until the program is executed. None is no limit, here and below.
    idle : float or None
        Seconds without any byte read or written while the driver waits for the program.
    total : float or None
        Seconds for a whole run.
    grace : float or None
        Seconds in which the program must exit when it has nothing left to do.
    pinpoint : float, None or False
        Seconds for the search of the record at which a map fails. The pairs without an answer are
        played again to fresh runs of the program; the error says what that shows. False or 0: no
        search.
    on_message : callable, optional
        Called with each `Message` of its stderr as it arrives.
    max_item : int
        Limit of an item in bytes, in either direction (LIMITS-1).
    core_directory : str or None
        A directory that gets the core file of a run that crashes, if the system writes one into the
        program's working directory.

    Attributes
    ----------
    load : Load
        What its runs have used until now.

    Raises
    ------
    FilesError
        Names break FILES-2.
    WorkerNotStarted, OSError
        As `external`.

    Notes
    -----
    The methods raise a subclass of `WorkerError` for each kind of failure. Discard what a run has
    yielded before its error (LIFECYCLE-4).
    """

    def __init__(
        self,
        files: Files,
        *,
        mode: str | None = None,
        params: Params = {},  # noqa: B006  # never changed, and it shows what the default is
        args: Iterable[str] = (),
        start: float | None = LIMITS.start,
        idle: float | None = LIMITS.idle,
        total: float | None = LIMITS.total,
        grace: float | None = LIMITS.grace,
        pinpoint: float | None = LIMITS.pinpoint,
        on_message: Callable[[Message], object] | None = None,
        max_item: int = MAX_ITEM,
        core_directory: str | None = None,
    ) -> None:
        if mode is not None and mode not in MODES:
            raise ValueError(f"mode must be 'map', 'reduce' or None, not {mode!r}")
        limits = Limits(start, idle, total, grace, pinpoint)
        self._limits = Limits(*map(checked_limit, limits._fields, limits))
        if isinstance(files, Mapping):
            self._files = checked_files(files)
            self.name = files.paths.get("op", "op") if isinstance(files, ProgramFiles) else "op"
        else:
            paths = paths_of(files)
            self._files, self.name = external(paths), paths[0]
        self._mode = mode
        self._params = encode_params(params)
        self._args = [str(arg) for arg in args]
        self._on_message = on_message
        self._max_item = max_item
        self._core_directory = core_directory
        self._live: set[Exchange[object]] = set()
        self.load = Load()

    def map(self, entries: Iterable[Item | tuple[Item, Item]]) -> Iterator[list[Pair]]:
        """Run the program as a map.

        Parameters
        ----------
        entries : iterable
            bytes or str (the value of a pair with an empty key), or (key, value).

        Yields
        ------
        list of (bytes, bytes)
            One list for each entry, in order (MAP-2).

        Notes
        -----
        The run blocks while `entries` produces the next entry. For slow input, pass a descriptor
        to `map_frames`.
        """
        if isinstance(entries, (bytes, str)):
            raise TypeError("map() takes an iterable of entries; for a single one: map([entry])")
        source = PairSource(entries, with_entries=True, max_item=self._max_item)
        decoder = ListDecoder(max_item=self._max_item)
        with self._exchange("map", source, decoder, self._on_message) as exchange:
            for lists in exchange.output():
                yield from lists

    def reduce(self, pairs: Iterable[tuple[Item, Item]]) -> Iterator[Pair]:
        """Run the program as a reduce.

        Parameters
        ----------
        pairs : iterable of (key, value)
            bytes or str.

        Yields
        ------
        (bytes, bytes)
            The pairs of the program's lists as they arrive (REDUCE-2).
        """
        # A list may be as long as the whole output: yield its pairs before it is complete.
        source = PairSource(pairs, with_entries=False, max_item=self._max_item)
        lists = FrameStream(with_lists=True, max_item=self._max_item)
        decoder = PairDecoder(max_item=self._max_item)
        with self._exchange("reduce", source, lists, self._on_message) as exchange:
            for frames in exchange.output():
                yield from decoder.feed(frames)

    def map_frames(
        self, frames: int | Iterable[bytes], set_aside: Failed | None = None
    ) -> Iterator[bytes]:
        """Run the program as a map without creating Python objects for pairs.

        Parameters
        ----------
        frames : int or iterable of bytes
            Encoded pairs: a readable file descriptor, or pieces of bytes, cut anywhere.
        set_aside : callable, optional
            Called with the `WorkerError` of each pair on which the program fails; `record` of the
            error is that pair. A fresh run of the program then takes the pairs after it. This
            needs `frames` that are pieces, and `pinpoint`; a failure that does not come from one
            pair alone is raised as without it. Memory holds the longest list.

        Yields
        ------
        bytes
            The pairs of the program's lists, one after the other, cut anywhere.

        Raises
        ------
        ProtocolError
            The input breaks the framing.
        """
        if set_aside is None:
            return self._frames("map", frames)
        stream = FrameStream(with_lists=True, max_item=self._max_item)
        return (bytes(stream.feed(lists)) for lists in self._lists(frames, set_aside))

    def reduce_frames(self, frames: int | Iterable[bytes | FileRange]) -> Iterator[bytes]:
        """Run the program as a reduce, with the arguments and results of `map_frames`."""
        return self._frames("reduce", frames)

    def pipe_frames(
        self, mode: str, frames: int | Iterable[bytes], write: Callable[[memoryview], object]
    ) -> None:
        """Run the program as `map_frames` or `reduce_frames` does, and write its output.

        This is the fastest way from one descriptor to another.

        Parameters
        ----------
        mode : {"map", "reduce"}
        frames : int or iterable of bytes
            As for `map_frames`.
        write : callable
            Called with each piece, a memoryview that is valid only during the call.
        """
        for pairs in self._views(mode, frames):
            write(pairs)

    def deal_frames(
        self,
        mode: str,
        frames: int | Iterable[bytes | FileRange],
        n_partitions: int,
        write: Write,
        set_aside: Failed | None = None,
    ) -> None:
        """Run the program as `pipe_frames` does, and write the pairs of its output by partition.

        Parameters
        ----------
        mode : {"map", "reduce"}
        frames : int or iterable of bytes
            As for `map_frames`. A reduce may also have ranges of files with pairs that were checked
            before.
        n_partitions : int
            The partition of a pair is crc32(key) % n_partitions.
        write : callable
            write(partition, data, n_pairs) is called with the next bytes of a partition, a
            memoryview that is valid only during the call. It may end inside a pair.
        set_aside : callable, optional
            As for `map_frames`, only in a map.
        """
        dealer = Dealer(n_partitions, write, with_lists=True, max_item=self._max_item)
        if set_aside is None:
            for _ in self._run(mode, frames, dealer):
                pass
        else:
            for lists in self._lists(frames, set_aside):
                dealer.feed(lists)
        dealer.flush()

    def close(self) -> None:
        """Kill the runs that have not ended, and wait until their processes are gone.

        Their iterators then raise KVProtoError.
        """
        for exchange in tuple(self._live):
            exchange.close()

    def __enter__(self) -> ExternalProgram:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _frames(self, mode: str, frames: int | Iterable[bytes | FileRange]) -> Iterator[bytes]:
        for pairs in self._views(mode, frames):
            yield bytes(pairs)

    def _views(self, mode: str, frames: int | Iterable[bytes | FileRange]) -> Iterator[memoryview]:
        lists = FrameStream(with_lists=True, max_item=self._max_item)
        return (pairs for pairs in self._run(mode, frames, lists) if pairs)

    def _lists(self, frames: int | Iterable[Any], set_aside: Failed) -> Iterator[memoryview]:
        """Yield the result lists of a map for all pairs but those that are set aside."""
        if isinstance(frames, int) or self._limits.pinpoint == 0:
            raise ValueError("set_aside needs frames that are not a descriptor, and pinpoint")

        def begin(
            source: Source, decoder: WholeLists, *, n_before: int, is_again: bool
        ) -> AbstractContextManager[Exchange[Lists]]:
            # What a worker has written about pairs that it has read is not reported twice.
            on_message = None if is_again else self._on_message
            return self._exchange("map", source, decoder, on_message, n_before)

        return lists_without_failures(begin, frames, set_aside, self._max_item)

    def _run(
        self,
        mode: str,
        frames: int | Iterable[bytes | FileRange],
        decoder: Decoder[Decoded_co],
    ) -> Iterator[Decoded_co]:
        source: Source
        if isinstance(frames, int):
            source = DescriptorSource(frames, max_item=self._max_item)
        else:
            source = BytesSource(frames, max_item=self._max_item)
        with self._exchange(mode, source, decoder, self._on_message) as exchange:
            yield from exchange.output()

    @contextmanager
    def _exchange(
        self,
        mode: str,
        source: Source,
        decoder: Decoder[Decoded_co],
        on_message: Callable[[Message], object] | None,
        n_before: int = 0,
    ) -> Iterator[Exchange[Decoded_co]]:
        """Start a run. When a map has failed, find the record at which it did."""
        if self._mode not in (None, mode):
            raise ValueError(f"this program was created with mode={self._mode!r}")
        is_kept = mode == "map" and self._limits.pinpoint != 0
        exchange = self._started(
            mode,
            source,
            decoder,
            limits=self._limits,
            on_message=on_message,
            window=Window(source, n_before) if is_kept else None,
        )
        try:
            with exchange:
                try:
                    yield exchange
                except WorkerCrashed as error:
                    if not n_before:  # one core file is enough
                        self._keep_core(error, exchange.process)
                    raise
                finally:
                    self.load = self.load.plus(measured(exchange))
        except WorkerError as error:
            if can_pinpoint(error, exchange):
                pinpoint(error, exchange, self._play)
            raise

    def _keep_core(self, error: WorkerCrashed, process: SupervisedProcess) -> None:
        if self._core_directory is None:
            return
        name = f"core.{os.path.basename(self.name)}.{process.pid}"
        path = os.path.join(self._core_directory, name)
        try:
            if keep_core(process.directory, self._files, path):
                error.dumped(path)
        except OSError as e:
            error.add_note(f"its core file could not be kept: {e}")

    def _play(self, steps: Steps, limits: Limits) -> WorkerError | None:
        """Run a map again on some of its pairs; return how it failed, if it did."""
        lists = FrameStream(with_lists=True, max_item=self._max_item)
        with self._started(
            "map", steps, lists, limits=limits, on_message=None, in_steps=steps.n_steps > 1
        ) as exchange:
            try:
                for _ in exchange.output():
                    pass
            except WorkerError as error:
                return error
        return None

    def _started(
        self,
        mode: str,
        source: Source,
        decoder: Decoder[Decoded_co],
        *,
        limits: Limits,
        on_message: Callable[[Message], object] | None,
        window: Window | None = None,
        in_steps: bool = False,
    ) -> Exchange[Decoded_co]:
        return Exchange(
            SupervisedProcess(self._files, [*self._args, mode]),
            source,
            decoder,
            argv=[self.name, *self._args, mode],
            answers_each_pair=mode == "map",
            params=self._params,
            limits=limits,
            on_message=on_message,
            live=self._live,
            window=window,
            in_steps=in_steps,
        )
