"""Out-of-band values: small facts that a job's tasks leave for later tasks and for the client, a file for each key.

The file's name is the sha256 of the key, which may be longer than a file's name can be. In it: `b` for bytes or `s` for
str, the key, a space, the crc32 of these and the value in hex, a newline, the value (str as UTF-8). It is written aside and renamed: a
value is there whole or not at all. One that was cut or damaged later is an error.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from zlib import crc32

from kvproto._stdio import say
from kvproto.errors import JobError
from kvproto.storage.atomic import open_regular, write_file
from kvproto.storage.home import in_home

__all__ = ["check_key", "check_value", "get", "list_keys", "put_all"]

MAX_KEY = 256
"""Characters that a key may have."""

_SHOWN_KEYS = 20
_MAX_HEAD = MAX_KEY + 16  # bytes before the value


def check_key(key: str) -> None:
    """Raise ValueError for a key that is empty, too long, or has other characters than `A-Z a-z 0-9 _ - : @`."""
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_\-:@]{1,%d}" % MAX_KEY, key):
        raise ValueError(
            f"{key!r} cannot be the key of an out-of-band value: it needs 1 to {MAX_KEY} of the characters A-Z a-z 0-9 _ - : @"
        )


def check_value(key: str, value: bytes | str) -> None:
    """Raise TypeError for what is neither bytes nor str."""
    if not isinstance(value, (bytes, str)):
        raise TypeError(
            f"the out-of-band value {key!r} must be bytes or str, not {type(value).__name__}"
        )


def put_all(directory: str, values: Mapping[str, bytes | str]) -> None:
    """Store values, all of them checked before the first is written; one that was there under the same key is replaced.

    Raises ValueError and TypeError as `check_key` and `check_value`, JobError that names the file which cannot be written.
    """
    for key, value in values.items():
        check_key(key)
        check_value(key, value)
    for key, value in values.items():
        path = _path(directory, key)
        kind, data = (
            (b"b", value)
            if isinstance(value, bytes)
            else (b"s", value.encode("utf-8", "surrogatepass"))
        )
        write_file(path, _head(kind, key, data) + data, errors=in_home)


def get(directory: str, key: str) -> bytes | str:
    """The value as it was put, bytes or str. JobError that names the job and its keys when there is none."""
    check_key(key)
    try:
        with open_regular(_path(directory, key)) as file:
            head = file.readline(_MAX_HEAD)
            data = file.read()
    except FileNotFoundError:
        keys = list_keys(directory)
        shown = ", ".join(keys[:_SHOWN_KEYS]) + f" and {len(keys) - _SHOWN_KEYS} more" * (
            len(keys) > _SHOWN_KEYS
        )
        has = f"it has {shown}" if keys else "it has none"
        raise JobError(f"job {_job(directory)} has no out-of-band value {key!r}; {has}") from None
    except OSError as e:
        raise JobError(
            f"reading the out-of-band value {key!r} of job {_job(directory)}: {e.strerror}"
        ) from e
    try:
        if head == _head(b"b", key, data):
            return data
        if head == _head(b"s", key, data):
            return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        pass
    raise JobError(
        f"the out-of-band value {key!r} of job {_job(directory)} is damaged: {_path(directory, key)}"
    )


def list_keys(directory: str) -> list[str]:
    """The keys of the values that are there, sorted. A file so damaged that it names no key is told on stderr."""
    keys = []
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        raise JobError(
            f"job {_job(directory)} has no out-of-band values any more: {directory} is gone"
        ) from None
    except OSError as e:
        raise JobError(
            f"reading the out-of-band values of job {_job(directory)}: {e.strerror}"
        ) from e
    for name in names:
        if name.endswith(".part"):
            continue
        try:
            with open_regular(os.path.join(directory, name)) as file:
                key = file.readline(_MAX_HEAD)[1:].partition(b" ")[0].decode("ascii")
            if _path("", key) != name:
                raise ValueError("it is not of the key that it names")
            keys.append(key)
        except FileNotFoundError:
            continue  # gone meanwhile
        except (OSError, ValueError) as e:
            why = e.strerror if isinstance(e, OSError) else e
            path = os.path.join(directory, name)
            say(f"kvproto: an out-of-band value of job {_job(directory)} is damaged: {path}: {why}")
    return sorted(keys)


def _head(kind: bytes, key: str, data: bytes) -> bytes:
    named = kind + key.encode("ascii")
    return b"%b %08x\n" % (named, crc32(data, crc32(named)))


def _path(directory: str, key: str) -> str:
    return os.path.join(directory, hashlib.sha256(key.encode("ascii")).hexdigest())


def _job(directory: str) -> str:
    return os.path.basename(os.path.dirname(directory))
