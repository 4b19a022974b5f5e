"""The old `disco.compat`: what Python 2 and 3 call differently, here always that of Python 3."""

from __future__ import annotations

import http.client as httplib
import http.server as http_server
import pickle
import socketserver as socket_server
from io import BytesIO, FileIO, IOBase, StringIO
from itertools import zip_longest
from urllib.parse import urlencode

__all__ = [
    "BytesIO",
    "StringIO",
    "UnpicklingError",
    "basestring",
    "bytes_of_int",
    "bytes_to_str",
    "file",
    "force_ascii",
    "force_utf8",
    "http_server",
    "httplib",
    "int_of_byte",
    "integer_types",
    "pickle_dump",
    "pickle_dumps",
    "pickle_load",
    "pickle_loads",
    "socket_server",
    "str_to_bytes",
    "urlencode",
    "zip_longest",
]


class _Files(type):
    def __instancecheck__(cls, instance) -> bool:
        return isinstance(instance, IOBase)


class file(FileIO, metaclass=_Files):
    """Opens a file; every open file is one, as what readers get is."""


basestring = str
integer_types = int
pickle_dump, pickle_dumps, pickle_load, pickle_loads = (
    pickle.dump,
    pickle.dumps,
    pickle.load,
    pickle.loads,
)
UnpicklingError = pickle.UnpicklingError


def str_to_bytes(s: str | bytes) -> bytes:
    """UTF-8, lone surrogates as the bytes that they stand for; bytes as they are."""
    return s if isinstance(s, bytes) else s.encode("utf-8", "surrogateescape")


def bytes_to_str(b: bytes | str) -> str:
    """The inverse of `str_to_bytes`; a str as it is."""
    return b if isinstance(b, str) else b.decode("utf-8", "surrogateescape")


def bytes_of_int(i: int) -> bytes:
    """One byte."""
    return bytes([i])


def int_of_byte(i: int) -> int:
    """What indexing bytes gives is a number already."""
    return i


def force_utf8(string: str) -> str:
    """A str needs no forcing."""
    return string


force_ascii = force_utf8
