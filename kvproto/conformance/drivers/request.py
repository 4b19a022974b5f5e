"""The request to an adapter, and its answer (ADAPTER.md).

A request also knows the bytes that the worker must get on its stdin, which the kit's own encoder
makes. Text reaches the adapter as text, so that the driver's own encoding is tested. Answers are
read strictly: any deviation from ADAPTER.md is a fault of the adapter.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kvproto.conformance.answers import Pair, pairs_of, parameter_set
from kvproto.conformance.schedule import SMALL

__all__ = [
    "DEFAULT",
    "Answer",
    "BadAnswer",
    "Entry",
    "Lists",
    "Message",
    "ParamSet",
    "Raw",
    "Request",
    "octets",
    "read",
]

Text = str | bytes
Entry = Text | tuple[Text, Text]
Lists = list[list[Pair]]

DEFAULT = "default"
"""The parameters of a user who gives none."""

MAX_ITEM = 1 << 30

_LIMITS = ("start", "idle", "total", "grace")  # LIFECYCLE-6


@dataclass(frozen=True)
class Raw:
    """Parameters given as one string."""

    data: Text


@dataclass(frozen=True)
class ParamSet:
    """Parameters given as names and values; a wrong set has a name twice."""

    entries: tuple[tuple[Text, Text], ...] = ()


@dataclass(frozen=True)
class Request:
    """What an adapter is asked to do.

    entries   pairs of key and value, or values alone (MAP-7)
    params    DEFAULT, a ParamSet, Raw, or None for no parameters at all
    limits    name of a limit (LIFECYCLE-6) -> seconds; the others are `long`, see `to_json`
    max_item  bytes
    """

    mode: str
    entries: tuple[Entry, ...] = SMALL
    params: ParamSet | Raw | str | None = DEFAULT
    limits: dict[str, float] = field(default_factory=dict)
    max_item: int = MAX_ITEM

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The entries as the worker receives them."""
        whole = [entry if isinstance(entry, tuple) else (b"", entry) for entry in self.entries]
        return [(octets(key), octets(value)) for key, value in whole]

    @property
    def has_set(self) -> bool:
        """Whether the parameters are sent as a set."""
        return self.params == DEFAULT or isinstance(self.params, ParamSet)

    @property
    def param_bytes(self) -> bytes:
        """The parameters as the worker receives them; the entries of a set may be in any order."""
        if isinstance(self.params, Raw):
            return octets(self.params.data)
        if self.params is None:
            return b""
        entries = self.params.entries if isinstance(self.params, ParamSet) else ()
        named = {octets(name): octets(value) for name, value in entries}
        return parameter_set(named.items())

    @property
    def pair_bytes(self) -> bytes:
        """The pairs as the worker receives them."""
        return pairs_of(self.pairs)

    def to_json(self, program: Path, files: list[tuple[str, Path]], long: float) -> str:
        """Encode the document for the adapter; the limits without a value are `long` seconds."""
        document: dict[str, Any] = {
            "mode": self.mode,
            "program": str(program),
            "files": [{"name": name, "path": str(path)} for name, path in files],
            "entries": [
                _value(e) if not isinstance(e, tuple) else [_value(part) for part in e]
                for e in self.entries
            ],
            "limits": {name: self.limits.get(name, long) for name in _LIMITS},
            "max_item": self.max_item,
        }
        match self.params:
            case Raw(data):
                document["params"] = {"raw": _value(data)}
            case ParamSet(entries):
                document["params"] = {
                    "set": [[_value(name), _value(value)] for name, value in entries]
                }
            case None:
                document["params"] = None
        return json.dumps(document)


def octets(text: Text) -> bytes:
    """Encode text as UTF-8, as it goes over the wire."""
    return text.encode() if isinstance(text, str) else text


def _value(text: Text) -> str | dict[str, str]:
    return text if isinstance(text, str) else {"base64": base64.b64encode(text).decode()}


class BadAnswer(ValueError):
    """The answer breaks `clause` of ADAPTER.md."""

    def __init__(self, what: str, clause: str) -> None:
        super().__init__(what)
        self.clause = clause


class Message(NamedTuple):
    """A line of the worker's stderr as the driver passes it on; the kind is "MSG", "ERR" or ""."""

    kind: str
    text: bytes
    is_cut: bool = False


class Answer(NamedTuple):
    """The result of a request.

    is_success  the driver's verdict
    error       what the driver says about a failure
    lists       the result of a map, or None
    pairs       the result of a reduce, or None
    messages    the lines of stderr
    """

    is_success: bool
    error: str
    lists: Lists | None
    pairs: list[Pair] | None
    messages: list[Message]


def read(data: bytes | bytearray) -> Answer:
    """Decode an answer. Raises BadAnswer."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise BadAnswer(f"stdout is not one JSON document: {e}", "ADAPTER-5") from None
    if not isinstance(document, dict) or document.get("verdict") not in ("success", "error"):
        raise BadAnswer('its "verdict" is neither "success" nor "error"', "ADAPTER-5")
    try:
        lists, pairs = document.get("lists"), document.get("pairs")
        return Answer(
            document["verdict"] == "success",
            str(document.get("error") or ""),
            lists if lists is None else [[_pair(one) for one in some] for some in lists],
            pairs if pairs is None else [_pair(one) for one in pairs],
            [
                Message(m["kind"], _bytes(m["text"]), bool(m.get("cut", False)))
                for m in document.get("messages", [])
            ],
        )
    except (TypeError, ValueError, KeyError, AttributeError) as e:
        raise BadAnswer(f"lists, pairs or messages are malformed: {e!r}", "ADAPTER-6") from None


def _pair(pair: list[str]) -> Pair:
    key, value = pair
    return _bytes(key), _bytes(value)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
