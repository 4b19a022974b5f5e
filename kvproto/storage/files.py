"""The required files of a job, for workers that share nothing with the driver but the job's store.

The driver publishes them as one archive, `files.tar.gz`, in the shared place of the job; a worker
unpacks it to a directory of its own. Only regular files below that directory are made, private to
their user. An archive that is cut short or damaged is an error.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from kvproto.errors import DataError, JobError
from kvproto.storage.atomic import BLOCK, naming, private
from kvproto.storage.home import in_home, make_directory
from kvproto.storage.store import Writer, store_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["ARCHIVE", "fetch_files", "publish_files", "remove_files"]

ARCHIVE = "files.tar.gz"
"""The name of the archive in the shared place of a job."""


def publish_files(directory: str, shared: str) -> None:
    """Publish the files below a directory as the archive of a shared place.

    Parameters
    ----------
    directory : str
        The directory of the files, which may have directories of its own.
    shared : str
        The address of the shared place of the job.

    Raises
    ------
    JobError, DataError
        A file cannot be read, or the archive cannot be written; the text names it.
    """
    path = os.path.join(shared, ARCHIVE)
    with (
        naming(path, "writing"),
        store_of(path).create(path) as file,
    ):
        with (
            gzip.GzipFile(fileobj=_Sink(file), mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            for name in sorted(_files_below(directory)):
                archive.add(os.path.join(directory, name), name)
        file.publish(on_disk=True)


def fetch_files(shared: str, directory: str) -> list[str]:
    """Unpack the required files of a job to a directory, which is made if it does not exist.

    Parameters
    ----------
    shared : str
        The address of the shared place of the job.
    directory : str
        Where the files are made. An interrupted call leaves it incomplete.

    Returns
    -------
    list of str
        Their names, relative to the directory; an empty list for a job that has none.

    Raises
    ------
    DataError
        The archive cannot be read, or is damaged.
    JobError
        A file cannot be written.
    """
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
                raise DataError(f"{path}, the required files of the job, is damaged: {e}") from e
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


def _files_below(directory: str) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise JobError(f"reading {error.filename}: {error.strerror}") from error

    for path, _, names in os.walk(directory, onerror=fail):
        yield from (os.path.relpath(os.path.join(path, name), directory) for name in names)
