"""Bytes that break a clause of PROTOCOL.md."""

from __future__ import annotations

from typing import Any

from kvproto._text import quoted_text
from kvproto.errors.base import KVProtoError

__all__ = ["ItemTooLarge", "ParamsError", "ProtocolError", "Truncated", "likely_size"]


class ProtocolError(KVProtoError):
    """Bytes break a clause of PROTOCOL.md.

    Attributes
    ----------
    offset : int
        Bytes from the start of the stream to the field at fault.
    clause : str
        The clause of PROTOCOL.md, for example "FRAME-4".
    field : str
        The field at fault, for example "key size".
    decoded : list
        The elements that the same call had decoded before the fault.
    """

    def __init__(self, message: str, *, offset: int, clause: str, field: str) -> None:
        super().__init__(f"{message} [{clause}]")
        self.offset = offset
        self.clause = clause
        self.field = field
        self.decoded: list[Any] = []


def likely_size(size: int) -> str:
    """What a very large size probably is, for the end of an error; "" if that is not known."""
    if not _VERY_LARGE <= size < 1 << 32:
        return ""
    data = size.to_bytes(4, "little")
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in data):
        return f"; this size is the text {quoted_text(data)}"
    if (reversed_ := int.from_bytes(data, "big")) < 1 << 20:
        return f"; read from its other end, this size is {reversed_:,}: the lowest byte comes first"
    return ""


_VERY_LARGE = 1 << 24  # bytes


class Truncated(ProtocolError):
    """The stream ends inside a field, after `had` of `wanted` bytes (FRAME-4, LIST-3, PARAMS-5)."""

    def __init__(
        self, *, field: str, offset: int, wanted: int, had: int, clause: str, context: str = ""
    ) -> None:
        super().__init__(
            f"the stream ends inside the {field} at byte {offset}: "
            f"it needs {wanted} bytes, but has {had}{likely_size(wanted)}{context}",
            offset=offset,
            clause=clause,
            field=field,
        )
        self.wanted = wanted
        self.had = had


class ItemTooLarge(ProtocolError):
    """A size field announces `size` bytes, more than `limit`; nothing was allocated (LIMITS-1)."""

    def __init__(self, *, field: str, offset: int, size: int, limit: int) -> None:
        super().__init__(
            f"the {field} at byte {offset} announces {size} bytes, but the limit is {limit}"
            + (likely_size(size) or "; raise max_item if this is intended"),
            offset=offset,
            clause="LIMITS-1",
            field=field,
        )
        self.size = size
        self.limit = limit


class ParamsError(ProtocolError):
    """A parameter set does not have the form of PARAMS-1 to PARAMS-5."""
