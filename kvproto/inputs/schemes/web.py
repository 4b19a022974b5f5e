"""Web addresses, `http://` and `https://`. The first request is made by the task that reads one.

Errors that may pass (a refused or broken connection, a timeout, the statuses 408, 429 and 5xx) are
retried, with ATTEMPTS requests in all and pauses that double. When a connection breaks inside a
body, the rest is requested as a range of the same entity, which is identified by its ETag or
Last-Modified. Without them, or without ranges, the break is an error. Errors that remain are
DataErrors; a request that the server rejects is a JobError.

A response with only a part of the body, or with an encoding that is not decoded here, is an error.
A body in gzip encoding is passed on unchanged; jobs unpack it. A body with neither a length nor
chunks ends with its connection; only then can an early end go unnoticed, unless the connection is
reset.

Spaces, letters such as é and other bytes in addresses are escaped. A user name and a password
before the host become Basic authentication, for that host only and not for the targets of
redirects.

`http://host/ddfs/tag/NAME` is a tag and stands for what it lists; see `lists`.
"""

from __future__ import annotations

import base64
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
from contextlib import suppress
from io import BufferedReader
from typing import IO, TYPE_CHECKING

from kvproto.errors import DataError, JobError
from kvproto.inputs.lines import HEAD_SIZE
from kvproto.inputs.schemes import Input, Tell, versions_read
from kvproto.inputs.schemes.nodes import host_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ATTEMPTS", "find", "open", "request_for", "version"]

ATTEMPTS = 5
"""The most requests for one answer, and the most breaks in a row without a byte between them."""

