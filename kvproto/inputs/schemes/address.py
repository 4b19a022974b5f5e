"""Web addresses as people write them, made into requests.

Blanks, letters such as é and other bytes are escaped; a user name and a password before the host become Basic
authentication, which goes to that host alone, not to another one that it redirects to.
"""

from __future__ import annotations

import base64
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping

from kvproto.inputs.schemes.nodes import host_of

__all__ = ["request_for"]

_KEPT = "%/:=&?~+!$,;'@()*[]|\\^"
"""What is sent as it stands, besides letters, digits and `_.-`."""


def request_for(
    url: str, headers: Mapping[str, str]
) -> tuple[urllib.request.Request, urllib.request.OpenerDirector]:
    """A GET of url, and what opens it. ValueError for what is no web address."""
    address, authorization = _split(url)
    request = urllib.request.Request(address, headers={**headers, **authorization})
    return request, urllib.request.build_opener(_Redirects)


def _split(url: str) -> tuple[str, dict[str, str]]:
    """The address as it is asked for, and the header with its user name and password."""
    parts = urllib.parse.urlsplit(url.strip())
    user, is_given, host = parts.netloc.rpartition("@")
    if not host:
        raise ValueError("there is no host in this address")
    authorization = {}
    if is_given:
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
    """Follows redirects as urllib does, and keeps the password from other hosts."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
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
