"""The blobs that are there: which urls are theirs, which of them tags list, and their removal.

Tags may list any url, and those who change one may not know this store. Only a file whose real path is that of a
blob, NAME$UNIQUE in its directory, is ever removed; nor is one on another file system that is mounted inside the store.
Here a blob goes by its path relative to the directory of all of them.
"""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from collections.abc import Iterable

from kvproto.errors import DataError
from kvproto.inputs.schemes import known_form, nodes, tell
from kvproto.inputs.schemes.files import local_path
from kvproto.storage.files import naming
from kvproto.storage.home import home
from kvproto.storage.tags import DamagedTag, NoSuchTag, TagStore

__all__ = ["collect", "directory", "is_chunk", "remove", "remove_unused", "unused", "url_of"]

_OWN = re.compile(r"([0-9a-f]{2})/[A-Za-z0-9_\-@:]{0,200}\$\1[0-9a-f]{30}(\.lines)?")
_UNFINISHED = re.compile(r"\.[0-9a-f]{8,32}\.part$")


def directory() -> str:
    """Where blobs are."""
    return os.path.join(home(), "ddfs", "blob")


def url_of(path: str) -> str:
    """The url of a blob by its whole path."""
    return "file://" + urllib.parse.quote(path, safe="/$:@")


def is_chunk(url: str) -> bool:
    """Whether it is the url of a blob of lines."""
    return url.endswith(".lines") and _own(url) is not None


def remove_unused(lists: Iterable[list[str]]) -> None:
    """Remove the blobs in these lists of urls that no tag lists any more.

    Nothing is removed where a damaged tag may list them, which is told.
    """
    candidates = {own for urls in lists for url in urls if (own := _own(url))}
    if not candidates:
        return
    try:
        listed = _listed()
    except DataError as e:
        tell(f"{e}; when that is mended, `kvproto tag gc` removes the data")
        return
    for own in candidates - listed:
        remove(own)


def unused(grace: float) -> list[str]:
    """The blobs that no tag lists, and what puts that were killed left, all of them older than `grace` seconds.

    What is newer may be of a put that is under way. They are paths relative to the directory of the blobs, for
    `collect`. DataError when a damaged tag may list them.
    """
    latest = time.time() - grace
    old = [
        own for own in _stored() if _changed(own) <= latest
    ]  # looked up before the tags, which may get more
    listed = _listed()
    return [own for own in old if own not in listed]


def collect(found: Iterable[str], grace: float) -> None:
    """Remove what `unused` found, but for what somebody has touched since."""
    latest = time.time() - grace
    for own in found:
        if _changed(own) <= latest:
            remove(own)


def _stored() -> list[str]:
    """The relative paths of all blobs, and of what is left of unfinished ones."""
    found = []
    with naming(directory(), "listing"):
        for folder in _names(directory()):
            if re.fullmatch("[0-9a-f]{2}", folder) and not os.path.islink(
                os.path.join(directory(), folder)
            ):
                found += [f"{folder}/{name}" for name in _names(os.path.join(directory(), folder))]
    return [own for own in found if _OWN.fullmatch(_UNFINISHED.sub("", own))]


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed(own: str) -> float:
    """When a blob was made, linked or touched; never, for one that is gone."""
    try:
        return os.lstat(os.path.join(directory(), own)).st_ctime
    except FileNotFoundError:
        return float("inf")


def _listed() -> set[str]:
    """The blobs that tags list."""
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
    """The path of a blob relative to the directory of all blobs; None for the url of anything else."""
    try:
        url = known_form(url)
        if url.startswith("disco://"):
            server, path = nodes.split(url)
            url = f"/{path}" if not server else url
        path = os.path.realpath(local_path(url))
    except (DataError, ValueError):  # another host, or what can be no path
        return None
    top, own = os.path.split(os.path.dirname(path))
    own = f"{own}/{os.path.basename(path)}"
    return own if top == os.path.realpath(directory()) and _OWN.fullmatch(own) else None


def remove(own: str) -> None:
    """Remove a blob. DataError when it cannot be removed; it may be gone already."""
    folder, name = os.path.split(own)
    path = os.path.join(directory(), own)
    try:
        top = os.open(directory(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                if _mount(inner) != _mount(top):
                    raise DataError(
                        f"{path} is not removed: it is on another file system, mounted inside the store"
                    )
                os.unlink(name, dir_fd=inner)
            finally:
                os.close(inner)
        finally:
            os.close(top)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise DataError(f"removing {path}: {e.strerror}") from e


def _mount(fd: int) -> tuple[int, str]:
    """What tells whether two directories are of one mount: the device alone does not, for a bind mount."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            mount = next((line for line in file if line.startswith("mnt_id:")), "")
    except OSError:
        mount = ""
    return os.fstat(fd).st_dev, mount