_TIMEOUT = 60.0
"""Seconds without a byte from a server."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
"""Seconds before the second attempt, and at most, whatever Retry-After says."""

_KEPT = "%/:=&?~+!$,;'@()*[]|\\^"
"""Characters that are not escaped, besides letters, digits and `_.-`."""

Sleep = Callable[[float], object]


def find(url: str, tell: Tell) -> Iterable[Input]:
    """The address itself; its size is unknown."""
    return [Input(url, None, False)]


def open(
    url: str, start: int, end: int | None, *, sleep: Sleep = time.sleep
) -> tuple[BufferedReader, int | None]:
    """Open the body of the response to a GET, with `sleep(seconds)` between attempts."""
    response = _request(url, {}, sleep)
    try:
        _check_whole(response, url)
    except DataError:
        response.close()
        raise
    if read := _validator(response):
        versions_read[url] = read
    return BufferedReader(_Body(response, url, sleep), 1 << 16), response.length


def version(url: str) -> str:
    """Return the validator in the response to a HEAD, or "" if there is none."""
    try:
        request, opener = request_for(url, {})
        request.method = "HEAD"
        with opener.open(request, timeout=_TIMEOUT) as response:
            return _validator(response) or ""
    except (OSError, ValueError, http.client.HTTPException):
        return ""  # a task that reads it says what is wrong


def _check_whole(response: http.client.HTTPResponse, url: str) -> None:
    """Raise a final DataError for a response that is not the whole, unencoded body."""
    headers = response.headers
    sizes = {
        size.strip() for value in headers.get_all("Content-Length", []) for size in value.split(",")
    }
    part = headers.get("Content-Range")
    transfer = headers.get("Transfer-Encoding", "chunked").strip().lower()
    wrong = ""
    if response.status not in (200, 203):
        wrong = f"with status {response.status} {response.reason}, which is not the whole body"
    elif (
        part is not None and not _is_all(part)
    ) or headers.get_content_type() == "multipart/byteranges":
        wrong = f"with a part of the body: Content-Range: {part}"
    elif transfer != "chunked":
        wrong = f"in Transfer-Encoding: {transfer}, which is not unpacked here"
    elif len(sizes) > 1 or not all(size.isascii() and size.isdecimal() for size in sizes):
        wrong = f"with Content-Length: {', '.join(sorted(sizes))}, which is not a size"
    elif (encoding := _encoding(response)) not in ("", "identity", "gzip", "x-gzip"):
        advice = "let the server send it unencoded, or save it unpacked to a file"
        wrong = f"in Content-Encoding: {encoding}, which is not unpacked here; {advice}"
    if wrong:
        raise DataError(
            f"input {url}: the server answered {wrong}"[:1000], code=response.status, is_final=True
        )


def _is_all(content_range: str) -> bool:
    match = re.fullmatch(r"bytes 0-(\d{1,18})/(\d{1,18})", content_range, re.ASCII)
    return match is not None and int(match[1]) + 1 == int(match[2])


def _encoding(response: http.client.HTTPResponse) -> str:
    return ", ".join(response.headers.get_all("Content-Encoding", [])).strip().lower()


def _request(url: str, headers: Mapping[str, str], sleep: Sleep) -> http.client.HTTPResponse:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            request, opener = request_for(url, headers)
            response: http.client.HTTPResponse = opener.open(request, timeout=_TIMEOUT)
            return response
        except (ValueError, OverflowError, http.client.InvalidURL) as e:  # not a valid address
            raise JobError(f"input {url}: {e}") from e
        except (OSError, http.client.HTTPException) as e:
            if isinstance(e, urllib.error.HTTPError):
                e.close()
            if _is_final(e):
                raise JobError(f"input {url}: {e}") from e
            if attempt == ATTEMPTS:
                what = e.reason if type(e) is urllib.error.URLError else e
                raise DataError(
                    f"input {url}: {what}; {ATTEMPTS} attempts", code=getattr(e, "code", None)
                ) from e
            sleep(_pause(attempt, e))
    raise AssertionError("the last attempt returns or raises")


def _is_final(error: Exception) -> bool:
    """Whether another attempt is useless.

    This holds for unknown hosts, invalid certificates, bad redirects, statuses 501 and 505, and 4xx
    except 408 Request Timeout, 425 Too Early and 429 Too Many Requests.
    """
    if isinstance(error, urllib.error.HTTPError):
        return (300 <= error.code < 500 and error.code not in (408, 425, 429)) or error.code in (
            501,
            505,
        )
    reason = getattr(error, "reason", error)
    is_unknown_host = isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME
    return is_unknown_host or isinstance(reason, ssl.SSLCertVerificationError)


def _pause(attempt: int, error: Exception) -> float:
    """Seconds until the next attempt: they double, unless Retry-After is longer."""
    seconds, retry_after = 0.0, ""
    if isinstance(error, urllib.error.HTTPError):
        retry_after = error.headers.get("Retry-After", "")
    if retry_after.isdecimal():
        seconds = float(retry_after)
    elif retry_after:
        with suppress(ValueError, TypeError, OverflowError):  # neither seconds nor a date
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
    return min(max(seconds, _FIRST_PAUSE * 2.0 ** (attempt - 1)), _LONGEST_PAUSE)


class _Body(io.RawIOBase):
    """The whole body of a response, over as many connections as it takes."""

    def __init__(self, response: http.client.HTTPResponse, url: str, sleep: Sleep) -> None:
        self._response = response
        self._sleep = sleep
        self._size = response.length
        self._same_entity = _validator(response)
        self._encoding = _encoding(response)
        self._offset = 0
        self._n_breaks = 0
        self._broken: str | None = None
        self.name = url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what is available; at first, enough to recognize the format of the data."""
        view = memoryview(buffer)
        n_wanted = min(HEAD_SIZE - self._offset, len(view)) if self._offset < HEAD_SIZE else 1
        n_done = 0
        while n_done < n_wanted:
            if self._broken is None:
                n_read = self._read(view[n_done:])
                if not n_read and self._broken is None:
                    break
                if n_read:
                    self._offset += n_read
                    self._n_breaks = 0
                    n_done += n_read
                    continue
            self._resume()
        return n_done

    def _read(self, buffer: memoryview) -> int:
        """Read from this connection, and set `_broken` if it ends too early."""
        try:
            n_read = self._response.readinto(buffer)
        except http.client.IncompleteRead as e:
            self._broken = "the connection ended before the body did"
            return len(e.partial)
        except (OSError, ValueError, http.client.HTTPException) as e:  # ValueError: a bad chunk
            self._broken = repr(e)
            return 0
        if not n_read and len(buffer) and self._response.length:
            self._broken = f"the connection ended {self._response.length} bytes too early"
        return n_read

    def _resume(self) -> None:
        """Request the rest of the body over another connection."""
        place = f"input {self.name}: {self._broken}, after {self._offset} bytes"
        self._n_breaks += 1
        if self._same_entity is None:
            raise DataError(f"{place}; without ETag or Last-Modified the rest cannot be requested")
        if self._n_breaks == ATTEMPTS:
            raise DataError(f"{place}; {ATTEMPTS} times in a row")
        self._response.close()
        self._sleep(_FIRST_PAUSE * 2 ** (self._n_breaks - 1))
        range_ = {"Range": f"bytes={self._offset}-", "If-Range": self._same_entity}
        try:
            response = _request(self.name, range_, self._sleep)
        except JobError as e:
            raise DataError(f"{place}; the request for the rest failed: {e}") from e
        self._response = response
        self._broken = None
        if response.status != 206:
            raise DataError(
                f"{place}; the rest cannot be had: the data has changed, "
                "or the server gives no ranges"
            )
        start, size = _content_range(response)
        is_same_size = None in (size, self._size) or size == self._size
        is_same = is_same_size and _validator(response) in (None, self._same_entity)
        is_same = is_same and _encoding(response) == self._encoding
        if start != self._offset or not is_same:
            raise DataError(
                f"{place}; when asked for the rest, the server sent another part or other data"
            )

    def close(self) -> None:
        self._response.close()
        super().close()


