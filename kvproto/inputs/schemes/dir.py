"""`dir://host/path`: an index, whose lines are inputs: `label url size`.

The label is the number of the partition that the input belongs to, the size its bytes. The index is a file here, or
on the web (see `nodes`); it may be compressed by gzip, which shows when it was cut: otherwise one that ends behind a
line cannot be told from a whole one. A url in it without a scheme is relative to the index. An index on the web may
name no data of this machine.
"""

from __future__ import annotations

import gzip
import io
import os
import urllib.parse
import zlib
from collections.abc import Iterator

from kvproto.errors import DataError
from kvproto.inputs.formats import HEAD_SIZE, check_has_lines
from kvproto.inputs.schemes import Input, Tell, find_inputs, known_form, nodes, web
from kvproto.storage.atomic import open_regular

__all__ = ["find"]

_MAX_LABEL = 999_999
"""A job has a task for each partition up to the largest label."""


def find(url: str, tell: Tell) -> Iterator[Input]:
    """The inputs of the index, each with its label. DataError that names index and line for one that is wrong."""
    server, path = nodes.split(url)
    index = f"{server}/{path}"
    for number, line in enumerate(io.BytesIO(_read(index)), 1):
        try:
            yield _parsed(line.decode("utf-8", "surrogateescape").removesuffix("\n"), index, tell)
        except DataError as e:
            raise DataError(f"index {index}, line {number}: {e}") from e


def _read(index: str) -> bytes:
    if _is_web(index):
        data = web.fetch(index)
    else:
        try:
            with open_regular(index) as file:
                data = file.read(web.MAX_DOCUMENT + 1)
        except (OSError, ValueError) as e:
            raise DataError(f"index {index}: {getattr(e, 'strerror', e)}") from e
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(data, index)
    check_has_lines(data[:HEAD_SIZE], f"index {index}")
    if len(data) > web.MAX_DOCUMENT:
        raise DataError(
            f"index {index}: has more than {web.MAX_DOCUMENT} bytes, the limit for an index"
        )
    return data


def _unpacked(data: bytes, index: str) -> bytes:
    """What it holds; a byte more than the limit at most."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(web.MAX_DOCUMENT + 1)
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"index {index}: {e}") from e


def _parsed(line: str, index: str, tell: Tell) -> Input:
    label, _, rest = line.partition(" ")
    url, _, size = rest.rpartition(" ")
    if not (_is_number(label) and url and _is_number(size)):
        raise DataError(f"{line!r:.300} is not `label url size`")
    if int(label) > _MAX_LABEL:
        raise DataError(
            f"{line!r:.300}: the label is the number of a partition, at most {_MAX_LABEL}"
        )
    if "://" not in url:
        try:
            url = (
                urllib.parse.urljoin(index, url)
                if _is_web(index)
                else os.path.join(os.path.dirname(index), url)
            )
        except ValueError as e:
            raise DataError(f"{url!r:.300}: {e}") from e
    if _is_web(index):
        nodes.check_remote(known_form(url))
    found = find_inputs([url], tell)
    if len(found) != 1:
        raise DataError(f"{url} stands for {len(found)} inputs, and a line is one")
    if found[0].n_bytes not in (None, int(size)):
        raise DataError(f"{url} has {found[0].n_bytes} bytes, and not {size}")
    return found[0]._replace(n_bytes=int(size), label=int(label))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _is_web(index: str) -> bool:
    return index.startswith("http://")
