"""Putting data under tags: files as blobs, whole or in chunks, and the results of jobs."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from io import BufferedReader

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
    """The tag, or the first of several, with tag:// before it. InvalidTag for what is none."""
    if not isinstance(tag, str):
        tag = next(iter(tag), "")
    if not tag.startswith("tag://"):
        tag = f"tag://{tag}"
    locate(tag)
    return tag


def own_name(tag: str | Iterable[str]) -> str:
    """The name of a tag that is to be changed. JobError for one of another machine."""
    server, name = locate(canonizetag(tag))
    if server:
        raise JobError(f"{canonizetag(tag)}: a tag of another machine can be read, not changed")
    return name


def job_tag(jobname: str) -> str:
    """The name of the tag with the saved results of a job."""
    return f"disco:results:{safe_name(jobname)}"


def job_blob(jobname: str, filename: str) -> str:
    """The name of the blob with a result file of a job."""
    return safe_name(f"disco:blob:{jobname}:{os.path.basename(filename)}")


def save_results(job_name: str, paths: Iterable[str]) -> str:
    """Keep finished result files as blobs of the tag disco:results:JOB, in this order; returns its tag:// url.

    A later change of the files themselves would change the blobs: results are never written again. The sizes and checksums
    of what output streams wrote stay with the job: of a blob of the engine's own format or of hunks a cut is noticed, of
    other formats it is not.
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
    """Append files to a tag: the data of a path in chunks, as `DDFS.chunk` makes them; a url (with ://) as it is.

    is_whole  have these in the tag and no others; blobs that no tag lists then are removed
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


def append(name: str, urls, *, update: bool = False, in_front: bool = False) -> None:
    """Append urls, or lists of them, to the tag of that name, or have them in front; see `DDFS.tag`."""
    lists = _lists(urls)

    def change(document: dict) -> None:
        known = {identity(replicas) for replicas in document["urls"]} if update else ()
        new = [replicas for replicas in lists if identity(replicas) not in known]
        document["urls"] = new + document["urls"] if in_front else document["urls"] + new

    TagStore().update(name, change)


def replace(name: str, urls) -> list[list[str]]:
    """Have these urls, or lists of them, in the tag and no others; returns those before."""
    lists = _lists(urls)
    before: list[list[str]] = []

    def change(document: dict) -> None:
        before[:] = document["urls"]
        document["urls"] = lists

    TagStore().update(name, change, replace=True)
    return before


def identity(replicas: list[str]) -> str:
    """What two lists that stand for the same have in common: the name, of a blob, else the first url."""
    return blob_name(replicas[0]) if "$" in replicas[0].rpartition("/")[2] else replicas[0]


def _lists(urls) -> list[list[str]]:
    """Urls as a tag holds them: lists of str."""
    if isinstance(urls, str):
        urls = [urls]
    lists = [[one] if isinstance(one, (str, os.PathLike)) else list(one) for one in urls]
    if not all(lists):
        raise ValueError(
            "an empty list among the urls of a tag: a list in them is the replicas of one blob"
        )
    return [[os.fspath(url) for url in replicas] for replicas in lists]


def chunked(
    blobs: Blobs, urls: Iterable, chunk_size: int, known: Container[str] = ()
) -> list[list[str]]:
    """Make blobs of inputs, but of those the first chunk of which has a name that is known."""
    made: list[list[str]] = []
    for found in find_inputs(urls):
        name = safe_name(os.path.basename(found.url))
        if f"{name}-0" not in known:
            with opened(found) as file:
                made += [[url] for url in _put_chunks(blobs, name, file, chunk_size)]
    return made


def _put_chunks(blobs: Blobs, name: str, file: BufferedReader, chunk_size: int) -> list[str]:
    """Make blobs of a file's lines; of what has no lines, such as compressed data, a single one. Return their urls."""
    if has_lines(file.peek(HEAD_SIZE)[:HEAD_SIZE]):
        return blobs.put_chunks(name, file, chunk_size)
    return [blobs.put(f"{name}-0", read_blocks(file))]


def pushed(blobs: Blobs, source, name: str) -> str:
    """Make a blob of a path or an open file."""
    if hasattr(source, "read"):
        return blobs.put(name, read_blocks(source))
    with open_input(os.fspath(source))[0] as file:
        return blobs.put(name, read_blocks(file))


def opened(found: Input) -> BufferedReader:
    """Open an input, or else one of its replicas. DataError when it is cut short while it is read."""
    return open_first((found.url, *found.replicas), lambda url: open_input(url)[0])
