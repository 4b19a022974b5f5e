"""`disco://host/path`, and the host of `disco://`, `dir://host/path` and `tag://host/NAME`.

Without a port, an empty host, localhost and the name of this machine mean this machine: its files
or its tag store. Anything else is a web server, at the port of the URL or else at PORT, as in the
original.

A tag or an index of another machine may list data on the web, but none of this machine, and no
objects, as they are read with the credentials of this user.
"""

from __future__ import annotations

import socket
import urllib.parse
from collections.abc import Iterable
from io import BufferedReader

from kvproto.errors import DataError
from kvproto.inputs.schemes import Input, Tell, find_inputs, open_input
from kvproto.storage.store import is_object

__all__ = ["PORT", "check_remote", "find", "host_of", "open", "split"]

PORT = 8989


def find(url: str, tell: Tell) -> Iterable[Input]:
    """Find the inputs of the file or the web address."""
    return find_inputs([_address(url)], tell)


def open(url: str, start: int, end: int | None) -> tuple[BufferedReader, int | None]:
    """Open the file or the web address."""
    return open_input(_address(url), start, end)


def _address(url: str) -> str:
    server, path = split(url)
    return f"{server}/{path}"


def split(url: str) -> tuple[str, str]:
    """Return "http://host:port", or "" for this machine, and the path without its slash."""
    netloc, slash, path = url.partition("://")[2].partition("/")
    if not slash:
        raise DataError(f"input {url}: has no path; write //host/path, or ///path for this machine")
    try:
        hostname, port = host_of(netloc)
    except ValueError as e:
        raise DataError(f"input {url}: {e}") from e
    if port is None and hostname in (None, "localhost", socket.gethostname().lower()):
        return "", path
    return f"http://{netloc}" if port else f"http://{netloc}:{PORT}", path


def host_of(netloc: str) -> tuple[str | None, int | None]:
    """The host and the port in an address; ValueError, without quotes, for a bad port."""
    parts = urllib.parse.urlsplit(f"//{netloc}")
    try:
        return parts.hostname, parts.port
    except ValueError:  # its text may contain part of a password
        raise ValueError(
            "its port is not a number from 0 to 65535; "
            "in a user name or a password write / ? # and @ as %2F %3F %23 and %40"
        ) from None


def check_remote(url: str) -> None:
    """Raise DataError for a path, file://, tag://NAME, its node, or an object."""
    scheme, separator, rest = url.partition("://")
    is_node = scheme in ("dir", "disco") or (scheme == "tag" and "/" in rest)
    is_here = not split(url)[0] if is_node else not separator or scheme in ("file", "tag")
    if is_here or is_object(url):
        what = "data of this machine" if is_here else "an object, to read with your credentials"
        raise DataError(
            f"{url!r:.300}: a list of another machine must not name {what}; "
            "if this is intended, copy the list to a tag or an index here",
            is_final=True,
        )
