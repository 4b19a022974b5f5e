"""Objects of a store: `s3://bucket/name`, `gs://`, `az://`; see `kvproto.storage.objects`.

A URL that ends with a slash, or at which there is no object, stands for the objects below it, and a
pattern for those that it matches, with the rules for files (`folders`). A key is taken literally:
nothing in it is escaped. A large object is read in ranges; one that is replaced while it is read is
an error.
"""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import TYPE_CHECKING

from kvproto.errors import DataError
from kvproto.inputs.lines import line_too_long
from kvproto.inputs.schemes import Input, Tell
from kvproto.inputs.schemes.folders import Search
from kvproto.protocol.frames import MAX_ITEM
from kvproto.storage.manifest import check_directory, checked
from kvproto.storage.object_client import FEW_RETRIES
from kvproto.storage.objects import ObjectReader, ObjectStatus, ObjectStore

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["find", "open"]

_STORE = ObjectStore()

_Object = tuple[str, ObjectStatus]


def find(url: str, tell: Tell) -> Iterator[Input]:
    """Yield the object, those below a directory, or those that match a pattern."""
    search = Search()
    with _naming(url):
        objects, nothing = _objects(url, search)
    if passed_over := search.passed_over():
        tell(f"input {url}: skipped {passed_over}")
    if not objects:
        raise DataError(f"input {url}: {nothing}" + f"; skipped {passed_over}" * bool(passed_over))
    for path, status in objects:
        yield Input(path, status.n_bytes, True, stamp=status.version)


def _objects(url: str, search: Search) -> tuple[list[_Object], str]:
    """The objects that a URL stands for, and what to say if there are none."""
    may_be_object = not url.endswith("/") and "/" in url.partition("://")[2]
    if may_be_object:
        with suppress(FileNotFoundError):
            return [(url, _STORE.status(url, FEW_RETRIES))], ""
    _STORE.check(url)
    if may_be_object and glob.has_magic(url):
        return list(_matching(url, search)), "no object matches this pattern"
    directory = url.rstrip("/")
    results = check_directory(directory)
    below = [
        (names, one)
        for names, one in _below(directory)
        if (names[-1] in results if results is not None else _is_read(directory, names, search))
    ]  # not what attempts that came too late have left among results
    below.sort(key=lambda entry: (entry[0][:-1], entry[0][-1]))
    where = "of this name or below it" if may_be_object else "below it"
    return [one for _, one in below], f"there is no object {where}"


def _below(directory: str) -> Iterator[tuple[list[str], _Object]]:
    """Yield each object below a directory, with the parts of its name."""
    for url, status in _STORE.walk(directory):
        if relative := url.removeprefix(directory).strip("/"):
            yield relative.split("/"), (url, status)


def _is_read(directory: str, names: list[str], search: Search) -> bool:
    for name in names:
        if search.is_passed(directory, name):
            return False
        directory += f"/{name}"
    return True


def _matching(pattern: str, search: Search) -> Iterator[_Object]:
    """Yield the objects that match, sorted by name."""
    scheme, _, rest = pattern.partition("://")
    bucket, *parts = (part for part in rest.split("/") if part)
    n_literal = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    directory = "/".join([f"{scheme}://{bucket}", *parts[:n_literal]])
    parts = parts[n_literal:] + ["*"] * (parts[-1] == "**")
    if len(parts) == 1:
        entries = _STORE.entries(directory)
        candidates = [
            ([name], (f"{directory}/{name}", status)) for name, status in entries if status
        ]
    else:
        candidates = list(_below(directory))
    for names, one in sorted(candidates, key=lambda candidate: candidate[1][0]):
        if _matches(directory, names, parts, search):
            yield one


def _matches(directory: str, names: list[str], parts: list[str], search: Search) -> bool:
    """Whether the names of an object below a directory match the parts of a pattern."""
    if not names or not parts:
        return not names and not parts
    part, below = parts[0], f"{directory}/{names[0]}"
    if part == "**":
        if _matches(directory, names, parts[1:], search):
            return True
        return not search.is_passed(directory, names[0]) and _matches(
            below, names[1:], parts, search
        )
    return (
        fnmatch.fnmatchcase(names[0], part)
        and not search.is_passed(directory, names[0], part)
        and _matches(below, names[1:], parts[1:], search)
    )


def open(url: str, start: int, end: int | None) -> tuple[BufferedReader, int]:
    """Open the object, or the lines that begin in a range of it.

    The result of a job is checked against its manifest.
    """
    with _naming(url):
        reader = _Reader(url)
        if start == 0 and end is None:
            file: BufferedReader = BufferedReader(reader, 1 << 18)
            file.peek(1)  # what is requested here says the size
            return checked(file, url), reader.status().n_bytes
        return _range(reader.status(), url, start, end)


def _range(
    status: ObjectStatus, url: str, start: int, end: int | None
) -> tuple[BufferedReader, int]:
    n_planned = max(start, end or 0)
    if status.n_bytes < n_planned:
        raise DataError(
            f"input {url}: was cut short after the job began: it has {status.n_bytes} bytes, "
            f"and had {n_planned} or more"
        )
    last = status.n_bytes if end is None else _line_start(status, end, url)
    before = max(start - 1, 0)
    file: BufferedReader = BufferedReader(_Reader(url, before, last, status), 1 << 18)
    n_skipped = _skip_line(file, url) if start else 0
    return file, last - before - n_skipped


def _line_start(status: ObjectStatus, at: int, url: str) -> int:
    """The offset of the first line that begins at `at` or later."""
    if at == 0:
        return 0
    n_bytes = 1 << 16
    begin = at - 1
    while begin < status.n_bytes:
        end = min(begin + n_bytes, status.n_bytes)
        with _Reader(url, begin, end, status) as file:
            data = file.readall()
        if newline := data.find(b"\n") + 1:
            return begin + newline
        begin, n_bytes = end, min(2 * n_bytes, 1 << 23)
        if begin - at > MAX_ITEM:
            raise line_too_long(url, MAX_ITEM)
    return status.n_bytes


def _skip_line(file: BufferedReader, url: str) -> int:
    """Read the rest of a line; return its size."""
    n_read = 0
    while piece := file.readline(1 << 20):
        n_read += len(piece)
        if piece.endswith(b"\n"):
            break
        if n_read > MAX_ITEM:
            raise line_too_long(url, MAX_ITEM)
    return n_read


class _Reader(ObjectReader):
    """An object, whose errors are those of an input."""

    def readinto(self, buffer: WriteableBuffer) -> int:
        with _naming(self.name):
            return super().readinto(buffer)


@contextmanager
def _naming(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise DataError(f"input {url}: {e.strerror or e}") from e
