"""The forms that pairs take outside the wire: lines, text and JSON lines, to frames and back, piece by piece.

Every function is a generator from an iterable of bytes, cut anywhere, to an iterable of bytes; frames are
bare pairs. Holds one piece and what of it is incomplete. No I/O; the forms are kvproto's own, no clause says them.

lines   each line, its newline included, is the value of an empty key
text    key, tab, value, newline; made to be read, it does not say where a key with a tab in it ends
jsonl   one pair a line, [key, value]; an item is a JSON string when it is UTF-8, else {"base64": "..."}.
        On the way in a lone item is a value with an empty key
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

from kvproto._native import frame_lines
from kvproto.errors import DataError
from kvproto.wire import MAX_ITEM, PairDecoder, encode_pairs

__all__ = ["frames_from_jsonl", "frames_from_lines", "jsonl_from_frames", "text_from_frames"]


def frames_from_lines(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Frame each line, its newline included, as the value of an empty key; a last line without newline too.

    Raises DataError for a line that grows beyond max_item bytes before it ends.
    """
    for lines in _whole_lines(pieces, max_item):
        yield frame_lines(lines, True)[0]


def frames_from_jsonl(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Frame the pair on each line; blank lines are skipped. Raises DataError that names the line at fault."""
    n_lines = 0
    for block in _whole_lines(pieces, max_item):
        lines = block.removesuffix(b"\n").split(b"\n")
        pairs = [_pair_from_json(line, number) for number, line in enumerate(lines, n_lines + 1) if line.strip()]
        n_lines += len(lines)
        yield encode_pairs(pairs)


def text_from_frames(frames: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Write each pair as key, tab, value, newline; the bytes of both as they are."""
    for pairs in _pairs(frames, max_item):
        yield b"".join([b"%b\t%b\n" % pair for pair in pairs])


def jsonl_from_frames(frames: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Write each pair as a JSON line, from which `frames_from_jsonl` makes the same bytes again."""
    for pairs in _pairs(frames, max_item):
        lines = [json.dumps([_json_from_item(item) for item in pair], ensure_ascii=False) for pair in pairs]
        yield "".join([line + "\n" for line in lines]).encode()


def _whole_lines(pieces: Iterable[bytes], max_item: int) -> Iterator[bytes]:
    """Cut behind newlines: each block is one or more whole lines; the last one may lack its newline."""
    unended: list[bytes] = []
    n_unended = 0
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield b"".join([*unended, piece[:end]])
            unended, n_unended = [], 0
        unended.append(piece[end:])
        n_unended += len(piece) - end
        if n_unended > max_item:
            raise DataError(f"a line of more than {max_item} bytes in the input; raise max_item if that is meant")
    if n_unended:
        yield b"".join(unended)


def _pairs(frames: Iterable[bytes], max_item: int) -> Iterator[list[tuple[bytes, bytes]]]:
    decoder = PairDecoder(max_item=max_item)
    for frame in frames:
        yield decoder.feed(frame)
    decoder.close()


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
            f'line {number} of the input is neither [key, value] nor a value: {shown}; '
            'a key or value is a JSON string or {"base64": "..."}'
        ) from None


def _item_from_json(item) -> bytes:
    if isinstance(item, dict):
        (name, text), = item.items()
        if name != "base64":
            raise ValueError(name)
        return base64.b64decode(text, validate=True)
    if not isinstance(item, str):
        raise TypeError(item)
    return item.encode()


def _json_from_item(item: bytes) -> str | dict[str, str]:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(item).decode()}
