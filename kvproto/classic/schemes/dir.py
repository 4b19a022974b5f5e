"""`dir://host/path`: an index, whose lines are inputs: `label url size`.

The label is the number of the partition that the input belongs to, the size its bytes. The index is a file here, or
on the web (see `nodes`); it may be compressed by gzip, which shows when it was cut: otherwise one that ends behind a
line cannot be told from a whole one. A url in it without a scheme is relative to the index.
"""

from __future__ import annotations

import gzip
import io
import os
import urllib.parse
import zlib
from collections.abc import Iterator

from kvproto.classic.schemes import Input, find_inputs, nodes, web
from kvproto.errors import DataError

__all__ = ["find"]

_MAX_LABEL = 999_999
"""A job has a task for each partition up to the largest label."""


def find(url: str) -> Iterator[Input]:
    """The inputs of the index, each with its label. DataError that names index and line for one that is wrong."""
    server, path = nodes.split(url)
    index = f"{server}/{path}"
    for number, line in enumerate(io.BytesIO(_read(index)), 1):
        try:
            yield _parsed(line.decode("utf-8", "surrogateescape").removesuffix("\n"), index)
        except DataError as e:
            raise DataError(f"index {index}, line {number}: {e}") from e


def _read(index: str) -> bytes:
    if _is_web(index):
        data = web.fetch(index)
    else:
        try:
            with open(index, "rb") as file:
                data = file.read()
        except OSError as e:
            raise DataError(f"index {index}: {e.strerror}") from e
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"index {index}: {e}") from e


def _parsed(line: str, index: str) -> Input:
    label, _, rest = line.partition(" ")
    url, _, size = rest.rpartition(" ")
    if not (label.isdecimal() and url and size.isdecimal()):
        raise DataError(f"{line!r} is not `label url size`")
    if int(label) > _MAX_LABEL:
        raise DataError(f"{line!r}: the label is the number of a partition, at most {_MAX_LABEL}")
    if "://" not in url:
        url = urllib.parse.urljoin(index, url) if _is_web(index) else os.path.join(os.path.dirname(index), url)
    found = find_inputs([url])
    if len(found) != 1:
        raise DataError(f"{url} stands for {len(found)} inputs, and a line is one")
    if found[0].n_bytes not in (None, int(size)):
        raise DataError(f"{url} has {found[0].n_bytes} bytes, and not {size}")
    return found[0]._replace(n_bytes=int(size), label=int(label))


def _is_web(index: str) -> bool:
    return index.startswith("http://")
