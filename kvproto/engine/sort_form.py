"""Pairs in the form that the program `sort` can sort, and back: KEY 02 VALUE 00.

The form keeps the bytes 00, 01 and 02 for itself; in keys and values they become 01 03, 01 04 and 01 05, which keeps the
order of keys. Keys are bytes or text, as UTF-8, whose order is that of code points. A value of a Python object begins
with a letter for its type.
Promises: what is read is what was written, of its own type, whatever it is. Work is done on whole batches: for each
pair there is little more to do than to make its objects.
Refuses to know: files and processes.
"""

from __future__ import annotations

import os
import pickle
from itertools import chain

import cloudpickle

__all__ = ["WrongKey", "decode_bytes", "decode_objects", "encode_bytes", "encode_objects"]


class WrongKey(Exception):
    """A key that is not of the kind of the others; `key` is it."""

    def __init__(self, key) -> None:
        super().__init__(key)
        self.key = key


def encode_bytes(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Encode pairs of bytes."""
    return _filled("%b\2%b\0", pairs)


def decode_bytes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Decode whole records, the last of them without its 00."""
    return list(zip(*_split(data, b"\2", False)))


def encode_objects(pairs: list[tuple], is_text: bool) -> bytes:
    """Encode pairs with values of any type, keys that are str, or bytes and bytearray, or of subclasses; WrongKey for others."""
    types = {(type(key), type(value)) for key, value in pairs}
    template = _TEMPLATES.get(types.pop()) if len(types) == 1 else None
    if template is not None and ("%s" in template) == is_text:
        try:
            return _filled(template, pairs)
        except ValueError:
            pass  # an int with more digits than Python is ready to write
    return encode_bytes([_as_bytes(pair, is_text) for pair in pairs])


def decode_objects(data: bytes, is_text: bool) -> list[tuple]:
    """Decode what `encode_objects` made, the last record without its 00."""
    at = data.index(b"\2")
    between = data[at : at + 2]
    if data.count(between) != data.count(b"\2"):
        return [
            _from_bytes(key, value[:1], value[1:], is_text) for key, value in decode_bytes(data)
        ]
    letter = between[1:]
    as_text = is_text and letter in _TEXT_READERS
    keys, values = _split(data, between, as_text)
    if letter == b"k":
        return list(map(pickle.loads, values))
    if is_text and not as_text:
        keys = map(_from_utf8, keys)
    return list(zip(keys, map((_TEXT_READERS if as_text else _READERS)[letter], values)))


# --- whole batches ---------------------------------------------------------------------------------

_TEMPLATES = {
    (str, str): "%s\2s%s\0",
    (str, int): "%s\2i%d\0",
    (str, float): "%s\2f%r\0",
    (bytes, bytes): "%b\2b%b\0",
    (bytes, int): "%b\2i%d\0",
    (bytes, float): "%b\2f%r\0",
}


def _filled(template: str, pairs: list[tuple]) -> bytes:
    n_pairs = len(pairs)
    items = tuple(chain.from_iterable(pairs))
    data = _format(template, n_pairs, items)
    if data.count(b"\0") == n_pairs == data.count(b"\2") and b"\1" not in data:
        return data
    while True:
        between, end = _mark(), _mark()
        data = _format(template.replace("\2", between).replace("\0", end), n_pairs, items)
        between, end = between.encode(), end.encode()
        if data.count(between) == n_pairs == data.count(end):
            data = data.replace(b"\1", b"\1\4").replace(b"\0", b"\1\3").replace(b"\2", b"\1\5")
            return data.replace(between, b"\2").replace(end, b"\0")


def _format(template: str, n_times: int, items: tuple) -> bytes:
    if "%s" in template:
        return _to_utf8(template * n_times % items)
    return template.encode() * n_times % items


def _split(data: bytes, between: bytes, as_text: bool) -> tuple[list, list]:
    """Cut records into keys and values."""
    mark = b"\0"
    data_has_escapes = b"\1" in data
    if data_has_escapes:
        while (mark := _mark().encode()) in data:
            pass
    data = data.replace(between, mark).replace(b"\0", mark)
    if data_has_escapes:
        data = data.replace(b"\1\3", b"\0").replace(b"\1\5", b"\2").replace(b"\1\4", b"\1")
    items = _from_utf8(data).split(mark.decode()) if as_text else data.split(mark)
    return items[0::2], items[1::2]


def _mark() -> str:
    """What will hardly be found in data; it is looked for nevertheless. No part at its end is one at its beginning."""
    return f"<{os.urandom(8).hex()}>"


# --- one pair at a time, where types are mixed or have no template -------------------------------------


def _as_bytes(pair: tuple, is_text: bool) -> tuple[bytes, bytes]:
    key, value = pair
    if type(key) is (str if is_text else bytes):
        return (_to_utf8(key) if is_text else key), _value_as_bytes(value)
    if isinstance(key, str if is_text else (bytes, bytearray)):
        return (_to_utf8(key) if is_text else bytes(key)), b"k" + _pickled(pair)  # k: with its key
    raise WrongKey(key)


def _value_as_bytes(value) -> bytes:
    if type(value) is bytes:
        return b"b" + value
    if type(value) is str:
        return b"s" + _to_utf8(value)
    if type(value) is int and abs(value) < 1 << 64:
        return b"i%d" % value
    return b"p" + _pickled(value)


def _from_bytes(key: bytes, letter: bytes, value: bytes, is_text: bool) -> tuple:
    if letter == b"k":
        return pickle.loads(value)
    return (_from_utf8(key) if is_text else key), _READERS[letter](value)


def _pickled(thing) -> bytes:
    try:
        return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        return cloudpickle.dumps(thing)  # of classes that were defined in __main__ or in a function


def _to_utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _from_utf8(data: bytes) -> str:
    return str(data, "utf-8", "surrogatepass")


_READERS = {b"b": bytes, b"s": _from_utf8, b"i": int, b"f": float, b"p": pickle.loads}
_TEXT_READERS = {b"s": str, b"i": int, b"f": float}
