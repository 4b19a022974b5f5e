"""What a job has set aside: records on which its map failed, and inputs that cannot be read.

The file `bad.jsonl` of a job has a JSON object a line for each:

    kind      "record" or "input"
    task      the number of the map task
    input     the URL or path of the input, without its password
    entry     the index of the record in the part of the input that the task reads, from 0
    part      the offset in bytes where this part begins
    line      the number of the line, from 1; null if it is not known, or the record is no line
    start, end
              the offsets in bytes where the line begins and ends, or of an input the part that is
              left out; null if they are not known
    unpacked  whether these are offsets in the content of a compressed input
    error     why, in one or several lines
    key, value
              the record: a string if it is UTF-8, otherwise {"base64": "..."}; at most 1 MiB
    bytes     the size of the whole record
    object    whether value is the repr of an object that a reader of the job made
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from kvproto._record import Place
from kvproto._text import shortened, without_passwords
from kvproto.errors import DataError
from kvproto.storage.atomic import AtomicFile, naming, open_regular, private
from kvproto.storage.home import in_home
from kvproto.storage.job_directory import JobPaths

__all__ = [
    "MAX_KEPT",
    "BadRecord",
    "append_bad_records",
    "encode_bad_records",
    "read_bad_records",
    "sort_bad_records",
    "write_bad_records",
]

MAX_KEPT = 1 << 20
"""The most bytes of a key or a value that are kept: 1 MiB."""

_MAX_ERROR = 4000  # characters


class BadRecord(NamedTuple):
    """A record on which the map failed, or an input that cannot be read.

    Attributes
    ----------
    kind : str
        "record" or "input".
    task : int
        The number of the map task.
    place : Place
        Where the record comes from, or which input it is.
    error : str
        Why.
    key, value : bytes
        The record, each cut after MAX_KEPT bytes; b"" for an input. A line has an empty key.
    n_bytes : int
        The size of the whole record.
    is_object : bool
        Whether `value` is the repr of an object that a reader of the job made.
    """

    kind: str
    task: int
    place: Place
    error: str
    key: bytes = b""
    value: bytes = b""
    n_bytes: int = 0
    is_object: bool = False

    def __str__(self) -> str:
        """Say where it is."""
        if self.kind == "record":
            return str(self.place)
        url, start, end = self.place.input, self.place.start, self.place.end
        if start is None:
            return url
        return f"{url}, bytes {start} to {'its end' if end is None else end}"


def read_bad_records(paths: JobPaths) -> Iterator[BadRecord]:
    """Yield what a job has set aside so far, in the order of its file.

    Parameters
    ----------
    paths : JobPaths
        Of the job.

    Yields
    ------
    BadRecord

    Raises
    ------
    DataError
        The file cannot be read, or a line of it is damaged. A job that has set nothing aside has no
        file, and a last line that is not complete is not read.
    """
    path = paths.bad_records
    with naming(path, "reading"):
        try:
            file = open_regular(path)
        except FileNotFoundError:
            return
        with file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield _decoded(line, f"{path}, line {number}")


def encode_bad_records(records: Iterable[BadRecord]) -> bytes:
    """Return the lines of records in the file."""
    return b"".join(json.dumps(_as_dict(one)).encode() + b"\n" for one in records)


def append_bad_records(path: str, records: Iterable[BadRecord]) -> None:
    """Append records to the file, all of one task."""
    with in_home(path), open(path, "ab", opener=private) as file:
        file.write(encode_bad_records(records))


def write_bad_records(path: str, records: Iterable[BadRecord]) -> None:
    """Write the file again."""
    with AtomicFile(path, errors=in_home) as new:
        for one in records:
            new.write(encode_bad_records([one]))
        new.publish()


def sort_bad_records(path: str) -> None:
    """Bring the records of the file into the order of the tasks."""
    parts: list[tuple[int, int, int]] = []  # task, begin and end, of successive lines
    with in_home(path), open(path, "rb") as file, AtomicFile(path, errors=in_home) as new:
        begin = 0
        for line in file:
            if not line.endswith(b"\n"):  # a full disk has cut it
                break
            parts.append((json.loads(line)["task"], begin, begin + len(line)))
            begin += len(line)
        for _, begin, end in sorted(parts):
            file.seek(begin)
            new.write(file.read(end - begin))
        new.publish()


def _as_dict(one: BadRecord) -> dict[str, Any]:
    place = one.place
    return {
        "kind": one.kind,
        "task": one.task,
        "input": without_passwords(place.input),
        "entry": place.entry,
        "part": place.part,
        "line": place.line,
        "start": place.start,
        "end": place.end,
        "unpacked": place.is_unpacked,
        "error": without_passwords(shortened(one.error, _MAX_ERROR)),
        "key": _encoded_item(one.key),
        "value": _encoded_item(one.value),
        "bytes": one.n_bytes,
        "object": one.is_object,
    }


def _encoded_item(data: bytes) -> str | dict[str, str]:
    data = data[:MAX_KEPT]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b2a_base64(data, newline=False).decode()}


_NUMBER = (int, type(None))
_TYPES: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "task": int,
    "input": str,
    "entry": int,
    "part": int,
    "line": _NUMBER,
    "start": _NUMBER,
    "end": _NUMBER,
    "unpacked": bool,
    "error": str,
    "bytes": int,
    "object": bool,
}


def _decoded(line: bytes, where: str) -> BadRecord:
    try:
        known = json.loads(line)
        if not isinstance(known, dict):
            raise TypeError("not an object")
        for name, types in _TYPES.items():
            if not isinstance(known.get(name), types):
                raise TypeError(f"it has no {name!r}, or a wrong one")
        key, value = _decoded_item(known["key"]), _decoded_item(known["value"])
    except (ValueError, TypeError, KeyError, RecursionError) as e:
        raise DataError(f"{where}, is damaged: {e}", is_final=True) from e
    place = Place(
        known["input"],
        known["entry"],
        known["part"],
        known["line"],
        known["start"],
        known["end"],
        known["unpacked"],
    )
    size, is_object = known["bytes"], known["object"]
    return BadRecord(
        known["kind"], known["task"], place, known["error"], key, value, size, is_object
    )


def _decoded_item(item: object) -> bytes:
    if isinstance(item, dict) and isinstance(item.get("base64"), str):
        return a2b_base64(item["base64"])
    if not isinstance(item, str):
        raise TypeError("its key or value is neither text nor base64")
    return item.encode("utf-8", "surrogatepass")
