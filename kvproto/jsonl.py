"""Pairs as JSON lines, to frames and back, piece by piece; as `forms`, which has the other forms.

One pair a line, [key, value]; an item is a JSON string when it is UTF-8, else {"base64": "..."}. On the way in
a lone item is a value with an empty key. No I/O; the form is kvproto's own, no clause says it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

from kvproto.errors import DataError
from kvproto.forms import decoded_pairs, whole_lines
from kvproto.protocol.frames import MAX_ITEM, encode_pairs

__all__ = ["frames_from_jsonl", "json_from_item", "jsonl_from_frames"]


def frames_from_jsonl(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Frame the pair on each line; blank lines are skipped. Raises DataError that names the line at fault."""
    n_lines = 0
    for block in whole_lines(pieces, max_item):
        lines = block.removesuffix(b"\n").split(b"\n")
        pairs = [
            _pair_from_json(line, number)
            for number, line in enumerate(lines, n_lines + 1)
            if line.strip()
        ]
        n_lines += len(lines)
        yield encode_pairs(pairs)


def jsonl_from_frames(frames: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Write each pair as a JSON line, from which `frames_from_jsonl` makes the same bytes again."""
    for pairs in decoded_pairs(frames, max_item):
        lines = [
            json.dumps([json_from_item(item) for item in pair], ensure_ascii=False)
            for pair in pairs
        ]
        yield "".join([line + "\n" for line in lines]).encode()


def _pair_from_json(line: bytes, number: int) -> tuple[bytes, bytes]:
    try:
        entry = json.loads(line)
        if isinstance(entry, list):
            key, value = entry
            return _item_from_json(key), _item_from_json(value)
        return b"", _item_from_json(entry)
    except (ValueError, TypeError, RecursionError):
        shown = line[:80].decode("utf-8", "backslashreplace")
        raise DataError(
            f"line {number} of the input is neither [key, value] nor a value: {shown}; "
            'a key or value is a JSON string or {"base64": "..."}'
        ) from None


def _item_from_json(item) -> bytes:
    if isinstance(item, dict):
        ((name, text),) = item.items()
        if name != "base64":
            raise ValueError(name)
        return base64.b64decode(text, validate=True)
    if not isinstance(item, str):
        raise TypeError(item)
    return item.encode()


def json_from_item(item: bytes) -> str | dict[str, str]:
    """What stands for an item in JSON: a string when it is UTF-8, else {"base64": "..."}."""
    try:
        return item.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(item).decode()}