def _validator(response: http.client.HTTPResponse) -> str | None:
    """The validator of the entity: a strong ETag, else Last-Modified."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _content_range(response: http.client.HTTPResponse) -> tuple[int | None, int | None]:
    """The start of a partial response and the size of the whole; None for unknown values."""
    match = re.fullmatch(
        r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)", response.headers.get("Content-Range", ""), re.ASCII
    )
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def request_for(
    url: str, headers: Mapping[str, str]
) -> tuple[urllib.request.Request, urllib.request.OpenerDirector]:
    """Make a GET request and its opener; ValueError when the URL is no web address."""
    address, authorization = _split(url)
    request = urllib.request.Request(address, headers={**headers, **authorization})
    return request, urllib.request.build_opener(_Redirects)


def _split(url: str) -> tuple[str, dict[str, str]]:
    """Return the address to request, and the header with its user name and password."""
    parts = urllib.parse.urlsplit(url.strip())
    user, at, host = parts.netloc.rpartition("@")
    if not host:
        raise ValueError("there is no host in this address")
    authorization = {}
    if at:
        user = user if ":" in user else f"{user}:"
        token = base64.b64encode(
            urllib.parse.unquote_to_bytes(user.encode("utf-8", "surrogateescape"))
        ).decode("ascii")
        authorization = {"Authorization": f"Basic {token}"}
    host_of(host)
    name, colon, port = (
        host.rpartition(":") if ":" in host and not host.endswith("]") else (host, "", "")
    )
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    path, query = _escaped(parts.path), _escaped(parts.query)
    return urllib.parse.urlunsplit(
        (parts.scheme, f"{name}{colon}{port}", path, query, "")
    ), authorization


def _escaped(text: str) -> str:
    return urllib.parse.quote(text, safe=_KEPT, errors="surrogateescape")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as urllib does, but does not send the password to other hosts."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        address, authorization = _split(newurl)
        if not address.startswith(("http://", "https://")):
            raise urllib.error.HTTPError(
                req.full_url, code, f"{msg}: it redirects to {newurl:.300}", headers, fp
            )
        request = super().redirect_request(req, fp, code, msg, headers, address)
        if request is not None:
            if _origin(address) != _origin(req.full_url):
                request.remove_header("Authorization")
            for name, value in authorization.items():
                request.add_header(name, value)
        return request


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc
