"""DDFS: the tag store, with the methods of the original DDFS.

There is no server, and one copy of each blob, so that `replicas`, `forceon`, `retries`, `delayed`
and `token` have no effect. A tag is a name or tag://NAME; of a list of tags, the first one counts.
Tags of another machine (tag://host/NAME) can only be read. Errors are DataError, such as NoSuchTag
(code 404) and InvalidTag (code 403), or JobError if the store cannot be written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from typing import Any

from kvproto.classic.putting import (
    append,
    canonizetag,
    chunked,
    identity,
    job_blob,
    job_tag,
    opened,
    own_name,
    pushed,
    replace,
    save_results,
)
from kvproto.errors import DataError
from kvproto.inputs.schemes import find_inputs, tell
from kvproto.inputs.schemes.lists import load, locate
from kvproto.inputs.tagged import remove_unused
from kvproto.storage.blobs import CHUNK_SIZE, Blobs, blob_name
from kvproto.storage.tags import DamagedTag, InvalidTag, NoSuchTag, TagStore, safe_name

__all__ = [
    "CHUNK_SIZE",
    "DDFS",
    "InvalidTag",
    "NoSuchTag",
    "canonizetag",
    "istag",
    "save_results",
    "tagname",
]


Tag = str | Iterable[str]
"""A tag: its name, or tag://NAME; of several, the first."""

Urls = list[str]

Lists = list[list[str]]
"""Lists of replicas."""

TagWalk = tuple[Any, list[str], list[list[str]]]
"""A tag, or a path of tags; the tags in it; its blobs."""


def istag(url: str | Iterable[str]) -> bool:
    """Return whether this is the url of a tag, or a list that begins with one."""
    first = url if isinstance(url, str) else next(iter(url), "")
    return first.startswith("tag://")


def tagname(tag: str | Iterable[str]) -> str:
    """Return the name of a tag without tag://."""
    return locate(canonizetag(tag))[1]


