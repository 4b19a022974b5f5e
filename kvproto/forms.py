"""The forms of pairs outside the protocol: lines, text, JSON lines and frames, in and out.

lines   each line, its newline included, is the value of an empty key
text    key, tab, value, newline, for people and for sort(1); the first tab ends the key, so that
        keys and values with tabs or newlines need another form
jsonl   one pair a line, [key, value]; an item is a JSON string if it is UTF-8, otherwise
        {"base64": "..."}; in the input a lone item is a value with an empty key
kv      the frames that workers read and write

Result lists have one more form, exact to the byte: a JSON array of pairs a line, for each list.

Readers and writers are generators from pieces of bytes, cut anywhere, to pieces of bytes. They
buffer one piece and one incomplete line, pair or list. No clause of PROTOCOL.md defines these
forms.
"""

from __future__ import annotations

import math
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from kvproto.errors import DataError
from kvproto.inputs.lines import checked_lines
from kvproto.protocol.frames import (
    MAX_ITEM,
    ListDecoder,
    Pair,
    PairDecoder,
    encode_list,
    encode_pair,
)
from kvproto.protocol.native import frame_lines, pack_pairs
from kvproto.protocol.params import MAX_PARAMS, decode_params
from kvproto.protocol.stream import FrameStream

__all__ = [
    "READERS",
    "WRITERS",
    "bare_pairs",
    "encoder",
    "frames_from_jsonl",
    "frames_from_lines",
    "frames_from_text",
    "jsonl_from_frames",
    "jsonl_from_lists",
    "lists_from_jsonl",
    "plain_text",
    "text_from_frames",
    "without_params",
]


# --- from lines to frames -----------------------------------------------------------------------


