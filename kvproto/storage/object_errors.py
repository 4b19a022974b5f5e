"""What an error of an object store means, as an OSError that says what to do.

The library reports most failures as one class with a long text. The status and the code that the
server answered are in it.
"""

from __future__ import annotations

import errno
import os
import re

__all__ = ["error_of", "is_past_end"]

_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws/credentials; "
    "AWS_SKIP_SIGNATURE=true for a public bucket",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""Scheme -> what has the credentials."""

_ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}
"""Scheme -> the variable with the address of the server."""

_STATUS = r"status(?: code)?: (\d{3})(?: ([A-Z][A-Za-z' ]+))?"
_CODE = r"<Code>(\w+)</Code>"
_ADDRESS = r"\b(https?://[^/\s]+)"
_CAUSE = r'message: "([^"]{1,200})"|error: "([^"]{1,200})"|source: (BadScheme|TimedOut)'

_FULL = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "StorageFull"}
_REJECTED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}


def is_past_end(error: Exception) -> bool:
    """Whether a range was requested that begins at or after the end of the object."""
    return _first(_STATUS, str(error)) == "416" or "Wanted range starting at" in str(error)


def error_of(error: Exception, url: str) -> OSError:
    """Return the OSError for an error of the library, or of the system, at `url`."""
    number, text = _meaning(error, url)
    return OSError(number, text, url)


def _meaning(error: Exception, url: str) -> tuple[int, str]:
    text = str(error)
    scheme, _, rest = url.partition("://")
    bucket = rest.partition("/")[0]
    status, code = _first(_STATUS, text), _first(_CODE, text)
    kind = type(error).__name__
    if code in ("NoSuchBucket", "ContainerNotFound"):
        where = f" at {address}" if (address := _first(_ADDRESS, text)) else ""
        return errno.ENOENT, f"there is no bucket {bucket}{where}: create it, or correct the URL"
    if isinstance(error, FileNotFoundError):
        return errno.ENOENT, "there is no such object"
    if kind == "AlreadyExistsError":
        return errno.EEXIST, "the object exists already"
    if kind == "PreconditionError":
        return errno.ESTALE, "the object was replaced while it was read"
    if status == "507" or code in _FULL:
        return errno.ENOSPC, f"the object store is full ({code or status})"
    if isinstance(error, PermissionError) or "MissingAccount" in text:
        return errno.EACCES, f"there are no credentials: set {_CREDENTIALS[scheme]}"
    if code in _REJECTED or status == "401" or kind == "UnauthenticatedError":
        return errno.EACCES, (
            f"the server does not accept the credentials ({code or status}): "
            f"check {_CREDENTIALS[scheme]}"
        )
    if status == "403" or kind == "PermissionDeniedError":
        return errno.EACCES, (
            f"access was denied ({code or status}): the credentials need the right to list, "
            f"read, write and delete in {bucket}"
        )
    if "redirect without LOCATION" in text or code == "AuthorizationHeaderMalformed":
        return errno.EINVAL, f"the bucket {bucket} is in another region: set AWS_REGION to it"
    if status:
        return errno.EIO, f"the server answered {_answer(text)}"
    if "HttpError" in text:
        return errno.EIO, _connection(text, scheme)
    return errno.EIO, text.partition("\n")[0] or kind


def _answer(text: str) -> str:
    """Return the status and the code that a server answered, and after how many retries."""
    status = re.search(_STATUS, text)
    assert status is not None
    answer = " ".join(filter(None, status.groups())).strip()
    code = f" ({code})" if (code := _first(_CODE, text)) else ""
    retries = re.search(r"after (\d+) retries", text)
    return answer + code + (f", after {retries[1]} retries" if retries else "")


def _connection(text: str, scheme: str) -> str:
    address = _first(_ADDRESS, text) or "the server"
    causes = [next(filter(None, groups)) for groups in re.findall(_CAUSE, text)]
    cause = f": {os.fsdecode(causes[-1].encode())}" if causes else ""
    return f"the connection to {address} failed{cause}; check {_ENDPOINTS[scheme]} and the network"


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""
