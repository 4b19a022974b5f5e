"""What `host` means in `disco://host/path`, `dir://host/path` and `tag://host/NAME`.

No host, localhost or the name of this machine, without a port: it is here, a file or the tag store. Anything else
is a web server: with a port there, without one at PORT, where the original listened.
"""

from __future__ import annotations

import socket
import urllib.parse

from kvproto.errors import DataError

__all__ = ["PORT", "split"]

PORT = 8989


def split(url: str) -> tuple[str, str]:
    """The web address of the host, "http://host:port", or "" for here; and the path, without the slash before it."""
    netloc, slash, path = url.partition("://")[2].partition("/")
    if not slash:
        raise DataError(f"input {url}: has no path; write //host/path, or ///path for this machine")
    try:
        parts = urllib.parse.urlsplit(f"//{netloc}")
        port = parts.port
    except ValueError as e:
        raise DataError(f"input {url}: {e}") from e
    if port is None and parts.hostname in (None, "localhost", socket.gethostname().lower()):
        return "", path
    return f"http://{netloc}" if port else f"http://{netloc}:{PORT}", path
