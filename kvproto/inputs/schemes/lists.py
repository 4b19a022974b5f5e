"""URLs that stand for other URLs: tags (`tag://NAME`) and indexes (`dir://host/path`).

A tag is in this user's store (`kvproto.storage.tags`). It stands for the inputs that it lists and
those of the tags in it, each tag once. `tag://host/NAME` is a tag of another machine (see `nodes`):
the document at http://host:8989/ddfs/tag/NAME, whose URL is a tag too. The tags in it are also of
that machine.

The lines of an index are inputs, `label url size`: the number of the partition that the input
belongs to, and its size in bytes. The index is a local file or on the web (see `nodes`). It may be
compressed with gzip, which detects a cut: otherwise a cut after a line goes unnoticed. A URL
without a scheme is relative to the index.

A tag or an index of another machine must not list data of this one.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import urllib.parse
import zlib
from collections.abc import Iterator
from typing import Any

from kvproto.errors import DataError, JobError
from kvproto.inputs.lines import HEAD_SIZE, check_has_lines
from kvproto.inputs.schemes import Input, Tell, find_inputs, is_tag, known_form, nodes, open_input
from kvproto.storage.atomic import open_regular
from kvproto.storage.tags import TagStore, parse_document, tag_name

__all__ = ["MAX_DOCUMENT", "fetch", "find", "listed", "load", "locate"]

MAX_DOCUMENT = 256 << 20
"""The most bytes of a tag or an index, decompressed, which is read as a whole: 256 MiB."""

_ON_THE_WEB = "/ddfs/tag/"
_MAX_TAGS = 100_000

_MAX_LABEL = 999_999
"""The largest label: a job has a task for each partition up to it."""


def find(url: str, tell: Tell) -> Iterator[Input]:
    """The inputs that a tag or an index lists, in order."""
    return (_of_index if url.startswith("dir://") else _of_tag)(url, tell)


def _of_tag(url: str, tell: Tell) -> Iterator[Input]:
    """The inputs of a tag, in order; DataError that names the tag when one does not exist."""
    for name, replicas in listed(url):
        try:
            yield from find_inputs([replicas], tell)
        except DataError as e:
            raise DataError(f"tag {name}: {e}") from e


def listed(url: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the lists of URLs in a tag and its tags, each with the name of the tag."""
    seen: set[tuple[str, str]] = set()
    todo = [iter([("", "", [known_form(url)])])]  # a stack: tags may be nested very deeply
    while todo:
        server, name, replicas = next(todo[-1], (None, "", []))
        if server is None:
            todo.pop()
        elif not any(map(is_tag, replicas)):
            yield name, replicas
        elif len(replicas) > 1:
            raise DataError(
                f"tag {name}: a tag cannot be a replica: {', '.join(replicas)}; "
                "put each tag in a separate list"
            )
        else:
            tag = locate(replicas[0], server)
            if tag not in seen:
                if len(seen) == _MAX_TAGS:
                    raise DataError(f"tag {name}: there are more than {_MAX_TAGS} tags in {url}")
                seen.add(tag)
                todo.append(_lists(*tag))


def _lists(server: str, name: str) -> Iterator[tuple[str, str, list[str]]]:
    for replicas in load(server, name)["urls"]:
        try:
            urls = [known_form(url) for url in replicas]
            for url in urls if server else ():
                if not re.fullmatch("tag://[^/]*", url):  # a tag of that server
                    nodes.check_remote(url)
        except DataError as e:
            raise DataError(f"tag {name}: {e}") from e
        yield server, name, urls


def locate(url: str, server: str = "") -> tuple[str, str]:
    """Return the web address of a tag's server, or "" for the local store, and the tag's name.

    `server` is the one of a tag without a host.
    """
    if not url.startswith("tag://"):
        host, _, name = url.partition(_ON_THE_WEB)
        return host, tag_name(name)
    if "/" not in url.removeprefix("tag://"):
        return server, tag_name(url)
    host, name = nodes.split(url)
    return host, tag_name(name)


def load(server: str, name: str) -> dict[str, Any]:
    """The document of a tag. DataError with code 404 when there is none."""
    if not server:
        return TagStore().get(name)
    url = f"{server}{_ON_THE_WEB}{name}"
    data = fetch(url)
    check_has_lines(data[:HEAD_SIZE], url)
    return parse_document(data, url)


def fetch(url: str) -> bytes:
    """Read a document that is needed before the job starts. Any failure is a DataError."""
    try:
        file, _ = open_input(url)
    except JobError as e:
        raise DataError(str(e), code=getattr(e.__cause__, "code", None)) from e
    with file:
        data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise DataError(
            f"input {url}: has more than {MAX_DOCUMENT} bytes, the limit for a tag or an index"
        )
    return data


def _of_index(url: str, tell: Tell) -> Iterator[Input]:
    """The inputs of an index, with their labels; DataError with the number of a bad line."""
    server, path = nodes.split(url)
    index = f"{server}/{path}"
    for number, line in enumerate(io.BytesIO(_read(index)), 1):
        try:
            yield _parsed(line.decode("utf-8", "surrogateescape").removesuffix("\n"), index, tell)
        except DataError as e:
            raise DataError(f"index {index}, line {number}: {e}") from e


def _read(index: str) -> bytes:
    if _is_web(index):
        data = fetch(index)
    else:
        try:
            with open_regular(index) as file:
                data = file.read(MAX_DOCUMENT + 1)
        except (OSError, ValueError) as e:
            raise DataError(f"index {index}: {getattr(e, 'strerror', e)}") from e
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(data, index)
    check_has_lines(data[:HEAD_SIZE], f"index {index}")
    if len(data) > MAX_DOCUMENT:
        raise DataError(
            f"index {index}: has more than {MAX_DOCUMENT} bytes, the limit for an index"
        )
    return data


def _unpacked(data: bytes, index: str) -> bytes:
    """Decompress an index, up to one byte more than the limit."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(MAX_DOCUMENT + 1)
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
    inputs = find_inputs([url], tell)
    if len(inputs) != 1:
        raise DataError(f"{url} names {len(inputs)} inputs, but a line must name one")
    if inputs[0].n_bytes not in (None, int(size)):
        raise DataError(f"{url} has {inputs[0].n_bytes} bytes, not {size}")
    return inputs[0]._replace(n_bytes=int(size), label=int(label))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _is_web(index: str) -> bool:
    return index.startswith("http://")
