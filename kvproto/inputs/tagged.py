"""Which blobs the tags list, by their URLs, and the removal of those that no tag lists.

A tag may list any URL, and whoever changes one may not know this store. Here a blob is known by its
path relative to the directory of all blobs (`kvproto.storage.blobs`).
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
    return url.endswith(".lines") and _own(url) is not None


def remove_unused(lists: Iterable[list[str]]) -> None:
    """Remove the blobs in these lists of URLs that no tag lists any more.

    When a damaged tag may list them, nothing is removed, and stderr says so.
    """
    candidates = {own for urls in lists for url in urls if (own := _own(url))}
    if not candidates:
        return
    try:
        listed = _listed()
    except DataError as e:
        tell(f"{e}; when that is repaired, `kvproto tag gc` removes the data")
        return
    for own in candidates - listed:
        remove(own)


def unused(grace: float) -> list[str]:
    """List what to `collect`: blobs that no tag lists, and what killed puts left.

    All of it is older than `grace` seconds: newer blobs may belong to a put that is under way.
    DataError when a damaged tag may list them.
    """
    latest = time.time() - grace
    # Looked up before the tags, which may get more.
    old = [own for own in all_blobs() if changed(own) <= latest]
    listed = _listed()
    return [own for own in old if own not in listed]


def collect(blobs: Iterable[str], grace: float) -> None:
    """Remove unused blobs, except those that somebody has touched since."""
    latest = time.time() - grace
    for own in blobs:
        if changed(own) <= latest:
            remove(own)


def _listed() -> set[str]:
    """The blobs that the tags list."""
    store = TagStore()
    listed: set[str] = set()
    for name in store.names():
        try:
            listed.update(
                own for urls in store.get(name)["urls"] for url in urls if (own := _own(url))
            )
        except NoSuchTag:
            continue  # deleted meanwhile
        except DamagedTag as e:
            raise DamagedTag(f"no data is removed, as a damaged tag may list it: {e}") from e
    return listed


def _own(url: str) -> str | None:
    """The relative path of a blob; None for the URL of anything else."""
    try:
        url = known_form(url)
        if url.startswith("disco://"):
            server, path = nodes.split(url)
            url = f"/{path}" if not server else url
        return blob_path(local_path(url))
    except (DataError, ValueError):  # another host, or not a path
        return None
