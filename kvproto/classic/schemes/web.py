"""Web addresses: `http://` and `https://`, read as they come; whether one is there shows in the task.

What another try may mend is a DataError; a request that the server refuses for what it is, a JobError.
"""

from __future__ import annotations

import http.client
import io
import urllib.error
import urllib.request
from typing import BinaryIO

from kvproto.classic.schemes import Input
from kvproto.errors import DataError, JobError

__all__ = ["find", "open"]

_TIMEOUT = 60.0
"""Seconds without a byte from a server."""


def find(url: str) -> list[Input]:
    """The address, its size unknown."""
    return [Input(url, None, False)]


def open(url: str, start: int, end: int | None) -> tuple[BinaryIO, int | None]:
    """The body of the response to a GET."""
    try:
        response = urllib.request.urlopen(url, timeout=_TIMEOUT)
    except (ValueError, http.client.InvalidURL) as e:  # no address
        raise JobError(f"input {url}: {e}") from e
    except (OSError, http.client.HTTPException) as e:
        raise (JobError if _is_final(e) else DataError)(f"input {url}: {e}") from e
    return io.BufferedReader(_Response(response, url), 1 << 16), response.length


def _is_final(error: Exception) -> bool:
    """Whether it is a status 4xx, the request's own fault, but not 408 Request Timeout or 429 Too Many Requests."""
    return isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code not in (408, 429)


class _Response(io.RawIOBase):
    """The body of a response, where a connection that ends before its announced length is an error."""

    def __init__(self, response: http.client.HTTPResponse, url: str) -> None:
        self._response = response
        self.name = url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        try:
            n_read = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as e:
            raise DataError(f"input {self.name}: {e!r}") from e
        if not n_read and len(buffer) and self._response.length:
            raise DataError(f"input {self.name}: the connection ended {self._response.length} bytes too early")
        return n_read

    def close(self) -> None:
        self._response.close()
        super().close()
