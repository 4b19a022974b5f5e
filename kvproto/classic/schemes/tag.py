"""`tag://NAME`: the inputs that a tag lists, those of the tags in it too, each tag once.

A tag is in this user's store (`kvproto.classic.tags`). `tag://host/NAME` is one of another machine (see `nodes`), the
document at http://host:8989/ddfs/tag/NAME, which may be given itself as well; tags in it are of that machine too.
"""

from __future__ import annotations

from collections.abc import Iterator

from kvproto.classic.schemes import Input, find_inputs, nodes, web
from kvproto.classic.tags import TagStore, parse_document, tag_name
from kvproto.errors import DataError

__all__ = ["find", "listed", "load", "locate"]

_ON_THE_WEB = "/ddfs/tag/"


def find(url: str) -> Iterator[Input]:
    """The inputs of the tag, in order. DataError that names the tag where one of them is not there."""
    for name, replicas in listed(url):
        try:
            yield from find_inputs([replicas])
        except DataError as e:
            raise DataError(f"tag {name}: {e}") from e


def listed(url: str) -> Iterator[tuple[str, list[str]]]:
    """The lists of urls of the tag and the tags in it, in order, each with the name of its tag."""
    return _listed(*locate(url), set())


def _listed(server: str, name: str, seen: set[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    if (server, name) in seen:
        return
    seen.add((server, name))
    for replicas in load(server, name)["urls"]:
        if not any(url.startswith("tag://") for url in replicas):
            yield name, replicas
        elif len(replicas) == 1:
            yield from _listed(*locate(replicas[0], server), seen)
        else:
            raise DataError(f"tag {name}: a tag among replicas: {', '.join(replicas)}; each tag needs a list of its own")


def locate(url: str, server: str = "") -> tuple[str, str]:
    """Where a tag is: the web address of its server, "" for the store here, and its name.

    server  where a tag that names no host is
    """
    if not url.startswith("tag://"):
        host, _, name = url.partition(_ON_THE_WEB)
        return host, tag_name(name)
    if "/" not in url.removeprefix("tag://"):
        return server, tag_name(url)
    host, name = nodes.split(url)
    return host, tag_name(name)


def load(server: str, name: str) -> dict:
    """The document of a tag. DataError with code 404 when there is none."""
    if not server:
        return TagStore().get(name)
    url = f"{server}{_ON_THE_WEB}{name}"
    return parse_document(web.fetch(url), url)
