"""Chains of streams: how an input becomes entries, and how the pairs of an output become bytes.

    input_stream(stream, size, url, params)        returns a stream, or (stream, size, url)
    output_stream(stream, partition, url, params)  returns a stream, or (stream, url)

Each function gets what the one before it returned. The last input stream is iterated over, the last
output stream is added to. A function with three arguments gets no params.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

__all__ = ["InputStream", "OutputStream", "chain_input", "chain_output", "name_of"]


class InputStream:
    """An input as a file: `read` gives its content, iterating gives its entries.

    A base class for streams.

    Parameters
    ----------
    stream
        The file that it reads; also an attribute.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the entries: those of the stream below."""
        return iter(self.stream)

    def read(self, num_bytes: int | None = None) -> Any:
        """Read at most num_bytes of the input, or all that is left."""
        return self.stream.read(-1 if num_bytes is None else num_bytes)

    def close(self) -> None:
        """Called at the end of reading, which may be early; then the stream below is closed."""


class OutputStream:
    """An output as a file.

    A base class for streams whose `add` turns a pair into bytes and writes them.

    Parameters
    ----------
    stream
        The file that it writes to; also an attribute.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def add(self, key: Any, value: Any) -> None:
        """Add a pair."""
        raise NotImplementedError(
            f"{type(self).__name__} has no add(key, value), which must encode and write a pair"
        )

    def write(self, data: bytes) -> None:
        """Write bytes to the stream below, past `add`."""
        self.stream.write(data)

    def close(self) -> None:
        """Called after the last pair, to write what is left; then the stream below is closed."""

    @property
    def path(self) -> str:
        """The path of the file below."""
        path: str = self.stream.path
        return path


def chain_input(
    streams: Sequence[Callable[..., Any]], stream: Any, size: int | None, url: str, params: Any
) -> tuple[Any, int | None, str]:
    """Call the functions of an input one after the other.

    Parameters
    ----------
    streams
        Input stream functions.
    stream, size, url
        What the first of them gets: a file or None, its size in bytes or None, the URL of the
        input.
    params
        The parameters of the job.

    Returns
    -------
    tuple
        (stream, size, url) from the last function. The stream can be iterated over once, or read.
        Its `close` also closes the streams below it, but not the one that was passed in.

    Raises
    ------
    TypeError
        A function returned neither a stream nor such a tuple; the text names it.
    """
    with ExitStack() as opened:
        for function in streams:
            below, result = stream, _call(function, stream, size, url, params)
            if isinstance(result, tuple) and len(result) == 3:
                stream, size, url = result
            else:
                stream = result
            if isinstance(stream, (str, bytes, tuple)) or not (
                isinstance(stream, Iterable) or hasattr(stream, "read")
            ):
                raise TypeError(
                    f"{name_of(function)} returned {result!r:.200} for the input {url}: an input "
                    "stream function must return a stream, which is a file or yields entries, "
                    "or (stream, size, url)"
                )
            if stream is not below:
                _close_later(stream, opened)
        return _InputChain(stream, opened.pop_all()), size, url


def chain_output(
    streams: Sequence[Callable[..., Any]], stream: Any, partition: int, url: str, params: Any
) -> Any:
    """Call the functions of an output one after the other.

    Parameters
    ----------
    streams
        Output stream functions.
    stream
        The file below them. It stays open.
    partition
        The number of the partition whose pairs are written, from 0.
    url
        Where the output is written.
    params
        The parameters of the job.

    Returns
    -------
    stream
        The last stream, with add(key, value). Its `close` also closes those below it.

    Raises
    ------
    TypeError
        A function returned no stream, or the last one a stream without add(key, value); the text
        names it.
    """
    opened = ExitStack()  # not closed when a function fails: closing an output may complete it
    function = None
    for function in streams:
        result = _call(function, stream, partition, url, params)
        below = stream
        stream, url = result if isinstance(result, tuple) and len(result) == 2 else (result, url)
        if not (hasattr(stream, "add") or hasattr(stream, "write")):
            raise TypeError(
                f"{name_of(function)} returned {result!r:.200}: an output stream function must "
                "return a stream, which has write(data) or add(key, value), or (stream, url)"
            )
        if stream is not below:
            _close_later(stream, opened)
    if not hasattr(stream, "add"):
        name = name_of(function) if function else "an empty chain"
        raise TypeError(
            f"{name} returned {stream!r:.200}, which has no add(key, value) for the pairs: "
            "use disco_output_stream or plain_output_stream as the last function"
        )
    return _Chain(stream, opened)


class _Chain:
    """The last stream of a chain; closing it closes all of them.

    It keeps all of them alive: a text file that is deleted closes its `buffer`, which the stream
    above may still read.
    """

    def __init__(self, last: Any, opened: ExitStack) -> None:
        self._last = last
        self.close = opened.close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._last, name)


class _InputChain(_Chain):
    _entries: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self._entries is None:
            self._entries = iter(self._last)
        return self._entries

    def __next__(self) -> Any:
        return next(iter(self))


def _close_later(stream: Any, opened: ExitStack) -> None:
    if hasattr(stream, "close"):
        opened.callback(stream.close)


def _call(
    function: Callable[..., Any], stream: Any, size_or_partition: int | None, url: str, params: Any
) -> Any:
    arguments = (stream, size_or_partition, url, params)
    return function(*arguments) if _takes_params(function) else function(*arguments[:3])


def _takes_params(function: Callable[..., Any]) -> bool:
    """Whether the fourth parameter is for params, and not an option as that of re_reader."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature
        return True
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 4:
        return False
    fourth = positional[3]
    return fourth.name == "params" or fourth.default is fourth.empty or fourth.default is None


def name_of(function: Callable[..., object]) -> str:
    """Return the name of a job function for messages, such as "wordcount.WordCount.map"."""
    function = getattr(function, "func", function)  # what a functools.partial calls
    module = getattr(function, "__module__", None)
    name: str = getattr(function, "__qualname__", None) or repr(function)
    return f"{module}.{name}" if module and module != "__main__" else name
