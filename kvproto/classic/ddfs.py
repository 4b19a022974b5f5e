"""DDFS: the tag store as code for the original used it, and the results of jobs in it.

There is no server and one copy of each blob: `master`, `proxy`, `settings`, `replicas`, `forceon`, `retries`, `delayed`
and `token` are taken and change nothing. A tag is given by its name or as tag://NAME; of a list the first counts.
Tags on another machine (tag://host/NAME) can be read. Errors are DataErrors, NoSuchTag (code 404) and InvalidTag
(code 403) among them, and JobErrors where the store cannot be written.
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
"""A tag: its name, or tag://NAME; of several the first."""


def istag(url: str | Iterable[str]) -> bool:
    """Whether it is the url of a tag, or a list that begins with one."""
    first = url if isinstance(url, str) else next(iter(url), "")
    return first.startswith("tag://")


def tagname(tag: str | Iterable[str]) -> str:
    """The tag's name alone."""
    return locate(canonizetag(tag))[1]


class DDFS:
    """The tag store of this user.

    master  kept as an attribute; code for the original names one, and a proxy and settings, which mean nothing
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

    # --- looking ---------------------------------------------------------------------------

    def get(self, tag, token=None) -> dict:
        """The document of the tag: version, id, last-modified, urls, user-data."""
        return load(*locate(canonizetag(tag)))

    def urls(self, tag, token=None) -> list[list[str]]:
        """The lists of urls in the tag."""
        return self.get(tag)["urls"]

    def exists(self, tag) -> bool:
        """Whether there is such a tag."""
        try:
            return bool(self.get(tag))
        except DataError as e:
            if e.code not in (InvalidTag.code, NoSuchTag.code):
                raise
            return False

    def list(self, prefix: str = "") -> list[str]:
        """The names of all tags that begin with prefix, in order."""
        return TagStore().names(prefix)

    def walk(
        self, tag, ignore_missing: bool = True, tagpath: tuple = (), token=None
    ) -> Iterator[tuple]:
        """Walk the graph of tags, depth first: yields (tags from the first to this one, tags in it, lists of blobs).

        A tag that leads back to itself is not entered again. One that is missing has neither tags nor blobs, or is
        an error (NoSuchTag).
        """
        tagpath = (*tagpath, canonizetag(tag))
        tags, blobs = self._content(tag, ignore_missing)
        yield tagpath, tags, blobs
        for inner in tags:
            if inner not in tagpath:
                yield from self.walk(inner, ignore_missing, tagpath)

    def findtags(self, tags=(), ignore_missing: bool = True, token=None) -> Iterator[tuple]:
        """Find the tags that tags lead to, breadth first, each once: yields (tag, tags in it, lists of blobs)."""
        queue = [canonizetag(tag) for tag in ([tags] if isinstance(tags, str) else tags)]
        seen = set()
        for tag in queue:  # which grows meanwhile
            if tag not in seen:
                seen.add(tag)
                inner, blobs = self._content(tag, ignore_missing)
                yield tag, inner, blobs
                queue += inner

    def blobs(self, tag, ignore_missing: bool = True, token=None) -> Iterator[list[str]]:
        """Yield the lists of urls, one for each blob, of the tag and the tags in it."""
        for _, _, blobs in self.walk(tag, ignore_missing):
            yield from blobs

    def pull(
        self, tag, blobfilter: Callable[[str], Any] = lambda name: True, token=None
    ) -> Iterator[BufferedReader]:
        """Yield the blobs of the tag and the tags in it as open files; `blobfilter(name)` says which."""
        for urls in self.blobs(tag, ignore_missing=False):
            if blobfilter(blob_name(urls[0])):
                yield from map(opened, find_inputs([urls]))

    def _content(self, tag, ignore_missing: bool) -> tuple[list[str], list[list[str]]]:
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

    def tag(self, tag, urls, token=None, delayed: bool = False, update: bool = False) -> list[str]:
        """Append urls, or lists of them: replicas, or [another tag]. Returns a list of the tag's url.

        update  leave out urls that are in the tag already, and blobs of whose names there is one in it
        """
        name = own_name(tag)
        append(name, urls, update=update, in_front=self._newest_first)
        return [f"tag://{name}"]

    def put(self, tag, urls, token=None) -> list[str]:
        """Have these urls in the tag and no others; blobs that no tag lists then are removed."""
        name = own_name(tag)
        remove_unused(replace(name, urls))
        return [f"tag://{name}"]

    def push(
        self,
        tag,
        files,
        replicas=None,
        forceon=(),
        retries=10,
        delayed: bool = False,
        update: bool = False,
        token=None,
    ) -> tuple[list[str], list[list[str]]]:
        """Make a blob of each file and append them to the tag. Returns the tag's url in a list, and the lists of urls.

        files   paths, (path, name) or (open file, name)
        update  leave out what has a name that is in the tag already, or that an earlier one of files has
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
        tag,
        urls,
        replicas=None,
        forceon=(),
        retries=10,
        delayed: bool = False,
        update: bool = False,
        token=None,
        chunk_size: int = CHUNK_SIZE,
    ) -> tuple[list[str], list[list[str]]]:
        """Cut inputs at line ends into blobs, and append these to the tag. Returns what `push` does.

        urls        as `find_inputs` takes them
        chunk_size  bytes; what is left of the last line comes on top
        update      leave out inputs the first chunk of which is in the tag already
        """
        canonizetag(tag)
        known = self._known(tag) if update else ()
        with Blobs() as blobs:
            made = chunked(
                blobs, [urls] if isinstance(urls, (str, os.PathLike)) else urls, chunk_size, known
            )
            blobs.touch()
            return self.tag(tag, made), made

    def save(self, jobname: str, paths: Iterable[str], retries=600) -> str:
        """Keep finished result files of a job; see `save_results`. Returns the tag's name."""
        return tagname(save_results(jobname, paths))

    def delete(self, tag, token=None) -> None:
        """Delete the tag, if there is one, and those of its blobs that no other tag lists.

        Of a damaged tag it is not known which they are: `kvproto tag gc` finds them.
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

    def attrs(self, tag, token=None) -> dict[str, Any]:
        """The attributes of the tag and their values."""
        return self.get(tag)["user-data"]

    def getattr(self, tag, attr: str, token=None):
        """The value of an attribute of the tag; DataError when it has none of that name."""
        attributes = self.attrs(tag)
        if attr not in attributes:
            raise DataError(
                f"tag {tagname(tag)} has no attribute {attr!r}; it has {', '.join(attributes) or 'none'}"
            )
        return attributes[attr]

    def setattr(self, tag, attr: str, val, token=None) -> None:
        """Set an attribute of the tag, which is made if there is none, to a value that JSON can hold.

        DataError (code 404) for one that begins with `ddfs:`: those were the original's own, its tokens above all.
        """
        if attr.startswith("ddfs:"):
            raise DataError(
                f"{attr}: attributes that begin with ddfs: are not for programs; there are no tokens here",
                code=404,
            )
        self._update(tag, lambda document: document["user-data"].update({attr: val}))

    def delattr(self, tag, attr: str, token=None) -> None:
        """Delete an attribute of the tag, if it has it."""
        if attr in self.attrs(tag):
            self._update(tag, lambda document: document["user-data"].pop(attr, None))

    def _update(self, tag, change: Callable[[dict], Any]) -> list[str]:
        name = own_name(tag)
        TagStore().update(name, change)
        return [f"tag://{name}"]

    def _known(self, tag) -> set[str]:
        return {identity(urls) for urls in self.urls(tag)} if self.exists(tag) else set()


def _relative(tag: str, server: str) -> str:
    """The url of a tag in one of `server`."""
    found, name = locate(tag, server)
    return f"tag://{found.removeprefix('http://')}/{name}" if found else f"tag://{name}"
