"""A request: what an adapter is asked to do, and the bytes that a worker must then find on its stdin.

Promises: it goes to JSON as ADAPTER.md says; the bytes are made by the kit's own encoder. Text stays text up to the
adapter, so that a driver's own encoding is looked at.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from kvproto.conformance.cases.building import SMALL, pair

__all__ = ["DEFAULT", "LIMITS", "Entry", "ParamSet", "Raw", "Request", "octets"]

Text = str | bytes
Entry = Text | tuple[Text, Text]
LIMITS = ("start", "idle", "total", "grace")

DEFAULT = "default"
"""Parameters about which the user says nothing."""

MAX_ITEM = 1 << 30


@dataclass(frozen=True)
class Raw:
    """Parameters given as one string."""

    data: Text


@dataclass(frozen=True)
class ParamSet:
    """Parameters given as names and values; a tuple of pairs, since a wrong one may have a name twice."""

    entries: tuple[tuple[Text, Text], ...] = ()


@dataclass(frozen=True)
class Request:
    """What is asked.

    entries   tuple of (key, value), or of a value alone (MAP-7)
    params    DEFAULT, a ParamSet, Raw, or None for none
    limits    name of LIMITS -> seconds; those that are not named are `long`
    max_item  bytes
    """

    mode: str
    entries: tuple[Entry, ...] = SMALL
    params: ParamSet | Raw | str | None = DEFAULT
    limits: dict[str, float] = field(default_factory=dict)
    max_item: int = MAX_ITEM

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The entries as the worker gets them."""
        whole = [entry if isinstance(entry, tuple) else (b"", entry) for entry in self.entries]
        return [(octets(key), octets(value)) for key, value in whole]

    @property
    def has_set(self) -> bool:
        """Whether the parameters go out as a set."""
        return self.params == DEFAULT or isinstance(self.params, ParamSet)

    @property
    def param_bytes(self) -> bytes:
        """The parameters as the worker gets them; the entries of a set may come in any order, but no name twice."""
        if isinstance(self.params, Raw):
            return octets(self.params.data)
        if self.params is None:
            return b""
        entries = self.params.entries if isinstance(self.params, ParamSet) else ()
        named = {octets(name): octets(value) for name, value in entries}
        body = b"".join(
            b"%d %b %d %b\n" % (len(name), name, len(value), value) for name, value in named.items()
        )
        return b"%d\n%b" % (len(body), body)

    @property
    def pair_bytes(self) -> bytes:
        """The pairs as the worker gets them."""
        return b"".join(pair(*one) for one in self.pairs)

    def to_json(self, program: Path, files: list[tuple[str, Path]], long: float) -> str:
        """The document for the adapter; `long`: seconds, for the limits that no case is about."""
        document = {
            "mode": self.mode,
            "program": str(program),
            "files": [{"name": name, "path": str(path)} for name, path in files],
            "entries": [
                _value(e) if not isinstance(e, tuple) else [_value(part) for part in e]
                for e in self.entries
            ],
            "limits": {name: self.limits.get(name, long) for name in LIMITS},
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
    """As it goes over the wire: text as UTF-8."""
    return text.encode() if isinstance(text, str) else text


def _value(text: Text) -> str | dict[str, str]:
    return text if isinstance(text, str) else {"base64": base64.b64encode(text).decode()}