class DDFS:
    """The tag store of this user.

    Parameters
    ----------
    master, proxy, settings : object, optional
        Older programs pass them; they have no effect.
    """

    def __init__(
        self, master: object = None, proxy: object = None, settings: object = None
    ) -> None:
        self.master = master

    _newest_first = False
    safe_name = staticmethod(safe_name)
    blob_name = staticmethod(blob_name)
    job_tag = staticmethod(job_tag)
    job_blob = staticmethod(job_blob)

    # --- reading ---------------------------------------------------------------------------

    def get(self, tag: Tag, token: object = None) -> dict[str, Any]:
        """Return the document of the tag: version, id, last-modified, urls, user-data."""
        return load(*locate(canonizetag(tag)))

    def urls(self, tag: Tag, token: object = None) -> Lists:
        """Return the lists of urls in the tag."""
        lists: Lists = self.get(tag)["urls"]
        return lists

    def exists(self, tag: Tag) -> bool:
        """Return whether there is such a tag."""
        try:
            return bool(self.get(tag))
        except DataError as e:
            if e.code not in (InvalidTag.code, NoSuchTag.code):
                raise
            return False

    def list(self, prefix: str = "") -> Urls:
        """Return the sorted names of all tags that begin with prefix."""
        return TagStore().names(prefix)

    def walk(
        self,
        tag: Tag,
        ignore_missing: bool = True,
        tagpath: tuple[str, ...] = (),
        token: object = None,
    ) -> Iterator[TagWalk]:
        """Walk the graph of tags, depth first. A tag that contains itself is entered once.

        Parameters
        ----------
        ignore_missing : bool
            Whether a missing tag counts as empty; otherwise it raises NoSuchTag.

        Yields
        ------
        (path, tags, blobs)
            The tags from the first to this one, the tags in it, and the lists of urls of its blobs.
        """
        tagpath = (*tagpath, canonizetag(tag))
        tags, blobs = self._content(tag, ignore_missing)
        yield tagpath, tags, blobs
        for inner in tags:
            if inner not in tagpath:
                yield from self.walk(inner, ignore_missing, tagpath)

    def findtags(
        self, tags: Any = (), ignore_missing: bool = True, token: object = None
    ) -> Iterator[TagWalk]:
        """Walk the graph of tags, breadth first: yield (tag, tags in it, blobs), each tag once."""
        queue = [canonizetag(tag) for tag in ([tags] if isinstance(tags, str) else tags)]
        seen = set()
        for tag in queue:  # the loop appends to it
            if tag not in seen:
                seen.add(tag)
                inner, blobs = self._content(tag, ignore_missing)
                yield tag, inner, blobs
                queue += inner

    def blobs(self, tag: Tag, ignore_missing: bool = True, token: object = None) -> Iterator[Urls]:
        """Yield the list of urls of each blob of the tag and of the tags in it."""
        for _, _, blobs in self.walk(tag, ignore_missing):
            yield from blobs

    def pull(
        self, tag: Tag, blobfilter: Callable[[str], object] = bool, token: object = None
    ) -> Iterator[BufferedReader]:
        """Yield the blobs of the tag and of the tags in it as open files; `blobfilter` selects."""
        for urls in self.blobs(tag, ignore_missing=False):
            if blobfilter(blob_name(urls[0])):
                yield from map(opened, find_inputs([urls]))

    def _content(self, tag: Tag, ignore_missing: bool) -> tuple[Urls, Lists]:
        server, name = locate(canonizetag(tag))
        try:
            lists = load(server, name)["urls"]
        except DataError as e:
            if e.code != NoSuchTag.code or not ignore_missing:
                raise
            lists = []
        tags = [_relative(urls[0], server) for urls in lists if istag(urls)]
        return tags, [urls for urls in lists if not istag(urls)]

    # --- changing --------------------------------------------------------------------------

    def tag(
        self, tag: Tag, urls: Any, token: object = None, delayed: bool = False, update: bool = False
    ) -> Urls:
        """Append urls to the tag. Return a list with the tag's url.

        Parameters
        ----------
        urls : str or list
            Urls, lists of replicas, and lists of one other tag.
        update : bool
            Whether to leave out urls, and blobs with names, that are in the tag already.
        """
        name = own_name(tag)
        append(name, urls, update=update, in_front=self._newest_first)
        return [f"tag://{name}"]

    def put(self, tag: Tag, urls: Any, token: object = None) -> Urls:
        """Replace the urls of the tag; remove its blobs that no tag lists any more."""
        name = own_name(tag)
        remove_unused(replace(name, urls))
        return [f"tag://{name}"]

    def push(
        self,
        tag: Tag,
        files: Iterable[Any],
        replicas: object = None,
        forceon: object = (),
        retries: object = 10,
        delayed: bool = False,
        update: bool = False,
        token: object = None,
    ) -> tuple[Urls, Lists]:
        """Make a blob of each file, and append the blobs to the tag.

        Parameters
        ----------
        files : list
            Paths, (path, name) or (open file, name).
        update : bool
            Whether to leave out names that are in the tag already, and repeated names.

        Returns
        -------
        (list of str, list of lists of str)
            The tag's url, and the urls of the blobs.
        """
        named = [
            file if isinstance(file, tuple) else (file, os.path.basename(file)) for file in files
        ]
        if update:
            known = self._known(tag)
            first = {safe_name(name): (source, name) for source, name in reversed(named)}
            named = [
                first[name]
                for name in dict.fromkeys(safe_name(name) for _, name in named)
                if name not in known
            ]
        with Blobs() as blobs:
            urls = [[pushed(blobs, source, name)] for source, name in named]
            blobs.touch()
            return self.tag(tag, urls), urls

    def chunk(
        self,
        tag: Tag,
        urls: Any,
        replicas: object = None,
        forceon: object = (),
        retries: object = 10,
        delayed: bool = False,
        update: bool = False,
        token: object = None,
        chunk_size: int = CHUNK_SIZE,
    ) -> tuple[Urls, Lists]:
        """Cut inputs at the ends of lines into blobs, and append the blobs to the tag.

        Parameters
        ----------
        urls : str or list
            Inputs, like those of a job.
        chunk_size : int
            Bytes. A chunk extends to the end of its last line.
        update : bool
            Whether to leave out inputs whose first chunk is in the tag already.

        Returns
        -------
        (list of str, list of lists of str)
            As for `push`.
        """
        canonizetag(tag)
        known = self._known(tag) if update else ()
        with Blobs() as blobs:
            made = chunked(
                blobs, [urls] if isinstance(urls, (str, os.PathLike)) else urls, chunk_size, known
            )
            blobs.touch()
            return self.tag(tag, made), made

    def save(self, jobname: str, paths: Iterable[str], retries: object = 600) -> str:
        """Keep the result files of a job under a tag, and return its name; see `save_results`."""
        return tagname(save_results(jobname, paths))

    def delete(self, tag: Tag, token: object = None) -> None:
        """Delete the tag, if it exists, and its blobs that no other tag lists.

        The blobs of a damaged tag stay until `kvproto tag gc`.
        """
        name = own_name(tag)
        try:
            lists = self.urls(tag)
        except NoSuchTag:
            return
        except DamagedTag as e:
            TagStore().delete(name)
            tell(f"{e.msg.partition(';')[0]}: deleted; `kvproto tag gc` removes its data")
            return
        TagStore().delete(name)
        remove_unused(lists)

    # --- attributes ------------------------------------------------------------------------

    def attrs(self, tag: Tag, token: object = None) -> dict[str, Any]:
        """Return the attributes of the tag and their values."""
        attributes: dict[str, Any] = self.get(tag)["user-data"]
        return attributes

    def getattr(self, tag: Tag, attr: str, token: object = None) -> Any:
        """Return the value of an attribute of the tag; DataError if it has no such attribute."""
        attributes = self.attrs(tag)
        if attr not in attributes:
            raise DataError(
                f"tag {tagname(tag)} has no attribute {attr!r}; "
                f"it has {', '.join(attributes) or 'none'}"
            )
        return attributes[attr]

    def setattr(self, tag: Tag, attr: str, val: object, token: object = None) -> None:
        """Set an attribute of the tag to a value that JSON can hold. Create the tag if necessary.

        DataError (code 404) for names that begin with `ddfs:`; the original used them for itself.
        """
        if attr.startswith("ddfs:"):
            raise DataError(
                f"{attr}: programs cannot set attributes that begin with ddfs:; "
                "kvproto has no tokens",
                code=404,
            )
        self._update(tag, lambda document: document["user-data"].update({attr: val}))

    def delattr(self, tag: Tag, attr: str, token: object = None) -> None:
        """Delete an attribute of the tag, if it exists."""
        if attr in self.attrs(tag):
            self._update(tag, lambda document: _drop(document["user-data"], attr))

    def _update(self, tag: Tag, change: Callable[[dict[str, Any]], None]) -> Urls:
        name = own_name(tag)
        TagStore().update(name, change)
        return [f"tag://{name}"]

    def _known(self, tag: Tag) -> set[str]:
        return {identity(urls) for urls in self.urls(tag)} if self.exists(tag) else set()


def _relative(tag: str, server: str) -> str:
    """The url of a tag that is listed in a tag of `server`."""
    host, name = locate(tag, server)
    return f"tag://{host.removeprefix('http://')}/{name}" if host else f"tag://{name}"


def _drop(attributes: dict[str, Any], name: str) -> None:
    attributes.pop(name, None)
