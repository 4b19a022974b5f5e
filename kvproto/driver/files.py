"""The files of an external program: `op`, the program itself, and its supporting files.

Implements FILES-1 and FILES-2 on the driver's side.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from kvproto.errors import FilesError, WorkerNotStarted

if TYPE_CHECKING:
    from _collections_abc import dict_items

__all__ = [
    "Path",
    "ProgramFiles",
    "as_bytes",
    "checked_files",
    "external",
    "paths_of",
    "read_later",
]

Path = str | os.PathLike[str]


class ProgramFiles(dict[str, bytes]):
    """Name -> content. `paths`, name -> path, says where `kvproto.external` has read them."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: dict[str, str] = {}


def external(files: Iterable[Path]) -> dict[str, bytes]:
    """Package an external program for a job.

    Parameters
    ----------
    files : iterable of str or path-like
        The paths of the executable and, after it, of its supporting files.

    Returns
    -------
    dict of str to bytes
        "op" is the program; the others have the base names of their paths.

    Raises
    ------
    FilesError
        There is no path, or two have the same base name (FILES-1, FILES-2).
    WorkerNotStarted
        The program does not exist or is not executable.
    OSError
        A supporting file cannot be read.
    """
    paths = paths_of(files)
    return _FilesInTask(paths) if _Process.is_task else _packaged(paths)


def read_later() -> None:
    """Let `external` read files when they are needed.

    A task process calls this. It imports the modules of its job, whose programs it has got from the
    driver. Their paths may not exist where it runs.
    """
    _Process.is_task = True


class _Process:
    """This process."""

    is_task = False


class _FilesInTask(ProgramFiles):
    """What `external` returns in a task: the files are read at the first use."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__()
        self._unread = paths

    def _read(self) -> None:
        if self._unread:
            packaged = _packaged(self._unread)
            self._unread, self.paths = [], packaged.paths
            self.update(packaged)

    def __getitem__(self, name: str) -> bytes:
        self._read()
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._read()
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self._read()
        return super().__iter__()

    def __len__(self) -> int:
        self._read()
        return super().__len__()

    def items(self) -> dict_items[str, bytes]:
        self._read()
        return super().items()


def _packaged(paths: list[str]) -> ProgramFiles:
    program, *others = paths
    packaged = ProgramFiles()
    packaged["op"], packaged.paths["op"] = _read_program(program), os.path.abspath(program)
    for path in others:
        name = os.path.basename(path)
        if name in packaged:
            raise FilesError(
                f"{path}: the directory of a worker is flat, and there is already a file {name!r}; "
                "rename one of them [FILES-2]"
            )
        packaged[name], packaged.paths[name] = _read(path), os.path.abspath(path)
    return packaged


def as_bytes(content: bytes | str, name: str) -> bytes:
    """Return the content of a file that was read as bytes or as text.

    Parameters
    ----------
    content : bytes or str
        A str is encoded as UTF-8, with lone surrogates as their bytes. An ELF binary may have been
        decoded as latin-1.
    name : str
        The name of the file, for error messages.

    Raises
    ------
    FilesError
        Reading in text mode has changed line ends of the str, or it cannot be encoded.
    TypeError
        The content is neither bytes nor str.
    """
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise TypeError(f"the content of {name} must be bytes or str, not {type(content).__name__}")
    help_text = "open(path, 'rb').read() gives the bytes of a file"
    is_binary = content.startswith("\x7fELF")
    if is_binary and "\r" not in content and "\n" in content:
        raise FilesError(
            f"{name} is a binary that was read as text, which changed its line ends: {help_text}"
        )
    try:
        if is_binary and max(content) <= "\xff":
            return content.encode("latin-1")
        return content.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as e:
        raise FilesError(
            f"{name} cannot be written as bytes: {content[e.start]!r} at character {e.start}: "
            f"{help_text}"
        ) from None


def paths_of(files: Iterable[Path]) -> list[str]:
    """Return the paths of a program and its supporting files; FilesError if there are none."""
    if isinstance(files, (str, bytes, os.PathLike)):
        raise TypeError("the files must be a list of paths; for one program: [path]")
    paths = [os.fspath(path) for path in files]
    if not paths:
        raise FilesError("external() needs at least one path: the program")
    return paths


def _read_program(path: str) -> bytes:
    trouble = advice = ""
    if not os.path.exists(path):
        trouble = "there is no such file" if path.strip() else "the path is blank"
        advice = "give the path of the program; PATH is not searched"
    elif not os.path.isfile(path):
        trouble, advice = "it is not a regular file", "give the path of the program"
    elif not os.access(path, os.X_OK):
        trouble, advice = "it is not executable", f"chmod +x {path}"
    if trouble:
        raise WorkerNotStarted(trouble, argv=[path], advice=advice)
    return _read(path)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def checked_files(files: Mapping[str, bytes | str]) -> dict[str, bytes]:
    """Return the files of a program as bytes. FilesError if a name or a content cannot be used."""
    if "op" not in files:
        raise FilesError(
            "the files of an external program have no 'op', the program itself [FILES-1]"
        )
    checked = {}
    for name, content in files.items():
        is_plain = isinstance(name, str) and name not in ("", ".", "..")
        if not is_plain or "/" in name or "\0" in name:
            raise FilesError(
                f"{name!r} is not a plain file name: the directory of a worker is flat [FILES-2]"
            )
        checked[name] = as_bytes(content, repr(name))
    return checked
