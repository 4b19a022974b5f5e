"""Streams and chains of functions that make them: how an input becomes entries, and an output's pairs bytes.

    input_stream(stream, size, url, params)        gives a stream, or (stream, size, url)
    output_stream(stream, partition, url, params)  gives a stream, or (stream, url)

Each function gets what the one before it gave. The last input stream is iterated over, the last output stream is
added to. A function may do without params, when it takes three arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

__all__ = ["InputStream", "OutputStream", "chain_input", "chain_output", "name_of"]


class InputStream:
    """An input as a file: `read` gives what is in it, iterating gives the entries. Derive from it what makes others.

    stream  the file that it reads, at that name
    """

    def __init__(self, stream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator:
        """The entries: those of the stream below."""
        return iter(self.stream)

    def read(self, num_bytes: int | None = None):
        """At most num_bytes of the input, all that is left without it."""
        return self.stream.read(-1 if num_bytes is None else num_bytes)

    def close(self) -> None:
        """Called when the input has been read, or not to its end; the stream below is closed after this one."""


class OutputStream:
    """An output as a file. Derive from it what turns a pair into bytes, in `add`, and write those.

    stream  the file that it writes to, at that name
    """

    def __init__(self, stream) -> None:
        self.stream = stream

    def add(self, key, value) -> None:
        """Add a pair."""
        raise NotImplementedError(
            f"{type(self).__name__} has no add(key, value), which encodes a pair and writes that"
        )

    def write(self, data: bytes) -> None:
        """Write bytes to the stream below, past `add`."""
        self.stream.write(data)

    def close(self) -> None:
        """Called after the last pair; what is held back is to be written. The stream below is closed after this one."""

    @property
    def path(self) -> str:
        """The path of the file that is written in the end."""
        return self.stream.path


def chain_input(streams: Sequence[Callable], stream, size: int | None, url: str, params) -> tuple:
    """Call the functions of an input one after the other: (stream, size, url) as the last of them leaves it.

    The stream is iterated over once; its `close` closes those below it too, but not the one that is handed in.
    TypeError names the function that gives neither a stream nor such a tuple. A stream can be iterated over or read.
    """
    with ExitStack() as made:
        for function in streams:
            below, given = stream, _call(function, stream, size, url, params)
            if isinstance(given, tuple) and len(given) == 3:
                stream, size, url = given
            else:
                stream = given
            if isinstance(stream, (str, bytes, tuple)) or not (
                isinstance(stream, Iterable) or hasattr(stream, "read")
            ):
                raise TypeError(
                    f"{name_of(function)} gave {given!r:.200} for the input {url}: an input stream function gives "
                    "a stream, which is a file or yields entries, or (stream, size, url)"
                )
            if stream is not below:
                _to_be_closed(stream, made)
        return _InputChain(stream, made.pop_all()), size, url


def chain_output(streams: Sequence[Callable], stream, partition: int, url: str, params):
    """Call the functions of an output one after the other: the last stream, whose `close` closes those below it too.

    `stream`, the sink that is handed in, is left open. TypeError names the function that gives no stream, or, as the
    last one, a stream without add(key, value).
    """
    made = ExitStack()  # not to be left when a function fails: closing an output may finish it
    function = None
    for function in streams:
        given = _call(function, stream, partition, url, params)
        below, (stream, url) = (
            stream,
            given if isinstance(given, tuple) and len(given) == 2 else (given, url),
        )
        if not (hasattr(stream, "add") or hasattr(stream, "write")):
            raise TypeError(
                f"{name_of(function)} gave {given!r:.200}: an output stream function gives a stream, "
                "which has write(data) or add(key, value), or (stream, url)"
            )
        if stream is not below:
            _to_be_closed(stream, made)
    if not hasattr(stream, "add"):
        name = name_of(function) if function else "an empty chain"
        raise TypeError(
            f"{name} gave {stream!r:.200}, which has no add(key, value) for the pairs: "
            "disco_output_stream or plain_output_stream, as the last one, gives a stream that has"
        )
    return _Chain(stream, made)


class _Chain:
    """The last stream of a chain, but that closing it closes all.

    It holds them all: a text file that nobody holds closes its `buffer`, which the stream above may still read.
    """

    def __init__(self, last, made: ExitStack) -> None:
        self._last = last
        self.close = made.close

    def __getattr__(self, name: str):
        return getattr(self._last, name)


class _InputChain(_Chain):
    _entries: Iterator | None = None

    def __iter__(self) -> Iterator:
        if self._entries is None:
            self._entries = iter(self._last)
        return self._entries

    def __next__(self):
        return next(iter(self))


def _to_be_closed(stream, made: ExitStack) -> None:
    if hasattr(stream, "close"):
        made.callback(stream.close)


def _call(function: Callable, stream, size_or_partition, url: str, params):
    arguments = (stream, size_or_partition, url, params)
    return function(*arguments) if _takes_params(function) else function(*arguments[:3])


def _takes_params(function: Callable) -> bool:
    """Whether the fourth argument is params: not so when it has a default of its own, as in re_reader and its like."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # of a builtin, which does not tell
        return True
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 4:
        return False
    fourth = positional[3]
    return fourth.name == "params" or fourth.default is fourth.empty or fourth.default is None


def name_of(function: Callable[..., object]) -> str:
    """Name a job function for a person: "wordcount.WordCount.map"."""
    function = getattr(function, "func", function)  # what a functools.partial calls
    module = getattr(function, "__module__", None)
    name: str = getattr(function, "__qualname__", None) or repr(function)
    return f"{module}.{name}" if module and module != "__main__" else name
