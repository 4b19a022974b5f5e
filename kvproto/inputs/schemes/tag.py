"""`tag://NAME`: the inputs that a tag lists, those of the tags in it too, each tag once.

A tag is in this user's store (`kvproto.storage.tags`). `tag://host/NAME` is one of another machine (see `nodes`), the
document at http://host:8989/ddfs/tag/NAME, which may be given itself as well; tags in it are of that machine too, and
it may name no data of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvproto.errors import DataError
from kvproto.inputs.formats import HEAD_SIZE, check_has_lines
from kvproto.inputs.schemes import Input, Tell, find_inputs, known_form, nodes, web
from kvproto.storage.tags import TagStore, parse_document, tag_name

__all__ = ["find", "listed", "load", "locate"]

_ON_THE_WEB = "/ddfs/tag/"
_MAX_TAGS = 100_000


def find(url: str, tell: Tell) -> Iterator[Input]:
    """The inputs of the tag, in order. DataError that names the tag where one of them is not there."""
    for name, replicas in listed(url):
        try:
            yield from find_inputs([replicas], tell)
        except DataError as e:
            raise DataError(f"tag {name}: {e}") from e


def listed(url: str) -> Iterator[tuple[str, list[str]]]:
    """The lists of urls of the tag and the tags in it, in order, each with the name of its tag."""
    seen: set[tuple[str, str]] = set()
    todo = [
        iter([("", "", [known_form(url)])])
    ]  # a stack, as tags may be nested as deeply as somebody likes
    while todo:
        server, name, replicas = next(todo[-1], (None, "", []))
        if server is None:
            todo.pop()
        elif not any(map(_is_tag, replicas)):
            yield name, replicas
        elif len(replicas) > 1:
            raise DataError(
                f"tag {name}: a tag among replicas: {', '.join(replicas)}; each tag needs a list of its own"
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
            replicas = [known_form(url) for url in replicas]
            for url in replicas if server else ():
                if not re.fullmatch("tag://[^/]*", url):  # which is one of that server
                    nodes.check_remote(url)
        except DataError as e:
            raise DataError(f"tag {name}: {e}") from e
        yield server, name, replicas


def _is_tag(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    return scheme == "tag" or (
        scheme in ("http", "https") and f"/{rest.partition('/')[2]}".startswith(_ON_THE_WEB)
    )


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
    data = web.fetch(url)
    check_has_lines(data[:HEAD_SIZE], url)
    return parse_document(data, url)
