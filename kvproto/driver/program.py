"""External programs: package one, and run it as a map or a reduce.

The driver writes ahead without waiting for answers, in bounded memory. Each kind of failure has its
own error class. No process and no directory of a worker is left at the end.
Implements the driver's side of MAP, REDUCE, STDERR, LIFECYCLE and FILES.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from kvproto.driver.exchange import LIMITS, Decoded_co, Decoder, Exchange, Limits
from kvproto.driver.files import ProgramFiles
from kvproto.driver.process import SupervisedProcess
from kvproto.driver.source import BytesSource, DescriptorSource, FileRange, PairSource, Source
from kvproto.errors import FilesError, WorkerNotStarted
from kvproto.protocol.dealing import Dealer, Write
from kvproto.protocol.frames import MAX_ITEM, ListDecoder, Pair, PairDecoder
from kvproto.protocol.messages import Message
from kvproto.protocol.params import Params, encode_params
from kvproto.protocol.stream import FrameStream

__all__ = ["ExternalProgram", "as_bytes", "external"]

MODES = ("map", "reduce")

Path = str | os.PathLike[str]
Item = bytes | str
Files = Mapping[str, bytes | str] | Iterable[Path]


def external(files: Iterable[Path]) -> dict[str, bytes]:
    """Package an external program for a job.

    Parameters
    ----------
    files : iterable of str or path-like
        The paths of the executable and, after it, of its supporting files.

    Returns
    -------
    dict of str to bytes
        "op" is the program; the others have the base names of their paths.

    Raises
    ------
    FilesError
        There is no path, or two have the same base name (FILES-1, FILES-2).
    WorkerNotStarted
        The program does not exist or is not executable.
    OSError
        A supporting file cannot be read.
    """
    program, *others = _paths(files)
    packaged = ProgramFiles()
    packaged["op"], packaged.paths["op"] = _read_program(program), os.path.abspath(program)
    for path in others:
        name = os.path.basename(path)
        if name in packaged:
            raise FilesError(
                f"{path}: the directory of a worker is flat, and there is already a file {name!r}; "
                "rename one of them [FILES-2]"
            )
        packaged[name], packaged.paths[name] = _read(path), os.path.abspath(path)
    return packaged


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
    on_message : callable, optional
        Called with each `Message` of its stderr as it arrives.
    max_item : int
        Limit of an item in bytes, in either direction (LIMITS-1).

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
        on_message: Callable[[Message], object] | None = None,
        max_item: int = MAX_ITEM,
    ) -> None:
        if mode is not None and mode not in MODES:
            raise ValueError(f"mode must be 'map', 'reduce' or None, not {mode!r}")
        self._limits = Limits(start, idle, total, grace)
        for name, seconds in self._limits._asdict().items():
            if seconds is not None and not seconds > 0:
                raise ValueError(
                    f"{name} must be a number of seconds above 0, or None, not {seconds!r}"
                )
        if isinstance(files, Mapping):
            self._files, self.name = _checked_files(files), "op"
        else:
            paths = _paths(files)
            self._files, self.name = external(paths), paths[0]
        self._mode = mode
        self._params = encode_params(params)
        self._args = [str(arg) for arg in args]
        self._on_message = on_message
        self._max_item = max_item
        self._live: set[Exchange[object]] = set()

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
        with self._exchange("map", source, decoder) as exchange:
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
        with self._exchange("reduce", source, lists) as exchange:
            for frames in exchange.output():
                yield from decoder.feed(frames)

    def map_frames(self, frames: int | Iterable[bytes]) -> Iterator[bytes]:
        """Run the program as a map without creating Python objects for pairs.

        Parameters
        ----------
        frames : int or iterable of bytes
            Encoded pairs: a readable file descriptor, or pieces of bytes, cut anywhere.

        Yields
        ------
        bytes
            The pairs of the program's lists, one after the other, cut anywhere.

        Raises
        ------
        ProtocolError
            The input breaks the framing.
        """
        return self._frames("map", frames)

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
        """
        dealer = Dealer(n_partitions, write, with_lists=True, max_item=self._max_item)
        for _ in self._run(mode, frames, dealer):
            pass
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
        with self._exchange(mode, source, decoder) as exchange:
            yield from exchange.output()

    def _exchange(
        self, mode: str, source: Source, decoder: Decoder[Decoded_co]
    ) -> Exchange[Decoded_co]:
        if self._mode not in (None, mode):
            raise ValueError(f"this program was created with mode={self._mode!r}")
        return Exchange(
            SupervisedProcess(self._files, [*self._args, mode]),
            source,
            decoder,
            argv=[self.name, *self._args, mode],
            answers_each_pair=mode == "map",
            params=self._params,
            limits=self._limits,
            on_message=self._on_message,
            live=self._live,
        )


def as_bytes(content: bytes | str, name: str) -> bytes:
    """Return the content of a file that was read as bytes or as text.

    Parameters
    ----------
    content : bytes or str
        A str is encoded as UTF-8, with lone surrogates as their bytes. An ELF binary may have been
        decoded as latin-1.
    name : str
        The name of the file, for error messages.

    Raises
    ------
    FilesError
        Reading in text mode has changed line ends of the str, or it cannot be encoded.
    TypeError
        The content is neither bytes nor str.
    """
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise TypeError(f"the content of {name} must be bytes or str, not {type(content).__name__}")
    help_text = "open(path, 'rb').read() gives the bytes of a file"
    is_binary = content.startswith("\x7fELF")
    if is_binary and "\r" not in content and "\n" in content:
        raise FilesError(
            f"{name} is a binary that was read as text, which changed its line ends: {help_text}"
        )
    try:
        if is_binary and max(content) <= "\xff":
            return content.encode("latin-1")
        return content.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as e:
        raise FilesError(
            f"{name} cannot be written as bytes: {content[e.start]!r} at character {e.start}: "
            f"{help_text}"
        ) from None


def _paths(files: Iterable[Path]) -> list[str]:
    if isinstance(files, (str, bytes, os.PathLike)):
        raise TypeError("external() takes a list of paths; for one program: external([path])")
    paths = [os.fspath(path) for path in files]
    if not paths:
        raise FilesError("external() needs at least one path: the program")
    return paths


def _read_program(path: str) -> bytes:
    trouble = advice = ""
    if not os.path.exists(path):
        trouble = "there is no such file" if path.strip() else "the path is blank"
        advice = "give the path of the program; PATH is not searched"
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
        is_plain = isinstance(name, str) and name not in ("", ".", "..")
        if not is_plain or "/" in name or "\0" in name:
            raise FilesError(
                f"{name!r} is not a plain file name: the directory of a worker is flat [FILES-2]"
            )
        checked[name] = as_bytes(content, repr(name))
    return checked
