"""Store data under tags: files as blobs, whole or in chunks, and the results of jobs."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from io import BufferedReader
from typing import Any

from kvproto.errors import JobError
from kvproto.inputs.lines import HEAD_SIZE, has_lines
from kvproto.inputs.replicas import open_first
from kvproto.inputs.schemes import Input, find_inputs, open_input
from kvproto.inputs.schemes.lists import locate
from kvproto.inputs.tagged import remove_unused
from kvproto.storage.blobs import CHUNK_SIZE, Blobs, blob_name, read_blocks
from kvproto.storage.tags import TagStore, safe_name

__all__ = [
    "append",
    "canonizetag",
    "chunked",
    "identity",
    "job_blob",
    "job_tag",
    "opened",
    "own_name",
    "pushed",
    "put_files",
    "replace",
    "save_results",
]


def canonizetag(tag: str | Iterable[str]) -> str:
    """Return the tag, or the first of several, as tag://NAME. InvalidTag for anything else."""
    if not isinstance(tag, str):
        tag = next(iter(tag), "")
    if not tag.startswith("tag://"):
        tag = f"tag://{tag}"
    locate(tag)
    return tag


def own_name(tag: str | Iterable[str]) -> str:
    """Return the name of a tag to change. JobError for a tag of another machine."""
    server, name = locate(canonizetag(tag))
    if server:
        raise JobError(f"{canonizetag(tag)}: a tag of another machine can only be read")
    return name


def job_tag(jobname: str) -> str:
    """Return the name of the tag with the saved results of a job."""
    return f"disco:results:{safe_name(jobname)}"


def job_blob(jobname: str, filename: str) -> str:
    """Return the name of the blob with a result file of a job."""
    return safe_name(f"disco:blob:{jobname}:{os.path.basename(filename)}")


def save_results(job_name: str, paths: Iterable[str]) -> str:
    """Keep result files as blobs of the tag disco:results:JOB, in this order; return its url.

    The blobs are links to the files. Sizes and checksums stay with the job. So nothing notices that
    a blob was cut, if an output stream wrote it in a format without an end mark.
    """
    tag = job_tag(job_name)
    with Blobs() as blobs:
        urls = [[blobs.put_file(job_blob(job_name, path), path)] for path in paths]
        before = replace(tag, urls)
    remove_unused(before)
    return f"tag://{tag}"


def put_files(
    tag: str, files: Iterable[str], *, chunk_size: int = CHUNK_SIZE, is_whole: bool = False
) -> None:
    """Append files to a tag: the data of a path in chunks, as `DDFS.chunk` does; a url as it is.

    With is_whole, they replace the urls of the tag.
    """
    name = own_name(tag)
    lists: list[list[str]] = []
    before: list[list[str]] = []
    with Blobs() as blobs:
        for file in files:
            lists += [[file]] if "://" in file else chunked(blobs, [file], chunk_size)
        blobs.touch()
        if is_whole:
            before = replace(name, lists)
        else:
            append(name, lists)
    remove_unused(before)


def append(name: str, urls: Any, *, update: bool = False, in_front: bool = False) -> None:
    """Append urls, or lists of them, to a tag, or put them in front; see `DDFS.tag`."""
    lists = _lists(urls)

    def change(document: dict[str, Any]) -> None:
        known = {identity(replicas) for replicas in document["urls"]} if update else ()
        new = [replicas for replicas in lists if identity(replicas) not in known]
        document["urls"] = new + document["urls"] if in_front else document["urls"] + new

    TagStore().update(name, change)


def replace(name: str, urls: Any) -> list[list[str]]:
    """Replace the urls of a tag, and return the old ones."""
    lists = _lists(urls)
    before: list[list[str]] = []

    def change(document: dict[str, Any]) -> None:
        before[:] = document["urls"]
        document["urls"] = lists

    TagStore().update(name, change, replace=True)
    return before


def identity(replicas: list[str]) -> str:
    """Return what equal lists have in common: the name of a blob, otherwise the first url."""
    return blob_name(replicas[0]) if "$" in replicas[0].rpartition("/")[2] else replicas[0]


def _lists(urls: Any) -> list[list[str]]:
    """Make the lists of str that a tag has."""
    if isinstance(urls, str):
        urls = [urls]
    lists = [[one] if isinstance(one, (str, os.PathLike)) else list(one) for one in urls]
    if not all(lists):
        raise ValueError(
            "the urls of a tag contain an empty list: a list must hold the replicas of a blob"
        )
    return [[os.fspath(url) for url in replicas] for replicas in lists]


def chunked(
    blobs: Blobs, urls: Iterable[Any], chunk_size: int, known: Container[str] = ()
) -> list[list[str]]:
    """Make blobs of inputs, except those whose first chunk has a known name."""
    made: list[list[str]] = []
    for one in find_inputs(urls):
        name = safe_name(os.path.basename(one.url))
        if f"{name}-0" not in known:
            with opened(one) as file:
                made += [[url] for url in _put_chunks(blobs, name, file, chunk_size)]
    return made


def _put_chunks(blobs: Blobs, name: str, file: BufferedReader, chunk_size: int) -> list[str]:
    """Make blobs of a file's lines, or one blob of data without lines; return their urls."""
    if has_lines(file.peek(HEAD_SIZE)[:HEAD_SIZE]):
        return blobs.put_chunks(name, file, chunk_size)
    return [blobs.put(f"{name}-0", read_blocks(file))]


def pushed(blobs: Blobs, source: Any, name: str) -> str:
    """Make a blob of a path or an open file."""
    if hasattr(source, "read"):
        return blobs.put(name, read_blocks(source))
    with open_input(os.fspath(source))[0] as file:
        return blobs.put(name, read_blocks(file))


def opened(one: Input) -> BufferedReader:
    """Open an input, or one of its replicas. Reading raises DataError if it is cut short."""
    return open_first((one.url, *one.replicas), lambda url: open_input(url)[0])
