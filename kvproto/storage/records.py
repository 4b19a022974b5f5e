"""The records of spool and result files: wire frames, of bytes pairs or of batches of Python
objects.

Two kinds of ours. FRAMES: each pair is a wire frame, as external programs read and write it;
reading gives (bytes, bytes) and nothing in it is ever unpickled. OBJECTS: a frame holds a batch of
pairs, its value the pickled list, its key the list's length and checksum, so that damaged bytes are
never unpickled. RAW is whatever a job's own output streams write.
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

__all__ = ["FRAMES", "OBJECTS", "RAW", "RESULT_HEAD", "pack_frames", "pack_objects", "read_batches"]

FRAMES = "frames"
OBJECTS = "objects"
RAW = "raw"

RESULT_HEAD = b"kvproto result "
"""The first bytes of every result file, of this version or another."""

_BATCH_HEAD = Struct("<II")


def pack_objects(pairs: list[Any], first_index: int = 0) -> bytes:
    """Encode a batch of pairs of Python objects as one frame.

    Raises TypeError that names the index, counted from first_index, of a pair that cannot be
    pickled.
    """
    try:
        data = pickle.dumps(pairs, pickle.HIGHEST_PROTOCOL)
    except Exception:  # whatever the objects raise
        data = _pickled_by_value(pairs, first_index)
    return encode_pair(_BATCH_HEAD.pack(len(pairs), crc32(data)), data)


def _pickled_by_value(pairs: list[Any], first_index: int) -> bytes:
    """Pickle objects of classes that were defined in __main__ or in a function too."""
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
    """Encode pairs of bytes or str as frames; a str that holds undecodable bytes as those bytes
    again.

    Raises TypeError or ValueError that names the pair's index, counted from first_index.
    """
    try:
        data: bytes = _native.pack_pairs(pairs, MAX_ITEM, first_index)[0]
    except ValueError:
        data = _native.pack_pairs([_escaped(pair) for pair in pairs], MAX_ITEM, first_index)[0]
    return data


def read_batches(kind: str, chunks: Iterable[bytes], where: str) -> Iterator[list[Any]]:
    """Decode a stream of records, cut anywhere, to lists of pairs;

    DataError names `where` when it is damaged.
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
    if len(head) != _BATCH_HEAD.size or _BATCH_HEAD.unpack(head)[1] != crc32(data):
        raise DataError(f"{where} is damaged: a batch of records does not have its checksum")
    pairs: list[Any] = pickle.loads(data)
    return pairs


def _escaped(pair: object) -> object:
    if isinstance(pair, (tuple, list)):
        return tuple(
            item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item
            for item in pair
        )
    return pair
