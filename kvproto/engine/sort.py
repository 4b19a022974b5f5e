"""The sort of a reduce's input: by the program `sort` for keys of bytes or text, in runs of our own for all others.

Promises: ascending order of keys, equal keys in the order in which they came; memory of about the buffer, the rest on
disk below the directory given, where nothing is left when the generator has ended or was closed, or its process has died.
The type of the first key decides: bytes (bytearray too) and str go through the program, in the order of bytes
and of code points; keys of other types are compared with `<`. Keys without an order among each other are a TypeError.
Refuses to know: jobs, and where pairs come from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from kvproto.engine.sort_form import (
    WrongKey,
    decode_bytes,
    decode_objects,
    encode_bytes,
    encode_objects,
)
from kvproto.engine.sort_program import sort_records
from kvproto.engine.sort_runs import no_order, sort_in_runs
from kvproto.storage.records import FRAMES, pack_frames, read_batches

__all__ = ["check_buffer_size", "sort_frames", "sort_pairs"]

_UNITS = {"b": 1, "": 1 << 10} | {unit: 1 << 10 * power for power, unit in enumerate("KMGTPE", 1)}
_UNITS |= {unit: _UNITS[unit.upper()] for unit in "kmgt"}
_SIZE = re.compile(r"([0-9]+)([%bkKmMgGtTPE]?)")
_MIN_BYTES, _MAX_BYTES = (
    1 << 20,
    64 << 20,
)  # that pairs of our own runs may take, however small or large the buffer


def check_buffer_size(text) -> None:
    """Raise ValueError unless `sort -S` takes it: "10%" of the memory, "64M", "1G", "512K", "100b" for bytes, "100" for KiB."""
    _n_buffer_bytes(text)


def _n_buffer_bytes(text) -> int:
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found:
        number, unit = int(found[1]), found[2]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        n_bytes = number * memory // 100 if unit == "%" else number * _UNITS[unit]
        if n_bytes < 1 << 63:
            return n_bytes
    raise ValueError(
        f"sort_buffer_size is what `sort -S` takes, as a str: a part of the memory such as '10%', or a size "
        f"such as '512K', '64M' or '1G'; not {text!r:.100}"
    )


def sort_frames(chunks: Iterable[bytes], buffer_size: str, directory: str) -> Iterator[bytes]:
    """Take wire frames, cut anywhere, and yield them in the order of their keys' bytes, whole ones.

    buffer_size, directory, errors: as for `sort_pairs`; DataError for frames that are damaged.
    """
    batches = filter(None, read_batches(FRAMES, chunks, "what is to be sorted"))
    for block in sort_records(map(encode_bytes, batches), buffer_size, directory):
        yield pack_frames(decode_bytes(block), 0)


def sort_pairs(
    batches: Iterable[list[tuple]], buffer_size: str, directory: str
) -> Iterator[list[tuple]]:
    """Take lists of pairs of Python objects and yield lists of them in the order of their keys.

    buffer_size  str, as for `check_buffer_size`; of pairs with keys of other types than bytes and text never more than
                 64 MiB are held, as they are in the memory of the task itself
    directory    str: what does not fit into memory is there
    Raises TypeError for keys that have no order, JobError for a full disk or without a program `sort`, DataError when
    that or the disk fails. None as every key, int with float with bool: fine. NaN: TypeError.
    """
    batches = filter(None, batches)
    first = next(batches, None)
    if first is None:
        return
    batches = chain([first], batches)
    key = first[0][0]
    if isinstance(key, (str, bytes, bytearray)):
        yield from _sort_with_program(batches, key, buffer_size, directory)
    else:
        n_bytes = min(max(_n_buffer_bytes(buffer_size), _MIN_BYTES), _MAX_BYTES)
        yield from sort_in_runs(batches, n_bytes, directory)


def _sort_with_program(
    batches: Iterable[list[tuple]], key, buffer_size: str, directory: str
) -> Iterator[list[tuple]]:
    """The same; `key` is the first one, and says whether keys are text or bytes."""
    is_text = isinstance(key, str)
    try:
        for block in sort_records(
            (encode_objects(batch, is_text) for batch in batches), buffer_size, directory
        ):
            yield decode_objects(block, is_text)
    except WrongKey as e:
        raise no_order(key, e.key) from None
