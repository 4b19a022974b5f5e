"""Files of a job for workers that share nothing with the driver but the job's store.

The driver publishes them as one archive, `files.tar.gz`: the required files in the shared place of
the job, its modules in the exchange. A worker unpacks it to a directory of its own. Only regular
files below that directory are made, private to their user. An archive that is cut short or damaged
is an error.
"""

from __future__ import annotations

import io
import os
import shutil
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from kvproto.errors import DataError, JobError
from kvproto.storage.atomic import BLOCK, naming, private
from kvproto.storage.home import in_home, make_directory
from kvproto.storage.store import Writer, store_of

if TYPE_CHECKING:
    import tarfile

    from _typeshed import ReadableBuffer

__all__ = ["ARCHIVE", "fetch_files", "files_below", "publish_files", "remove_files"]

ARCHIVE = "files.tar.gz"
"""The name of the archive."""


def publish_files(files: Mapping[str, str], shared: str) -> None:
    """Publish files as the archive of a place.

    Parameters
    ----------
    files : mapping of str to str
        The name of each file, which may have directories, and its path.
    shared : str
        The address of the place.

    Raises
    ------
    JobError, DataError
        A file cannot be read, or the archive cannot be written; the text names it.
    """
    import gzip  # noqa: PLC0415 (few jobs have files and a store of their own)
    import tarfile  # noqa: PLC0415

    path = os.path.join(shared, ARCHIVE)
    with (
        naming(path, "writing"),
        store_of(path).create(path) as file,
    ):
        with (
            gzip.GzipFile(fileobj=_Sink(file), mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            for name in sorted(files):
                archive.add(files[name], name)
        file.publish(on_disk=True)


def fetch_files(shared: str, directory: str) -> list[str]:
    """Unpack the archive of a place to a directory, which is made if it does not exist.

    Parameters
    ----------
    shared : str
        The address of the place.
    directory : str
        Where the files are made. An interrupted call leaves it incomplete.

    Returns
    -------
    list of str
        Their names, relative to the directory; an empty list if there is no archive.

    Raises
    ------
    DataError
        The archive cannot be read, or is damaged.
    JobError
        A file cannot be written.
    """
    import gzip  # noqa: PLC0415
    import tarfile  # noqa: PLC0415

    path = os.path.join(shared, ARCHIVE)
    names = []
    with naming(path, "reading"):
        store = store_of(path)
        try:
            store.status(path)
        except FileNotFoundError:
            return []
        with (
            io.BufferedReader(store.open_range(path), BLOCK) as file,
            gzip.GzipFile(fileobj=file) as data,
        ):
            try:
                with tarfile.open(fileobj=data, mode="r|") as archive:
                    for member in archive:
                        _unpack(archive, member, directory)
                        names.append(member.name)
                while data.read(BLOCK):  # to the checksum
                    pass
            except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, ValueError) as e:
                raise DataError(f"{path}, which has files of the job, is damaged: {e}") from e
    return names


def remove_files(shared: str) -> None:
    """Remove the archive of a shared place, if it has one. OSError if that fails."""
    path = os.path.join(shared, ARCHIVE)
    with suppress(FileNotFoundError):
        store_of(path).remove(path)


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, directory: str) -> None:
    """Make a regular file below the directory; ValueError for anything else."""
    parts = member.name.split("/")
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or "\0" in member.name or not all(part.strip(".") for part in parts):
        raise ValueError(f"it has {member.name!r:.200}, which is not a file below its directory")
    path = os.path.join(directory, *parts)
    with in_home(path):
        make_directory(os.path.dirname(path))
        with open(path, "wb", opener=private) as file:
            shutil.copyfileobj(content, file, BLOCK)
        os.chmod(path, 0o600 | member.mode & 0o100)


class _Sink(io.RawIOBase):
    """What a file that is being written looks like to gzip."""

    def __init__(self, file: Writer) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        self._file.write(memoryview(data))
        return memoryview(data).nbytes


def files_below(directory: str) -> dict[str, str]:
    """The files below a directory: name relative to it -> path. JobError if it cannot be read."""

    def fail(error: OSError) -> None:
        raise JobError(f"reading {error.filename}: {error.strerror}") from error

    paths = (
        os.path.join(path, name)
        for path, _, names in os.walk(directory, onerror=fail)
        for name in names
    )
    return {os.path.relpath(path, directory): path for path in paths}
