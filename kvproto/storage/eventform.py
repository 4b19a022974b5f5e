"""Events as lines of JSON, read from a file that may be damaged or another's: what each kind of event must have.

`kvproto.engine.events` says what the events mean.
"""

from __future__ import annotations

import json
import re

from kvproto._text import printable

__all__ = ["MAX_EVENT", "read_event"]

MAX_EVENT = 1 << 26
"""Bytes that the line of an event may have: 64 MiB."""

_LAST_TIME = 253_402_300_799  # the end of the year 9999
_MAX_NUMBER = 1 << 63
_NUMBER = (int, float)

_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "job": {"job": str, "inputs": int, "bytes": int},
    "stage": {"stage": str, "tasks": int, "bytes": int},
    "progress": {"stage": str, "done": int, "total": int, "bytes": int, "records": int},
    "message": {"stage": str, "task": int, "text": str},
    "status": {"stage": str, "task": int, "text": str},
    "note": {"text": str},
    "retry": {"stage": str, "task": int, "attempt": int, "text": str},
    "done": {"results": list, "seconds": _NUMBER},
    "failed": {"text": str, "seconds": _NUMBER},
}
"""Kind of event -> what it must have, besides its time; other kinds need nothing more."""


def read_event(line: bytes) -> dict:
    """The event in a line. ValueError for one that is damaged."""
    try:
        event = json.loads(line)
    except RecursionError as e:
        raise ValueError("its brackets are nested too deeply") from e
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise ValueError(f"{line!r:.200} is no event")
    if not _is(event.get("time"), _NUMBER) or not 0 <= event["time"] <= _LAST_TIME:
        raise ValueError(f"{line!r:.200} is an event without a time")
    for name, types in _FIELDS.get(event["event"], {}).items():
        if not _is(event.get(name), types):
            raise ValueError(f"{line!r:.200} is an event without its {name!r}")
    if event["event"] == "done" and not all(
        isinstance(url, str) and _is_printable(url) for url in event["results"]
    ):
        raise ValueError(f"{line!r:.200} is an event whose results are no paths")
    return event


def _is_printable(url: str) -> bool:
    """Whether it can be the url or path of a result: no control characters, and nothing that stands for no byte."""
    return printable(url) == url and not re.search("[\ud800-\udc7f\udd00-\udfff]", url)


def _is(value: object, types: type | tuple[type, ...]) -> bool:
    if isinstance(value, (int, float)):
        return (
            isinstance(value, types) and not isinstance(value, bool) and 0 <= value <= _MAX_NUMBER
        )
    return isinstance(value, types)
