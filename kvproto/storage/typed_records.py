"""The records of a shuffle of Python objects: batches of typed frames, or of pickled pairs.

Pairs of simple types go as frames, which C code makes, sorts, sums and reads without an object for
each: `pack_typed` of `kvproto.protocol.reference`. A batch of other pairs is pickled, as in a
result file. Each record has a checksum, so that damaged bytes are never unpickled.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any, NamedTuple, TypeAlias

from kvproto.errors import DataError, ProtocolError
from kvproto.protocol import native as _native
from kvproto.protocol.frames import PairDecoder, encode_pair
from kvproto.protocol.native import crc32
from kvproto.protocol.reference import Bytes
from kvproto.storage.records import pickle_pairs

__all__ = [
    "Batch",
    "TypedBatch",
    "WrongKey",
    "pack_batch",
    "pack_pickles",
    "pairs_in",
    "read_typed",
    "typed_batch",
]

Pair: TypeAlias = tuple[Any, Any]

_HEAD = Struct("<cI")
_PICKLED, _TEXT, _BYTES = b"p", b"s", b"b"


class TypedBatch(NamedTuple):
    """Pairs of objects as typed frames.

    Parameters
    ----------
    frames : bytes or bytearray
        Whole frames. A value that has no letter for its type is pickled: p. So is the whole pair
        where its key is of a subclass, or a bytearray: k.
    is_text : bool
        Whether the keys are str; otherwise they are bytes.
    """

    frames: bytes | bytearray
    is_text: bool

    def pairs(self) -> list[Pair]:
        """Decode the pairs."""
        return _native.unpack_typed(self.frames, self.is_text, self._unpickled)

    def _unpickled(self, key: bytes, value: bytes) -> tuple[Any, Any]:
        thing: Any = pickle.loads(memoryview(value)[1:])
        if value[:1] == b"k":
            pair: tuple[Any, Any] = thing
            return pair
        return (str(key, "utf-8", "surrogatepass") if self.is_text else key), thing


Batch: TypeAlias = TypedBatch | list[Pair]


def pairs_in(batch: Batch) -> list[Pair]:
    """Return the pairs of a batch as objects."""
    return batch if isinstance(batch, list) else batch.pairs()


# --- one pair after the other as frames ----------------------------------------------------------


class WrongKey(Exception):
    """A key that is not of the kind of the others; `key` is it."""

    def __init__(self, key: object) -> None:
        super().__init__(key)
        self.key = key


def typed_batch(pairs: list[Pair], is_text: bool) -> TypedBatch:
    """Encode pairs, in their order. WrongKey for a key of another kind than is_text says."""

    def pickled(pair: Pair) -> tuple[bytes, bytes]:
        key, value = pair
        if not isinstance(key, str if is_text else (bytes, bytearray)):
            raise WrongKey(key)
        data = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else bytes(key)
        if type(key) is (str if is_text else bytes):
            return data, b"p" + _pickled(value)
        return data, b"k" + _pickled(pair)

    return TypedBatch(_native.pack_typed(pairs, is_text, pickled), is_text)


def _pickled(thing: Any) -> bytes:
    try:
        return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        import cloudpickle  # noqa: PLC0415 - slow; only for classes of __main__ or a function

        data: bytes = cloudpickle.dumps(thing)
        return data


# --- records -------------------------------------------------------------------------------------


def pack_batch(frames: Bytes, is_text: bool) -> bytes:
    """Encode typed frames as a record."""
    return encode_pair(_HEAD.pack(_TEXT if is_text else _BYTES, crc32(frames)), bytes(frames))


def pack_pickles(pairs: list[Pair], first_index: int = 0) -> bytes:
    """Encode pairs of any objects as a record. Errors are those of `pickle_pairs`."""
    data = pickle_pairs(pairs, first_index)
    return encode_pair(_HEAD.pack(_PICKLED, crc32(data)), data)


def read_typed(chunks: Iterable[bytes], where: str) -> Iterator[Batch]:
    """Decode a stream of records, cut anywhere.

    Raises DataError with `where` when it is damaged.
    """
    decoder = PairDecoder()
    try:
        for chunk in chunks:
            for head, data in decoder.feed(chunk):
                yield _unpack(head, data, where)
        decoder.close()
    except ProtocolError as e:
        raise DataError(f"{where} is damaged: {e}") from e


def _unpack(head: bytes, data: bytes, where: str) -> Batch:
    form, crc = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", -1)
    if crc != crc32(data):
        raise DataError(f"{where} is damaged: the checksum of a batch of records is wrong")
    if form != _PICKLED:
        return TypedBatch(data, form == _TEXT)
    pairs: list[Pair] = pickle.loads(data)
    return pairs
