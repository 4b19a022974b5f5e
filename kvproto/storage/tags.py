"""The tag store: a directory of names that stand for lists of URLs.

A tag is a JSON document, below `ddfs/tag/` in `kvproto.storage.home.home()`:

    {"version": 1, "id": "NAME$7", "last-modified": "2024/05/17 09:30:00",
     "urls": [[replica, ...], ...], "user-data": {}}

Each inner list of URLs is one input, or [tag://OTHER] for the inputs of that tag. A change is a new
version, a file NAME/0000000008.json. It is created atomically, unless the number is taken: if two
processes change a tag at the same time, the second starts again from the version of the first, so
that no change is lost. The old version is emptied but keeps its name, so that its number stays
taken. A version with the content {} means that the tag is deleted.

A change is flushed to the disk before it is acknowledged. A damaged document affects only its own
tag, which can still be deleted or replaced.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from typing import Any

from kvproto.errors import DamagedTag, DataError, InvalidTag, NoSuchTag
from kvproto.storage.atomic import AtomicFile, open_regular
from kvproto.storage.home import check_home, home, in_home, make_directory, make_home

__all__ = [
    "DamagedTag",
    "InvalidTag",
    "NoSuchTag",
    "TagStore",
    "parse_document",
    "safe_name",
    "tag_name",
]

Document = dict[str, Any]

MAX_NAME = 511
"""Characters that the name of a tag may have."""

_PART = 200  # characters of a name in one path component, which has at most 255
_DELETED = b"{}"
_REPAIR = "`kvproto tag rm` deletes the tag, `kvproto tag put --replace` replaces its contents"


def tag_name(tag: str) -> str:
    """The name in `NAME` or `tag://NAME`; InvalidTag for anything else."""
    name = tag.removeprefix("tag://")
    if not re.fullmatch(r"[A-Za-z0-9_\-@:]+", name) or len(name) > MAX_NAME:
        raise InvalidTag(
            f"{tag}: not the name of a tag: "
            f"a name has at most {MAX_NAME} letters, digits and _ - @ :"
        )
    return name


def safe_name(name: str) -> str:
    """The name with `_` for each character that names of tags and blobs cannot have."""
    return re.sub(r"[^A-Za-z0-9_\-@:]", "_", name)


class TagStore:
    """The tags of this user.

    Errors of the file system, and a home that others may write to, are JobErrors.
    """

    def __init__(self) -> None:
        self.directory = os.path.join(home(), "ddfs", "tag")
        if os.path.isdir(home()):
            check_home()

    def get(self, name: str) -> Document:
        """The document of a tag.

        NoSuchTag when there is none, DamagedTag when it cannot be read.
        """
        number = self._last_number(name)
        document = self._read(name, number)
        if not document:
            raise NoSuchTag(
                f"tag {name}: there is no tag of this name in {self.directory}; "
                "`kvproto tag ls` lists them"
            )
        return document

    def update(
        self, name: str, change: Callable[[Document], None], *, replace: bool = False
    ) -> Document:
        """Change the document of a tag, which may be new, and return it.

        Parameters
        ----------
        name : str
        change : callable
            Called with the document, which it modifies. If another process changes the tag at the
            same time, it is called again with the new document. If it modifies nothing, there is no
            new version.
        replace : bool
            Whether a damaged document counts as empty. If not, it raises DamagedTag.
        """
        while True:
            number = self._last_number(name)
            try:
                document = self._read(name, number)
            except DamagedTag:
                if not replace:
                    raise
                document = {}
            before = json.dumps(document)
            document = document or {"urls": [], "user-data": {}}
            change(document)
            if json.dumps(document) == before:
                return document
            modified = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime())
            document = {
                **document,
                "version": 1,
                "id": f"{name}${number + 1}",
                "last-modified": modified,
            }
            if self._publish(name, number + 1, json.dumps(document).encode()):
                return document

    def delete(self, name: str) -> bool:
        """Delete a tag, damaged or not, and return whether there was one. Its blobs stay."""
        while True:
            number = self._last_number(name)
            with suppress(DamagedTag):
                if not self._read(name, number):
                    return False
            if self._publish(name, number + 1, _DELETED):
                return True

    def names(self, prefix: str = "") -> list[str]:
        """The names of all tags that begin with prefix, sorted, including damaged ones."""
        return sorted(
            name
            for name in _walk(self.directory, "")
            if name.startswith(prefix) and self._is_there(name)
        )

    def _is_there(self, name: str) -> bool:
        try:
            return bool(self._read(name, self._last_number(name)))
        except InvalidTag:
            return False
        except DamagedTag:
            return True

    def _path(self, name: str) -> str:
        parts = [name[start : start + _PART] for start in range(0, len(name), _PART)]
        return os.path.join(self.directory, *(f"{part}+" for part in parts[:-1]), parts[-1])

    def _last_number(self, name: str) -> int:
        """The number of the latest version; 0 when there is none."""
        path = self._path(tag_name(name))
        with in_home(path):
            try:
                return _last_number(path)
            except PermissionError as e:
                raise DamagedTag(f"tag {name}: {path} cannot be listed: {e.strerror}") from e

    def _read(self, name: str, number: int) -> Document:
        """The document of a version, or of the one that replaced it; {} when there is none."""
        while number:
            path = _version(self._path(name), number)
            try:
                with open_regular(path) as file:
                    data = file.read()
            except OSError as e:
                raise DamagedTag(
                    f"tag {name}: {path} cannot be read: {e.strerror}; {_REPAIR}"
                ) from e
            if data == _DELETED:
                return {}
            if data:
                try:
                    return parse_document(data, path)
                except DataError as e:
                    raise DamagedTag(f"tag {name} is damaged: {e}; {_REPAIR}") from e
            last = self._last_number(name)
            if last == number:  # a version that was emptied has a later one
                raise DamagedTag(f"tag {name} is damaged: {path} is empty; {_REPAIR}")
            number = last
        return {}

    def _publish(self, name: str, number: int, data: bytes) -> bool:
        """Write a version; False when there is one of that number."""
        path = self._path(name)
        with in_home(path):
            make_home()
            make_directory(path)
            with AtomicFile(_version(path, number), errors=nullcontext) as file:
                file.write(data)
                try:
                    file.publish(on_disk=True, replace=False)
                except FileExistsError:
                    return False
        if number > 1:
            # Only to save space, so errors do not matter. The old version is replaced and not
            # truncated, as a process may be reading it.
            old = _version(path, number - 1)
            with suppress(OSError), AtomicFile(old, errors=nullcontext) as file:
                file.publish()
        return True


def _version(path: str, number: int) -> str:
    return os.path.join(path, f"{number:010d}.json")


def _last_number(path: str) -> int:
    try:
        entries = os.listdir(path)
    except FileNotFoundError:
        return 0
    return max(
        (int(entry[:-5]) for entry in entries if re.fullmatch(r"[0-9]{10,}\.json", entry)),
        default=0,
    )


def parse_document(data: bytes, place: str) -> Document:
    """The document of a tag from its JSON; DataError that names the place for anything else."""
    try:
        document: Document = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise DataError(f"{place}: not the document of a tag: {e}") from e
    urls = document.get("urls") if isinstance(document, dict) else None
    if not isinstance(urls, list) or not all(
        isinstance(one, list) and one and all(isinstance(url, str) for url in one) for one in urls
    ):
        raise DataError(
            f"{place}: not the document of a tag: `urls` is not a list of lists of urls"
        )
    if not isinstance(document.setdefault("user-data", {}), dict):
        raise DataError(
            f"{place}: not the document of a tag: `user-data` is not an object of names and values"
        )
    return document


def _walk(directory: str, start: str) -> Iterator[str]:
    """The names below a directory, including deleted ones; they begin with start."""
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    except OSError as e:
        raise DataError(f"listing the tags in {directory}: {e.strerror}") from e
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            continue
        if entry.name.endswith("+") and len(start) < MAX_NAME:
            yield from _walk(entry.path, start + entry.name[:-1])
        else:
            yield start + entry.name
