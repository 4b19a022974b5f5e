"""Web addresses: `http://` and `https://`, read as they come; whether one is there shows in the task.

What another try may mend (a refused or broken connection, a time-out, the statuses 408, 429 and 5xx) is tried again
here, ATTEMPTS times in all, with pauses that double. When a connection breaks inside a body, the rest is asked for
as a range of the same entity, which its ETag or else Last-Modified tells; where that is not to be had, it is an
error. What is left is a DataError; a request that the server refuses for what it is, a JobError.

A body with neither a length nor chunks ends where its connection does: there alone an end that came too early can
go unnoticed, unless the connection was reset.

`http://host/ddfs/tag/NAME` is a tag and stands for what it lists; see `tag`.
"""

from __future__ import annotations

import email.utils
import http.client
import io
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from kvproto.classic.schemes import Input
from kvproto.errors import DataError, JobError

__all__ = ["ATTEMPTS", "fetch", "find", "open"]

ATTEMPTS = 5
"""Requests at most until one is answered, and breaks of connections in a row without a byte between them."""

_TIMEOUT = 60.0
"""Seconds without a byte from a server."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
"""Seconds: before the second attempt; at most, whatever Retry-After asks for."""

Sleep = Callable[[float], object]


def find(url: str) -> Iterable[Input]:
    """The address, its size unknown."""
    if urllib.parse.urlsplit(url).path.startswith("/ddfs/tag/"):
        from kvproto.classic.schemes import tag

        return tag.find(url)
    return [Input(url, None, False)]


def open(url: str, start: int, end: int | None, *, sleep: Sleep = time.sleep) -> tuple[BinaryIO, int | None]:
    """The body of the response to a GET. `sleep(seconds)` is called between attempts."""
    response = _request(url, {}, sleep)
    return io.BufferedReader(_Body(response, url, sleep), 1 << 16), response.length


def fetch(url: str) -> bytes:
    """All of a body: for documents that are read before a job starts. DataError whatever went wrong."""
    try:
        file, _ = open(url, 0, None)
    except JobError as e:
        raise DataError(str(e), code=getattr(e.__cause__, "code", None)) from e
    with file:
        return file.read()


def _request(url: str, headers: Mapping[str, str], sleep: Sleep) -> http.client.HTTPResponse:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            request = urllib.request.Request(url, headers=dict(headers))
            return urllib.request.urlopen(request, timeout=_TIMEOUT)
        except (ValueError, http.client.InvalidURL) as e:  # no address
            raise JobError(f"input {url}: {e}") from e
        except (OSError, http.client.HTTPException) as e:
            if isinstance(e, urllib.error.HTTPError):
                e.close()
            if _is_final(e):
                raise JobError(f"input {url}: {e}") from e
            if attempt == ATTEMPTS:
                what = e.reason if type(e) is urllib.error.URLError else e
                raise DataError(f"input {url}: {what}; {ATTEMPTS} attempts", code=getattr(e, "code", None)) from e
            sleep(_pause(attempt, e))
    raise AssertionError("the last attempt returns or raises")


def _is_final(error: Exception) -> bool:
    """Whether no other try mends it: no such host, a wrong certificate, a status 4xx but 408 Request Timeout and 429."""
    if isinstance(error, urllib.error.HTTPError):
        return 400 <= error.code < 500 and error.code not in (408, 429)
    reason = getattr(error, "reason", error)
    is_nobody = isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME
    return is_nobody or isinstance(reason, ssl.SSLCertVerificationError)


def _pause(attempt: int, error: Exception) -> float:
    """Seconds until the attempt after this one: doubling, or as long as the server asks for, if that is longer."""
    asked = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
    seconds = 0.0
    if asked.isdecimal():
        seconds = float(asked)
    elif asked:
        try:
            seconds = email.utils.parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            pass  # neither seconds nor a date: it says nothing
    return min(max(seconds, _FIRST_PAUSE * 2 ** (attempt - 1)), _LONGEST_PAUSE)


class _Body(io.RawIOBase):
    """The body of a response, whole or an error, over as many connections as that takes."""

    def __init__(self, response: http.client.HTTPResponse, url: str, sleep: Sleep) -> None:
        self._response = response
        self._sleep = sleep
        self._size = response.length
        self._same_entity = _validator(response)
        self._n_given = 0
        self._n_breaks = 0
        self._broken: str | None = None
        self.name = url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while True:
            if self._broken is None:
                n_read = self._read(buffer)
                if n_read or self._broken is None:
                    self._n_given += n_read
                    self._n_breaks = 0
                    return n_read
            self._go_on()

    def _read(self, buffer) -> int:
        """What this connection gives; `_broken` says that, and how, it will not give all."""
        try:
            n_read = self._response.readinto(buffer)
        except http.client.IncompleteRead as e:
            self._broken = "the connection ended before the body did"
            return len(e.partial)
        except (OSError, http.client.HTTPException) as e:
            self._broken = repr(e)
            return 0
        if not n_read and len(buffer) and self._response.length:
            self._broken = f"the connection ended {self._response.length} bytes too early"
        return n_read

    def _go_on(self) -> None:
        """Get the rest of the body over another connection."""
        place = f"input {self.name}: {self._broken}, after {self._n_given} bytes"
        self._n_breaks += 1
        if self._same_entity is None:
            raise DataError(f"{place}; without ETag or Last-Modified the rest cannot be asked for")
        if self._n_breaks == ATTEMPTS:
            raise DataError(f"{place}; {ATTEMPTS} times in a row")
        self._response.close()
        self._sleep(_FIRST_PAUSE * 2 ** (self._n_breaks - 1))
        range_ = {"Range": f"bytes={self._n_given}-", "If-Range": self._same_entity}
        try:
            response = _request(self.name, range_, self._sleep)
        except JobError as e:
            raise DataError(f"{place}; asked for the rest: {e}") from e
        self._response = response
        self._broken = None
        if response.status != 206:
            raise DataError(f"{place}; the rest cannot be had: the data has changed, or the server gives no ranges")
        start, size = _content_range(response)
        is_same_size = None in (size, self._size) or size == self._size
        is_same = is_same_size and _validator(response) in (None, self._same_entity)
        if start != self._n_given or not is_same:
            raise DataError(f"{place}; asked for the rest, the server gave another part or other data")

    def close(self) -> None:
        self._response.close()
        super().close()


def _validator(response: http.client.HTTPResponse) -> str | None:
    """What tells the same bytes: a strong ETag, else Last-Modified."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _content_range(response: http.client.HTTPResponse) -> tuple[int | None, int | None]:
    """Where the part of a 206 begins, and the size of the whole; None for what it does not say."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])
