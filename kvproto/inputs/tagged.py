"""Find the blobs that tags list, by their URLs, and remove the others.

A tag may list any URL, in any form. Here a blob is identified by its path relative to the directory
of all blobs (`kvproto.storage.blobs`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from kvproto.errors import DataError
from kvproto.inputs.schemes import known_form, nodes, tell
from kvproto.inputs.schemes.files import local_path
from kvproto.storage.blobs import all_blobs, blob_path, changed, remove
from kvproto.storage.tags import DamagedTag, NoSuchTag, TagStore

__all__ = ["collect", "is_chunk", "remove_unused", "unused"]


def is_chunk(url: str) -> bool:
    """Whether it is the URL of a blob of lines."""
    return url.endswith(".lines") and _blob_of(url) is not None


def remove_unused(lists: Iterable[list[str]]) -> None:
    """Remove the blobs in these lists of URLs that no tag lists any more.

    If a damaged tag may list them, nothing is removed, and a message says so.
    """
    candidates = {blob for urls in lists for url in urls if (blob := _blob_of(url))}
    if not candidates:
        return
    try:
        listed = _listed()
    except DataError as e:
        tell(f"{e}; after you have repaired it, `kvproto tag gc` removes the data")
        return
    for blob in candidates - listed:
        remove(blob)


def unused(grace: float) -> list[str]:
    """List the blobs that no tag lists, including unfinished ones of killed processes.

    Blobs that are newer than `grace` seconds are left out: a process may be about to list them.
    Raises DataError when a damaged tag may list some.
    """
    latest = time.time() - grace
    # Before the tags are read: meanwhile one may come to list an old blob.
    old = [blob for blob in all_blobs() if changed(blob) <= latest]
    listed = _listed()
    return [blob for blob in old if blob not in listed]


def collect(blobs: Iterable[str], grace: float) -> None:
    """Remove unused blobs, except those that were touched meanwhile."""
    latest = time.time() - grace
    for blob in blobs:
        if changed(blob) <= latest:
            remove(blob)


def _listed() -> set[str]:
    """The blobs that the tags list."""
    store = TagStore()
    listed: set[str] = set()
    for name in store.names():
        try:
            listed.update(
                blob for urls in store.get(name)["urls"] for url in urls if (blob := _blob_of(url))
            )
        except NoSuchTag:
            continue  # deleted meanwhile
        except DamagedTag as e:
            raise DamagedTag(f"no data is removed, because a damaged tag may list it: {e}") from e
    return listed


def _blob_of(url: str) -> str | None:
    """The relative path of a blob; None for any other URL."""
    try:
        url = known_form(url)
        if url.startswith("disco://"):
            server, path = nodes.split(url)
            url = f"/{path}" if not server else url
        return blob_path(local_path(url))
    except (DataError, ValueError):  # another host, or not a path
        return None
