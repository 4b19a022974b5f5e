"""The reference primitives in pure Python: what the compiled ones must agree with to the byte.

Each function takes a buffer and a start, works through what is complete, and returns where it
stopped. "Not yet" is a position short of the end, never an error; end of file is the callers'
business. No I/O, no state. Implements FRAME-1 to FRAME-3, LIST-1, LIST-2, LIMITS-1.
"""

from __future__ import annotations

from struct import Struct
from zlib import crc32

U32 = Struct("<I")

# What stopped a scan, besides the end of the data.
FINE, KEY_TOO_LARGE, VALUE_TOO_LARGE = 0, 1, 2


def scan_pairs(data, start: int, max_pairs: int, max_item: int, out: list) -> tuple[int, int]:
    """Append each complete pair of data[start:] to out, as (bytes, bytes), at most max_pairs of them.

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


def scan_lists(data, start: int, pairs: list | None, pairs_left: int, max_item: int, out: list):
    """Append each complete result list of data[start:] to out; `pairs` is the list under way, None between lists.

    Returns (position after the last complete element, pairs, pairs_left, fault as in `scan_pairs`).
    """
    position = start
    while True:
        if pairs is None:
            if len(data) - position < 4:
                return position, None, 0, FINE
            (pairs_left,) = U32.unpack_from(data, position)
            position += 4
            pairs = []
        had = len(pairs)
        position, fault = scan_pairs(data, position, pairs_left, max_item, pairs)
        pairs_left -= len(pairs) - had
        if pairs_left:
            return position, pairs, pairs_left, fault
        out.append(pairs)
        pairs = None


def pack_pairs(pairs, max_item: int, first_index: int = 0) -> tuple[bytes, int]:
    """Encode an iterable of pairs; str is encoded as UTF-8.

    Returns (frames, number of pairs). Raises TypeError or ValueError naming the pair's index from first_index.
    """
    parts = []
    n_pairs = 0
    for pair in pairs if isinstance(pairs, list) else list(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"pair {first_index + n_pairs} is not a (key, value) tuple or list: {_describe(pair)}"
            )
        for name, item in zip(("key", "value"), pair):
            if isinstance(item, str):
                item = _utf8(item, name, first_index + n_pairs)
            elif not isinstance(item, bytes):
                raise TypeError(
                    f"the {name} of pair {first_index + n_pairs} must be bytes or str, not {type(item).__name__}"
                )
            if len(item) > max_item:
                raise ValueError(
                    f"the {name} of pair {first_index + n_pairs} has {len(item)} bytes, the limit is {max_item}"
                )
            parts.append(U32.pack(len(item)))
            parts.append(item)
        n_pairs += 1
    return b"".join(parts), n_pairs


def frame_lines(data, last: bool) -> tuple[bytes, int]:
    """Frame each line of data, its newline included, as the value of an empty key; with `last` an unended line too.

    Returns (frames, bytes of data taken).
    """
    end = len(data) if last else bytes(data).rfind(b"\n") + 1
    parts = []
    for line in bytes(data[:end]).split(b"\n"):
        if len(line) > 0xFFFFFFFE:
            raise ValueError(f"a line of {len(line) + 1} bytes: an item has at most 4294967295")
        parts.append(b"\0\0\0\0" + U32.pack(len(line) + 1) + line + b"\n")
    rest = parts.pop()[8:-1]  # what stands behind the last newline
    if rest:
        parts.append(b"\0\0\0\0" + U32.pack(len(rest)) + rest)
    return b"".join(parts), end


def split_frames(data, n_partitions: int) -> tuple[list[bytes], int]:
    """Route each complete pair of data, as it is, to partition crc32(key) % n_partitions.

    Returns (frames of each partition, bytes of data taken). Items of any size pass: data was checked before.
    """
    if n_partitions < 1:
        raise ValueError(f"n_partitions must be at least 1, not {n_partitions}")
    partitions: list[list] = [[] for _ in range(n_partitions)]
    position, end = 0, len(data)
    while end - position >= 8:
        value_at = position + 4 + U32.unpack_from(data, position)[0]
        if end - value_at < 4:
            break
        after = value_at + 4 + U32.unpack_from(data, value_at)[0]
        if after > end:
            break
        partitions[crc32(data[position + 4 : value_at]) % n_partitions].append(
            bytes(data[position:after])
        )
        position = after
    return [b"".join(frames) for frames in partitions], position


def deal_pairs(pairs: list, parts: list, other) -> None:
    """Append each pair, a tuple, to the list of its key's partition in parts.

    str and bytes go by the crc32 of their (UTF-8) bytes, ints by their hash; of other keys, and of a str that UTF-8
    cannot encode, other(key) says the partition.
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


def sum_pairs(pairs, sums: dict, max_keys: int) -> list:
    """Add each pair of an iterator to the sum of its key, as long as it is a tuple of two that can be added, and there
    are fewer than max_keys sums.

    Returns the pair that it left to the caller, taken from the iterator, in a list; an empty one at the end. Raises
    what the iterator raises, and nothing else.
    """
    for pair in pairs:
        if len(sums) >= max_keys or type(pair) is not tuple or len(pair) != 2:
            return [pair]
        key, value = pair
        try:
            sums[key] = sums.get(key, 0) + value
        except Exception:  # the caller does the pair again, and gets it
            return [pair]
    return []


def _utf8(text: str, name: str, index: int) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as e:
        raise ValueError(
            f"the {name} of pair {index} is a str that UTF-8 cannot encode: {e.reason}"
        ) from None


def _describe(pair) -> str:
    if isinstance(pair, (tuple, list)):
        return f"{type(pair).__name__} of {len(pair)}"
    return type(pair).__name__
