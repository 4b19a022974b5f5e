"""Web addresses: `http://` and `https://`, read as they come; whether one is there shows in the task."""

from __future__ import annotations

import http.client
import io
import urllib.request
from typing import BinaryIO

from kvproto.classic.schemes import Input
from kvproto.errors import DataError

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
    except (OSError, http.client.HTTPException, ValueError) as e:
        raise DataError(f"input {url}: {e}") from e
    return io.BufferedReader(_Response(response, url), 1 << 16), response.length


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
