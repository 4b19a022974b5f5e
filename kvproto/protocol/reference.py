"""The reference primitives in pure Python. The compiled ones must agree with them to the byte.

A scan goes through the complete elements of a buffer and returns where it stopped. An incomplete
element is no error here; the callers handle end of file. No I/O, no state. Implements FRAME-1 to
FRAME-3, LIST-1, LIST-2, LIMITS-1.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from struct import error as struct_error
from types import NoneType
from typing import Any
from zlib import crc32

Bytes = bytes | bytearray | memoryview
Pair = tuple[bytes, bytes]

U32 = Struct("<I")
_I64, _F64 = Struct("<q"), Struct("<d")

_MAX_TYPED = 1 << 24  # bytes of an item in `deal_typed`

# What stopped a scan, besides the end of the data.
FINE, KEY_TOO_LARGE, VALUE_TOO_LARGE = 0, 1, 2


def scan_pairs(
    data: Bytes, start: int, max_pairs: int, max_item: int, out: list[Pair]
) -> tuple[int, int]:
    """Append each complete pair of data[start:] to out, at most max_pairs of them.

    Returns (position after the last complete pair, FINE | KEY_TOO_LARGE | VALUE_TOO_LARGE).
    """
    size_at = U32.unpack_from
    position, end = start, len(data)
    while max_pairs and end - position >= 4:
        (key_size,) = size_at(data, position)
        if key_size > max_item:
            return position, KEY_TOO_LARGE
        value_at = position + 4 + key_size
        if end - value_at < 4:
            break
        (value_size,) = size_at(data, value_at)
        if value_size > max_item:
            return position, VALUE_TOO_LARGE
        after = value_at + 4 + value_size
        if after > end:
            break
        out.append((bytes(data[position + 4 : value_at]), bytes(data[value_at + 4 : after])))
        position = after
        max_pairs -= 1
    return position, FINE


def scan_lists(
    data: Bytes,
    start: int,
    pairs: list[Pair] | None,
    pairs_left: int,
    max_item: int,
    out: list[list[Pair]],
) -> tuple[int, list[Pair] | None, int, int]:
    """Append each complete result list of data[start:] to out.

    `pairs` is the incomplete list, None between lists. Returns (position after the last complete
    element, pairs, pairs_left, fault as in `scan_pairs`).
    """
    position = start
    while True:
        if pairs is None:
            if len(data) - position < 4:
                return position, None, 0, FINE
            (pairs_left,) = U32.unpack_from(data, position)
            position += 4
            pairs = []
        n_before = len(pairs)
        position, fault = scan_pairs(data, position, pairs_left, max_item, pairs)
        pairs_left -= len(pairs) - n_before
        if pairs_left:
            return position, pairs, pairs_left, fault
        out.append(pairs)
        pairs = None


def pack_pairs(pairs: Iterable[object], max_item: int, first_index: int = 0) -> tuple[bytes, int]:
    """Encode an iterable of pairs; str is encoded as UTF-8.

    Returns (frames, number of pairs). Raises TypeError or ValueError that names the index of the
    pair, counted from first_index.
    """
    parts: list[bytes] = []
    n_pairs = 0
    for pair in pairs if isinstance(pairs, list) else list(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"pair {first_index + n_pairs} is not a (key, value) tuple or list: "
                f"{_describe(pair)}"
            )
        for name, item in zip(("key", "value"), pair, strict=True):
            encoded = (
                utf8(item, f"the {name} of pair {first_index + n_pairs}")
                if isinstance(item, str)
                else item
            )
            if not isinstance(encoded, bytes):
                raise TypeError(
                    f"the {name} of pair {first_index + n_pairs} must be bytes or str, "
                    f"not {type(item).__name__}"
                )
            if len(encoded) > max_item:
                raise ValueError(
                    f"the {name} of pair {first_index + n_pairs} has {len(encoded)} bytes, "
                    f"but the limit is {max_item}"
                )
            parts.append(U32.pack(len(encoded)))
            parts.append(encoded)
        n_pairs += 1
    return b"".join(parts), n_pairs


def frame_lines(data: Bytes) -> tuple[bytes, int]:
    """Frame each line of data, with its newline, as the value of an empty key.

    The last line may lack a newline. Returns (frames, number of lines).
    """
    lines = split_lines(data, False)
    for line in lines:
        if len(line) > 0xFFFFFFFF:
            raise ValueError(
                f"a line has {len(line)} bytes, but an item can have at most 4294967295"
            )
    return b"".join([b"\0\0\0\0" + U32.pack(len(line)) + line for line in lines]), len(lines)


def split_lines(data: Bytes, is_text: bool) -> list[Any]:
    """Split data into lines with their newline, which the last one may lack.

    They are bytes, or str: UTF-8, any other bytes as lone surrogates.
    """
    lines = [line + b"\n" for line in bytes(data).split(b"\n")]
    last = lines.pop()[:-1]
    lines += [last] if last else []
    return [line.decode("utf-8", "surrogateescape") for line in lines] if is_text else lines


def deal_pairs(
    pairs: list[tuple[Any, ...]], parts: list[list[Any]], other: Callable[[Any], int]
) -> None:
    """Append each pair, a tuple, to the list of its key's partition in parts.

    The partition of str and bytes comes from the crc32 of their (UTF-8) bytes, that of an int from
    its hash. For other keys, and for a str that UTF-8 cannot encode, it is other(key).
    """
    n_partitions = len(parts)
    for pair in pairs:
        key = pair[0]
        kind = type(key)
        if kind is bytes or (kind is str and _is_utf8(key)):
            number = crc32(key if kind is bytes else key.encode()) % n_partitions
        else:
            number = hash(key) % n_partitions if kind is int else other(key)
        parts[number].append(pair)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def flat_map(
    function: Callable[[Any, Any], Any],
    entries: Iterable[Any],
    params: Any,
    other: Callable[[Any], Iterable[Any]],
    failed: Callable[[Any, Exception], object] | None,
) -> Iterator[Any]:
    """Yield the items that function(entry, params) gives for each entry.

    If it gives something that is no iterable, other(that) gives the items, or raises an error.
    With `failed` all items of an entry are made before the first is yielded; if that raises, there
    are none, and failed(entry, error) is called.
    """
    for entry in entries:
        if failed is None:
            yield from _items_of(function, entry, params, other)
            continue
        try:
            items = list(_items_of(function, entry, params, other))
        except Exception as e:  # whatever the function raises
            failed(entry, e)
        else:
            yield from items


def _items_of(
    function: Callable[[Any, Any], Any],
    entry: Any,
    params: Any,
    other: Callable[[Any], Iterable[Any]],
) -> Iterator[Any]:
    returned = function(entry, params)
    try:
        return iter(returned)
    except TypeError:
        return iter(other(returned))


def sum_pairs(pairs: Iterator[Any], sums: dict[Any, Any], max_keys: int) -> list[Any]:
    """Add the value of each pair of an iterator to the sum of its key.

    Stops at a pair that is not a tuple of two or cannot be added (bytes neither, which `+` would
    join), and when there are max_keys sums.
    Returns the pairs that were read but not added, which may be several; none at the end. Raises
    only what the iterator raises.
    """
    for pair in pairs:
        if len(sums) >= max_keys or type(pair) is not tuple or len(pair) != 2:
            return [pair]
        key, value = pair
        if type(value) is bytes:
            return [pair]
        try:
            sums[key] = sums.get(key, 0) + value
        except Exception:  # the caller adds the pair itself and gets the error
            return [pair]
    return []


def pack_typed(
    pairs: list[tuple[Any, Any]],
    is_text: bool,
    other: Callable[[tuple[Any, Any]], tuple[bytes, bytes]],
) -> bytearray:
    """Encode pairs of objects as frames whose values begin with a letter for their type.

    s: UTF-8, b: bytes, i: an int of 8 bytes, f: a float of 8 bytes, n: None, t: True, u: False.
    Keys are str with is_text, otherwise bytes. Any other pair is encoded by other(pair), with other
    letters.
    """
    frames = bytearray()
    for pair in pairs:
        encoded = _encode_typed(pair, is_text)
        for item in other(pair) if encoded is None else encoded:
            frames += U32.pack(len(item)) + item
    return frames


def _encode_typed(pair: tuple[Any, Any], is_text: bool) -> tuple[bytes, bytes] | None:
    key, value = pair
    kind: type = type(value)
    try:
        if is_text and type(key) is str:
            key_bytes = key.encode()
        elif not is_text and type(key) is bytes:
            key_bytes = key
        else:
            return None
        if kind is str:
            return key_bytes, b"s" + value.encode()
        if kind is bytes:
            return key_bytes, b"b" + value
        if kind is int:
            return key_bytes, b"i" + _I64.pack(value)
        if kind is float:
            return key_bytes, b"f" + _F64.pack(value)
        if kind in (NoneType, bool):
            return key_bytes, b"n" if value is None else b"t" if value else b"u"
    except (UnicodeEncodeError, struct_error):  # lone surrogates; a large int
        pass
    return None


def deal_typed(
    pairs: Iterator[Any],
    parts: list[bytearray],
    n_bytes: array[int] | memoryview[int],
    n_pairs: array[int] | memoryview[int],
    is_text: bool,
    max_bytes: int,
    partition: Callable[[Any], int] | None,
) -> int | list[Any]:
    """Write pairs from an iterator as typed frames to the parts of their keys' partitions.

    The frames of part p are parts[p][: n_bytes[p]]; there are n_pairs[p] of them. The partition is
    partition(key), or if that is None, crc32(key) % len(parts). Stops when a part has max_bytes,
    and at an item that is no tuple of two, has no letter or more than 16 MiB.

    Returns the number of the full part; -1 at the end; or a list with that item.
    """
    for pair in pairs:
        is_pair = type(pair) is tuple and len(pair) == 2
        encoded = _encode_typed(pair, is_text) if is_pair else None
        if encoded is None or len(encoded[0]) > _MAX_TYPED or len(encoded[1]) > _MAX_TYPED + 1:
            return [pair]
        key, value = encoded
        number = 0
        if len(parts) > 1:
            number = crc32(key) % len(parts) if partition is None else partition(pair[0])
        if not 0 <= number < len(parts):
            raise IndexError(f"deal_typed(): there is no partition {number}")
        frame = U32.pack(len(key)) + key + U32.pack(len(value)) + value
        parts[number][n_bytes[number] : n_bytes[number] + len(frame)] = frame
        n_bytes[number] += len(frame)
        n_pairs[number] += 1
        if n_bytes[number] >= max_bytes:
            return number
    return -1


def unpack_typed(
    frames: Bytes, is_text: bool, other: Callable[[bytes, bytes], tuple[Any, Any]]
) -> list[tuple[Any, Any]]:
    """Decode the whole frames of `pack_typed`; other(key, value) decodes what `other` encoded.

    Raises ValueError when data is left after the last whole frame.
    """
    items: list[tuple[bytes, bytes]] = []
    if scan_pairs(frames, 0, len(frames), 0xFFFFFFFF, items)[0] != len(frames):
        raise ValueError("these are not whole frames")
    return [_decode_typed(key, value, is_text, other) for key, value in items]


def _decode_typed(
    key: bytes, value: bytes, is_text: bool, other: Callable[[bytes, bytes], tuple[Any, Any]]
) -> tuple[Any, Any]:
    letter, data = value[:1], value[1:]
    decoded: Any
    if letter == b"s":
        decoded = str(data, "utf-8", "surrogatepass")
    elif letter == b"b":
        decoded = data
    elif letter == b"i" and len(data) == 8:
        decoded = _I64.unpack(data)[0]
    elif letter == b"f" and len(data) == 8:
        decoded = _F64.unpack(data)[0]
    elif value in (b"n", b"t", b"u"):
        decoded = None if value == b"n" else value == b"t"
    else:
        return other(key, value)
    return (str(key, "utf-8", "surrogatepass") if is_text else key), decoded


def utf8(text: str, what: str) -> bytes:
    """Encode text; ValueError that names `what` for lone surrogates."""
    try:
        return text.encode()
    except UnicodeEncodeError as e:
        raise ValueError(f"{what} is a str that UTF-8 cannot encode: {e.reason}") from None


def _describe(pair: object) -> str:
    if isinstance(pair, (tuple, list)):
        return f"{type(pair).__name__} of {len(pair)}"
    return type(pair).__name__