def frames_from_lines(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Frame each line, its newline included, as the value of an empty key.

    A byte order mark before the first line is dropped.

    Raises
    ------
    DataError
        For compressed and other data without lines, and for a line that would need a buffer of more
        than `max_item` bytes.
    """
    for lines in _whole_lines(checked_lines(pieces, "the input"), max_item):
        yield frame_lines(lines)[0]


def frames_from_text(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Frame each line: the key up to the first tab, then the value, empty without a tab.

    Raises
    ------
    DataError
        For a key or value of more than `max_item` bytes.
    """
    blocks = (block.removesuffix(b"\n").split(b"\n") for block in _whole_lines(pieces, max_item))
    parts = ([line.partition(b"\t") for line in lines] for lines in blocks)
    return _encoded(([(key, value) for key, _, value in lines] for lines in parts), max_item)


def frames_from_jsonl(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Frame the pair of each line, except for blank lines.

    Raises
    ------
    DataError
        For a line that is not a pair, and for a key or value of more than `max_item` bytes.
    """
    return _encoded(_pairs_of_jsonl(pieces, max_item), max_item)


def lists_from_jsonl(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Make a result list of the pairs of each line, except for blank lines.

    Raises
    ------
    DataError
        For a line that is not a list of pairs, and for a key or value of more than `max_item`
        bytes.
    """
    import json  # noqa: PLC0415 (it is slow to load)

    for number, line in chain.from_iterable(_numbered_lines(pieces, max_item)):
        try:
            pairs = [_pair_of_json(pair) for pair in _list_of_json(json.loads(line))]
        except (ValueError, TypeError, RecursionError):
            raise _not_read(number, line, "is not a list of [key, value]") from None
        try:
            yield encode_list(pairs, max_item=max_item)
        except ValueError as e:
            raise DataError(f"line {number} of the input: {e}") from None


def _list_of_json(entry: object) -> list[Any]:
    if not isinstance(entry, list):
        raise TypeError(entry)
    return entry


def _pair_of_json(entry: object) -> Pair:
    key, value = _list_of_json(entry)
    return _item_of_json(key), _item_of_json(value)


def _pairs_of_jsonl(pieces: Iterable[bytes], max_item: int) -> Iterator[list[Pair]]:
    import json  # noqa: PLC0415 (it is slow to load)

    for lines in _numbered_lines(pieces, max_item):
        yield [_pair_of_line(line, number, json.loads) for number, line in lines]


def _numbered_lines(pieces: Iterable[bytes], max_item: int) -> Iterator[list[tuple[int, bytes]]]:
    """Yield blocks of the lines that are not blank, with their numbers from 1."""
    n_lines = 0
    for block in _whole_lines(pieces, max_item):
        lines = block.removesuffix(b"\n").split(b"\n")
        yield [(number, line) for number, line in enumerate(lines, n_lines + 1) if line.strip()]
        n_lines += len(lines)


def _pair_of_line(line: bytes, number: int, loads: Callable[[bytes], Any]) -> Pair:
    try:
        entry = loads(line)
        return _pair_of_json(entry) if isinstance(entry, list) else (b"", _item_of_json(entry))
    except (ValueError, TypeError, RecursionError):
        raise _not_read(number, line, "is neither [key, value] nor a value") from None


def _not_read(number: int, line: bytes, why: str) -> DataError:
    shown = line[:80].decode("utf-8", "backslashreplace")
    return DataError(
        f"line {number} of the input {why}: {shown}; "
        'a key or value is a JSON string or {"base64": "..."}'
    )


def _item_of_json(item: object) -> bytes:
    if isinstance(item, dict):
        ((name, text),) = item.items()
        if name != "base64":
            raise ValueError(name)
        if not isinstance(text, str):
            raise TypeError(text)
        return a2b_base64(text.encode("ascii"), strict_mode=True) if text else b""
    if not isinstance(item, str):
        raise TypeError(item)
    return item.encode()


def _encoded(blocks: Iterable[list[Pair]], max_item: int) -> Iterator[bytes]:
    n_pairs = 0
    for pairs in blocks:
        try:
            frames, n_encoded = pack_pairs(pairs, max_item, n_pairs)
        except ValueError as e:
            raise DataError(f"the input: {e}; raise max_item if this is intended") from None
        n_pairs += n_encoded
        yield frames


def _whole_lines(pieces: Iterable[bytes], max_item: int) -> Iterator[bytes]:
    """Yield blocks of whole lines; only the last line may lack its newline."""
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
            raise DataError(
                f"the input has a line of more than {max_item} bytes; "
                "raise max_item if this is intended"
            )
    if n_unended:
        yield b"".join(unended)


# --- from frames to lines -----------------------------------------------------------------------

_TEXT = b"%b\t%b\n"


def text_from_frames(frames: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Write each pair as key, tab, value, newline, without escapes."""
    for pairs in _decoded(frames, max_item):
        yield b"".join([_TEXT % pair for pair in pairs])


def jsonl_from_frames(frames: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Write each pair as a JSON line. `frames_from_jsonl` restores the same bytes."""
    encode = encoder("jsonl")
    for pairs in _decoded(frames, max_item):
        yield b"".join([encode(*pair) for pair in pairs])


def _decoded(frames: Iterable[bytes], max_item: int) -> Iterator[list[Pair]]:
    decoder = PairDecoder(max_item=max_item)
    for frame in frames:
        yield decoder.feed(frame)
    decoder.close()


def jsonl_from_lists(lists: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Write each result list as a JSON line. `lists_from_jsonl` restores the same bytes."""
    import json  # noqa: PLC0415 (it is slow to load)

    encode = json.JSONEncoder(ensure_ascii=False).encode
    decoder = ListDecoder(max_item=max_item)
    for piece in lists:
        for pairs in decoder.feed(piece):
            items = [[_json_of(key), _json_of(value)] for key, value in pairs]
            yield encode(items).encode() + b"\n"
    decoder.close()


def bare_pairs(
    pieces: Iterable[bytes], *, with_lists: bool, offset: int = 0, max_item: int = MAX_ITEM
) -> Iterator[bytes]:
    """Return the frames of pairs, or of result lists without their num-pairs.

    Errors have the offset in a stream that begins at `offset`.
    """
    stream = FrameStream(with_lists=with_lists, max_item=max_item, offset=offset)
    for piece in pieces:
        yield bytes(stream.feed(piece))
    stream.close()


def without_params(pieces: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Split what a worker reads into its parameter set, which is checked, and its pairs.

    Raises
    ------
    ParamsError, Truncated
        It does not begin with a parameter set.
    """
    pieces, data, n_bytes = iter(pieces), bytearray(), 1
    for piece in pieces:
        data += piece
        digits, newline, _ = bytes(data[:11]).partition(b"\n")
        if newline and digits.isdigit():
            n_bytes = len(digits) + 1 + min(int(digits), MAX_PARAMS)
        elif len(data) > len(digits):
            break
        else:
            continue
        if len(data) >= n_bytes:
            params, rest = bytes(data[:n_bytes]), bytes(data[n_bytes:])
            decode_params(params)
            return params, chain([rest], pieces)
    decode_params(data)
    raise AssertionError("an incomplete set is an error")


READERS = {"lines": frames_from_lines, "text": frames_from_text, "jsonl": frames_from_jsonl}
"""Form -> the function that converts it to frames."""

WRITERS = {"text": text_from_frames, "jsonl": jsonl_from_frames}
"""Form -> the function that converts frames to it."""


# --- from Python objects to lines and frames ----------------------------------------------------


def encoder(form: str) -> Callable[[Any, Any], bytes]:
    """Return a function that encodes a key and a value, any Python objects, in a form.

    Parameters
    ----------
    form : {"text", "jsonl", "kv"}
        "text" writes bytes unchanged, and ``str()`` of other objects. "jsonl" accepts what JSON
        has, and bytes; a float that JSON lacks becomes {"float": "nan"}, "inf" or "-inf". "kv"
        accepts bytes and str.

    Returns
    -------
    callable
        (key, value) -> bytes. It raises TypeError, ValueError or RecursionError for a pair that
        the form cannot represent.
    """
    return _jsonl_encoder() if form == "jsonl" else {"text": _encode_text, "kv": _encode_kv}[form]


def plain_text(pairs: Sequence[Any]) -> bytes | None:
    """Encode pairs as "text" does, all at once; None unless they are bytes, or str and numbers."""
    if set(map(type, pairs)) != {tuple}:
        return None
    types = set(map(type, chain.from_iterable(pairs)))
    try:
        if types == {bytes}:
            return b"".join([_TEXT % pair for pair in pairs])
        if types <= _PLAIN:
            return _bytes_of("".join([_LINE % pair for pair in pairs]))
    except (TypeError, ValueError):  # one of them is no pair, or has no text
        pass
    return None


_LINE = "%s\t%s\n"
_PLAIN = {str, int, float, bool, type(None)}


def _encode_text(key: object, value: object) -> bytes:
    return _TEXT % (_shown(key), _shown(value))


def _shown(item: object) -> bytes:
    return item if isinstance(item, bytes) else _bytes_of(str(item))


def _jsonl_encoder() -> Callable[[Any, Any], bytes]:
    import json  # noqa: PLC0415 (it is slow to load)

    dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_json_of).encode

    def encode(key: Any, value: Any) -> bytes:
        items = [_json_of(one) if isinstance(one, (bytes, str)) else one for one in (key, value)]
        try:
            text = dumps(items)
        except ValueError:  # JSON has no NaN and no infinity
            text = dumps(_with_named_floats(items))
        return text.encode() + b"\n"

    return encode


def _json_of(item: object) -> str | dict[str, str]:
    """Return what represents bytes in JSON, or the bytes of a str."""
    if not isinstance(item, (bytes, str)):
        raise TypeError(f"JSON cannot hold {type(item).__name__}; --out text shows any object")
    data = item if isinstance(item, bytes) else _bytes_of(item)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b2a_base64(data, newline=False).decode()}


def _with_named_floats(item: object) -> object:
    """Replace each float that JSON lacks by {"float": "nan"}, "inf" or "-inf"."""
    if isinstance(item, float) and not math.isfinite(item):
        return {"float": repr(float(item))}
    if isinstance(item, dict):
        return {_with_named_key(key): _with_named_floats(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_with_named_floats(part) for part in item]
    return item


def _with_named_key(key: object) -> object:
    return repr(float(key)) if isinstance(key, float) and not math.isfinite(key) else key


def _encode_kv(key: object, value: object) -> bytes:
    for item in (key, value):
        if not isinstance(item, (bytes, str)):
            raise TypeError(
                f"{type(item).__name__} is neither bytes nor str; "
                "--out text and jsonl can write other types"
            )
    return encode_pair(_shown(key), _shown(value))


def _bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
