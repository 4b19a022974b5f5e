"""The old `disco.schemes` and the modules in it: opening an input by its url, whichever scheme it has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import BinaryIO

from kvproto.classic.task_io import chain_reader, task_input_stream
from kvproto.inputs.schemes import open_input

__all__ = ["import_scheme", "input_stream", "open", "open_chain"]

input_stream = task_input_stream


def open(url: str, task=None) -> BinaryIO:
    """The data behind a url, as a binary file. DataError that names the url."""
    return open_input(url)[0]


def open_chain(url: str, task=None) -> Iterator[tuple]:
    """The pairs of the result file behind a url."""
    stream, size, url = input_stream(None, None, url, None)
    with stream:
        yield from chain_reader(stream, size, url)


def import_scheme(url: str) -> ModuleType:
    """What knows how to open a url: this module, for all schemes."""
    return sys.modules[__name__]
