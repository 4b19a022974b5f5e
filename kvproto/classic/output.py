"""Writing the results of a job for others to read: as text, JSON lines or frames, to stdout or to a file.

text    key, tab, value, newline, for people: bytes as they are, str as UTF-8, other objects as str() shows them, without
        the newline at their end
jsonl   [key, value] a line: JSON values as they are, bytes that are UTF-8 as a string, others as {"base64": "..."},
        NaN and infinities as {"float": "nan"}, "inf" and "-inf"
kv      the frames that workers read; bytes and str alone
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BufferedWriter

from kvproto._stdio import StandardFile
from kvproto.errors import DataError
from kvproto.jsonl import json_from_item
from kvproto.protocol.frames import encode_pair
from kvproto.storage.atomic import OutputFile

__all__ = ["FORMS", "Output"]

_BUFFER = 1 << 16


class Output:
    """Where results go: a file that is there when all of it is written and not before, or stdout.

    Context manager; opening it raises what is wrong with the path. Left by an exception, it leaves the file as it was.

    path  str: "-" is stdout; what is there and is no plain file, a pipe or a device, is written as it is
    """

    def __init__(self, path: str = "-") -> None:
        self._file = None if path == "-" else OutputFile(path)
        self._stdout = BufferedWriter(StandardFile(1), _BUFFER) if path == "-" else None

    def __enter__(self) -> Output:
        return self

    def __exit__(self, exc_type, *exc_info) -> None:
        if self._file is not None:
            with self._file:
                if exc_type is None:
                    self._file.publish()
        elif exc_type is None:
            self._stdout.flush()
        else:
            with suppress(OSError):  # there is an error to tell already
                self._stdout.flush()

    def write(self, pairs: Iterable[tuple], form: str = "text") -> None:
        """Write pairs in one of FORMS. DataError names a pair that the form cannot hold, and the type at fault."""
        encode = FORMS[form]
        write = (self._file or self._stdout).write
        for number, (key, value) in enumerate(pairs):
            try:
                data = encode(key, value)
            except (TypeError, ValueError, RecursionError) as e:
                types = f"{type(key).__name__}, {type(value).__name__}"
                raise DataError(
                    f"pair {number} of the results ({types}) cannot be written as {form}: {e}"
                ) from None
            write(data)


def _text(key, value) -> bytes:
    return b"%b\t%b\n" % (_shown(key).removesuffix(b"\n"), _shown(value).removesuffix(b"\n"))


def _shown(item) -> bytes:
    return item if isinstance(item, bytes) else _of_str(str(item))


def _jsonl(key, value) -> bytes:
    items = [_of_bytes(item) if isinstance(item, (bytes, str)) else item for item in (key, value)]
    try:
        text = _dumps(items)
    except ValueError:  # JSON has no NaN and no infinity
        text = _dumps(_with_named_floats(items))
    return text.encode() + b"\n"


def _dumps(items: list) -> str:
    return json.dumps(items, ensure_ascii=False, allow_nan=False, default=_of_bytes)


def _with_named_floats(item):
    """The same object, each float that JSON lacks as {"float": "nan"}, "inf" or "-inf"."""
    if isinstance(item, float) and not math.isfinite(item):
        return {"float": repr(float(item))}
    if isinstance(item, dict):
        return {_with_named_key(key): _with_named_floats(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_with_named_floats(part) for part in item]
    return item


def _with_named_key(key):
    return repr(float(key)) if isinstance(key, float) and not math.isfinite(key) else key


def _of_bytes(item) -> str | dict[str, str]:
    """What JSON has for bytes, wherever they are in an object; for a str the same as for the bytes it stands for."""
    if not isinstance(item, (bytes, str)):
        raise TypeError(f"JSON has no {type(item).__name__}; --out text shows any object")
    return json_from_item(item if isinstance(item, bytes) else _of_str(item))


def _kv(key, value) -> bytes:
    for item in (key, value):
        if not isinstance(item, (bytes, str)):
            raise TypeError(
                f"{type(item).__name__} is neither bytes nor str; --out text and jsonl write more"
            )
    return encode_pair(
        *(item if isinstance(item, bytes) else _of_str(item) for item in (key, value))
    )


def _of_str(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


FORMS: dict[str, Callable] = {"text": _text, "jsonl": _jsonl, "kv": _kv}
"""What makes bytes of a key and a value."""
