"""Data that somebody changed, and calls that must end with a result or an error."""

import re
import signal
from contextlib import contextmanager, suppress

from hypothesis import assume
from hypothesis import strategies as st

from kvproto.errors import KVProtoError

ODD = [b"NaN", b"-1", b"1e999", b"[]", b"{}", b"null", b'""', b"true", b'"\\ud800"', b'"\\u0000"']
ODD += [b"9" * 5000, b"[" * 9999, b'{"":' * 9999]
ODD += [
    b"\0",
    b"\xff",
    b"\n",
    b"\r\n",
    b" ",
    b"://",
    b"$",
    b"%00",
    b"\xd9\xa3",
    b"18446744073709551615",
    b"-0x1",
]


@st.composite
def changed(draw, data):
    """Data that somebody changed: pieces cut out, doubled, or replaced by others."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)) | st.just(len(data)))
        piece = draw(
            st.sampled_from(ODD)
            | st.binary(max_size=20)
            | st.just(data[start:end] * 2)
            | st.just(b"")
        )
        data = data[:start] + piece + data[end:]
    assume(not names_the_root(data))
    return data


def names_the_root(data):
    """Whether data names the root directory, all files of which would be an input."""
    return re.search(rb"(^|[\s\"])(file:)?/[/.]*($|[\s\"])", data)


@contextmanager
def in_time(seconds=20):
    """Ends what hangs by a failure."""

    def fail(number, frame):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ends(*reads):
    """Call each of reads: an error of another tree, or a hang, fails the test."""
    for read in reads:
        with in_time(), suppress(KVProtoError):
            read()


def consumed(iterator):
    for _ in iterator:
        pass
