"""Which files a directory or a pattern stands for.

A directory and the pattern `**` follow the same rules. Files are taken recursively, sorted by name,
the files of a directory before those of its subdirectories. Links to directories are followed, but
no directory is entered twice under different names: cycles end, and nothing is read twice.
Hidden files and directories (`.name`), backups of editors (`name~`, `#name#`), pipes, sockets and
devices are left out. As in a shell, a pattern matches hidden names if it begins with a dot.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterator

from kvproto.errors import DataError

__all__ = ["Search"]

_MAX_SHOWN = 5

_HIDDEN = "hidden files or directories"
_BACKUP = "editor backups"
_AGAIN = "links to a directory that is already read"
_SPECIAL = "pipes, sockets or devices"


class Search:
    """A search for the files of a directory or a pattern, which counts what it leaves out."""

    def __init__(self) -> None:
        self._passed: dict[str, dict[str, None]] = {}  # what -> paths, each once
        self._entered: set[tuple[int, int]] = set()

    def files_of(self, top: str) -> Iterator[str]:
        """Yield the files of a directory; DataError when a directory in it cannot be listed."""
        for path, entries in self._walk(top, is_strict=True):
            yield from (
                os.path.join(path, name)
                for name in entries
                if self._is_file(os.path.join(path, name))
            )

    def matching(self, pattern: str) -> list[str]:
        """List the files that match a pattern, an absolute path."""
        parts = [part for part in pattern.split("/") if part]
        paths = {"/": None}
        for part in [*parts, "*"] if parts[-1] == "**" else parts:
            self._entered.clear()
            by_name = sorted(paths, key=os.path.islink)
            paths = dict.fromkeys(step for path in by_name for step in self._step(path, part))
        return sorted(path for path in paths if not os.path.isdir(path) and self._is_file(path))

    def passed_over(self) -> str:
        """Describe in one line what was left out; "" if nothing was."""
        return "; ".join(
            f"{len(paths)} {what}: {', '.join(list(paths)[:_MAX_SHOWN])}"
            + ", ..." * (len(paths) > _MAX_SHOWN)
            for what, paths in self._passed.items()
        )

    def _step(self, path: str, part: str) -> Iterator[str]:
        """Extend a path by one part of a pattern, to directories or, for the last part, files."""
        if part == "**":
            yield from (folder for folder, _ in self._walk(path, is_strict=False))
        elif not glob.has_magic(part):
            if os.path.lexists(os.path.join(path, part)):
                yield os.path.join(path, part)
        else:
            match = re.compile(fnmatch.translate(part)).match
            for name in _listed(path):
                if match(name) and not self.is_passed(path, name, part):
                    yield os.path.join(path, name)

    def _walk(self, top: str, *, is_strict: bool) -> Iterator[tuple[str, list[str]]]:
        """Yield the directories from top on, each with its other entries, sorted."""
        links: list[str] = []
        folders = []
        todo = [top]
        while todo or links:
            # Links come last, so that a directory is entered by its own name if possible.
            path = todo.pop() if todo else links.pop(0)
            try:
                status = os.stat(path)
                if (status.st_dev, status.st_ino) in self._entered:
                    self._pass(_AGAIN, path)
                    continue
                self._entered.add((status.st_dev, status.st_ino))
                entries = os.listdir(path)
            except OSError as e:
                if is_strict:
                    raise DataError(f"input {path}: {e.strerror}") from e
                continue
            names = [name for name in sorted(entries) if not self.is_passed(path, name)]
            inner_folders = [name for name in names if os.path.isdir(os.path.join(path, name))]
            folders.append((path, [name for name in names if name not in set(inner_folders)]))
            for name in inner_folders:
                inner = os.path.join(path, name)
                (links if os.path.islink(inner) else todo).append(inner)
        yield from sorted(folders, key=lambda one: one[0].split("/"))

    def is_passed(self, path: str, name: str, pattern: str = "") -> bool:
        """Whether to leave out a name in a directory that the pattern for it does not ask for."""
        if name.startswith(".") and not pattern.startswith("."):
            self._pass(_HIDDEN, os.path.join(path, name))
        elif (name.endswith("~") and not pattern.endswith("~")) or (
            name.startswith("#") and name.endswith("#") and not pattern.endswith("#")
        ):
            self._pass(_BACKUP, os.path.join(path, name))
        else:
            return False
        return True

    def _is_file(self, path: str) -> bool:
        """Whether it is a file; a broken link is a DataError."""
        if not os.path.exists(path):
            raise DataError(f"input {path}: a broken link to {os.path.realpath(path)}")
        if os.path.isfile(path):
            return True
        self._pass(_SPECIAL, path)
        return False

    def _pass(self, what: str, path: str) -> None:
        self._passed.setdefault(what, {})[path] = None


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
