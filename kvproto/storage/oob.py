"""Out-of-band values: small values that the tasks of a job leave for later tasks and the client.

Each key has a file, whose name is the sha256 of the key, as a key may be longer than the name of a
file. It has `b` for bytes or `s` for str, the key, a space, the crc32 of these and of the value in
hex, a newline, and the value (str as UTF-8). A value that is cut short or damaged is an error.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from zlib import crc32

from kvproto._stdio import say
from kvproto.errors import JobError
from kvproto.storage.home import in_home
from kvproto.storage.store import store_of

__all__ = ["check_key", "check_value", "get", "list_keys", "put_all"]

MAX_KEY = 256
"""Characters that a key may have."""

_SHOWN_KEYS = 20
_MAX_HEAD = MAX_KEY + 16  # bytes before the value


def check_key(key: str) -> None:
    """Raise ValueError for a key that is empty, too long or not of `A-Z a-z 0-9 _ - : @`."""
    if not isinstance(key, str) or not re.fullmatch(rf"[A-Za-z0-9_\-:@]{{1,{MAX_KEY}}}", key):
        raise ValueError(
            f"{key!r} cannot be the key of an out-of-band value: "
            f"it needs 1 to {MAX_KEY} of the characters A-Z a-z 0-9 _ - : @"
        )


def check_value(key: str, value: bytes | str) -> None:
    """Raise TypeError unless the value is bytes or str."""
    if not isinstance(value, (bytes, str)):
        raise TypeError(
            f"the out-of-band value {key!r} must be bytes or str, not {type(value).__name__}"
        )


def put_all(directory: str, values: Mapping[str, bytes | str]) -> None:
    """Store values, after checking all of them; a value of the same key is replaced.

    Raises as `check_key` and `check_value`, and JobError with the path of a file that cannot be
    written.
    """
    for key, value in values.items():
        check_key(key)
        check_value(key, value)
    for key, value in values.items():
        path = _path(directory, key)
        kind = b"s" if isinstance(value, str) else b"b"
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        with in_home(path):
            store_of(path).put(path, _head(kind, key, data) + data)


def get(directory: str, key: str) -> bytes | str:
    """The value, bytes or str; JobError that names the job and its keys when there is none."""
    check_key(key)
    try:
        path = _path(directory, key)
        with io.BytesIO(store_of(path).get(path)) as file:
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
        f"the out-of-band value {key!r} of job {_job(directory)} is damaged: "
        f"{_path(directory, key)}"
    )


def list_keys(directory: str) -> list[str]:
    """The keys of all values, sorted. Damaged files without a key are reported on stderr."""
    keys = []
    try:
        names = store_of(directory).names(directory)
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(directory)):  # `tidy` has removed it, because it was empty
            return []
        raise JobError(
            f"job {_job(directory)} no longer has out-of-band values: {directory} is gone"
        ) from None
    except OSError as e:
        raise JobError(
            f"reading the out-of-band values of job {_job(directory)}: {e.strerror}"
        ) from e
    for name in names:
        if name.endswith(".part"):
            continue
        try:
            path = os.path.join(directory, name)
            with io.BufferedReader(store_of(path).open_range(path, 0, _MAX_HEAD)) as file:
                key = file.readline(_MAX_HEAD)[1:].partition(b" ")[0].decode("ascii")
            if _path("", key) != name:
                raise ValueError("it belongs to another key")
            keys.append(key)
        except FileNotFoundError:
            continue  # removed meanwhile
        except (OSError, ValueError) as e:
            why = e.strerror if isinstance(e, OSError) else e
            say(f"kvproto: an out-of-band value of job {_job(directory)} is damaged: {path}: {why}")
    return sorted(keys)


def _head(kind: bytes, key: str, data: bytes) -> bytes:
    named = kind + key.encode("ascii")
    return b"%b %08x\n" % (named, crc32(data, crc32(named)))


def _path(directory: str, key: str) -> str:
    import hashlib  # noqa: PLC0415 (it loads OpenSSL, and few jobs have values)

    return os.path.join(directory, hashlib.sha256(key.encode("ascii")).hexdigest())


def _job(directory: str) -> str:
    return os.path.basename(os.path.dirname(directory))
