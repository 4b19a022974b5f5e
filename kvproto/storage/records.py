"""The records of spool and result files.

There are four kinds. FRAMES: each pair is a wire frame, as external programs read and write it.
It is read as (bytes, bytes) and never unpickled. OBJECTS: each frame is a batch of pairs of Python
objects. Its value is the pickled list, its key the length of the list and the checksum, so that
damaged bytes are never unpickled. TYPED: see `kvproto.storage.typed_records`; only in a spool. RAW:
whatever the output streams of a job write.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any
from zlib import crc32

from kvproto.errors import DataError, ProtocolError
from kvproto.protocol import native as _native
from kvproto.protocol.frames import MAX_ITEM, PairDecoder, encode_pair

__all__ = [
    "BATCH_HEAD",
    "FRAMES",
    "OBJECTS",
    "RAW",
    "RESULT_HEAD",
    "TYPED",
    "pack_frames",
    "pack_objects",
    "pickle_pairs",
    "read_batches",
]

FRAMES = "frames"
OBJECTS = "objects"
TYPED = "typed"
RAW = "raw"

RESULT_HEAD = b"kvproto result "
"""The first bytes of every result file, of this version or another."""

BATCH_HEAD = Struct("<II")
"""The key of a batch of objects: how many pairs, and the crc32 of the value."""


def pack_objects(pairs: list[Any], first_index: int = 0) -> bytes:
    """Encode a batch of pairs of Python objects as one frame. Raises as `pickle_pairs`."""
    data = pickle_pairs(pairs, first_index)
    return encode_pair(BATCH_HEAD.pack(len(pairs), crc32(data)), data)


def pickle_pairs(pairs: list[Any], first_index: int) -> bytes:
    """Pickle a list of pairs.

    Raises TypeError with the index, counted from first_index, of a pair that cannot be pickled.
    """
    try:
        return pickle.dumps(pairs, pickle.HIGHEST_PROTOCOL)
    except Exception:  # whatever the objects raise
        return _pickled_by_value(pairs, first_index)


def _pickled_by_value(pairs: list[Any], first_index: int) -> bytes:
    """Pickle pairs of any objects, also of classes defined in __main__ or in a function."""
    import cloudpickle  # noqa: PLC0415 - slow, and needed seldom

    try:
        data: bytes = cloudpickle.dumps(pairs)
        return data
    except Exception:  # whatever the objects raise
        for index, pair in enumerate(pairs, first_index):
            try:
                cloudpickle.dumps(pair)
            except Exception as e:  # likewise
                raise TypeError(f"pair {index}: {pair!r:.200}: {e}") from None
        raise


def pack_frames(pairs: list[Any], first_index: int) -> bytes:
    """Encode pairs of bytes or str as frames, lone surrogates as their bytes.

    Raises TypeError or ValueError with the index of the pair, counted from first_index.
    """
    try:
        data: bytes = _native.pack_pairs(pairs, MAX_ITEM, first_index)[0]
    except ValueError:
        data = _native.pack_pairs([_escaped(pair) for pair in pairs], MAX_ITEM, first_index)[0]
    return data


def read_batches(kind: str, chunks: Iterable[bytes], where: str) -> Iterator[list[Any]]:
    """Decode a stream of records, cut anywhere, to lists of pairs.

    Raises DataError with `where` when it is damaged.
    """
    decoder = PairDecoder()
    try:
        for chunk in chunks:
            frames = decoder.feed(chunk)
            if kind == FRAMES:
                yield frames
            else:
                for head, data in frames:
                    yield _unpack(head, data, where)
        decoder.close()
    except ProtocolError as e:
        raise DataError(f"{where} is damaged: {e}") from e


def _unpack(head: bytes, data: bytes, where: str) -> list[Any]:
    if len(head) != BATCH_HEAD.size or BATCH_HEAD.unpack(head)[1] != crc32(data):
        raise DataError(f"{where} is damaged: the checksum of a batch of records is wrong")
    pairs: list[Any] = pickle.loads(data)
    return pairs


def _escaped(pair: object) -> object:
    if isinstance(pair, (tuple, list)):
        return tuple(
            item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item
            for item in pair
        )
    return pair
