"""What an adapter says, read strictly: an answer that is not as ADAPTER.md wants it is the adapter's own fault."""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

__all__ = ["Answer", "BadAnswer", "Said", "read"]

Pair = tuple[bytes, bytes]


class BadAnswer(ValueError):
    """It is not an answer. `clause`: of ADAPTER.md."""

    def __init__(self, what: str, clause: str) -> None:
        super().__init__(what)
        self.clause = clause


class Said(NamedTuple):
    """A line of the worker's stderr, as the driver hands it on: kind "MSG", "ERR" or ""."""

    kind: str
    text: bytes
    is_cut: bool = False


class Answer(NamedTuple):
    """What came of a request.

    is_success  the driver's verdict
    error       str, what it says about a failure
    lists       of a map: list of lists of pairs, None when there is none
    pairs       of a reduce: list of pairs, None when there is none
    said        list of Said
    """

    is_success: bool
    error: str
    lists: list[list[Pair]] | None
    pairs: list[Pair] | None
    said: list[Said]


def read(data: bytes | bytearray) -> Answer:
    """Raises BadAnswer."""
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
                Said(m["kind"], _bytes(m["text"]), bool(m.get("cut", False)))
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
