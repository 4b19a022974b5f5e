"""A file that a user names for output: it has its old content or all of the new one, never a part.

Promises: the new content is written beside the file under a random name that is created exclusively, flushed to the disk,
and renamed. The mode of a file that is replaced is kept. A pipe or a device is written as it is, and so is a file that
cannot be renamed onto because something is mounted there.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from contextlib import suppress

__all__ = ["OutputFile", "sync"]

_BLOCK = 1 << 20


def sync(path: str) -> None:
    """Return when what was written to a file, or the names in a directory, outlive a crash of the machine."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class OutputFile:
    """The file `path`, open for writing bytes. Context manager: left by an exception, it leaves the file as it was.

    Every OSError names `path`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._target = path
        self._aside: str | None = None
        try:
            self._file = os.fdopen(self._open(), "wb", buffering=_BLOCK)
        except OSError as e:
            self._remove_aside()
            raise self._named(e) from None

    def _open(self) -> int:
        try:
            replaced = os.stat(self.path)
        except FileNotFoundError:
            self._target = os.path.realpath(self.path)
            return self._open_aside(0o666)
        if stat.S_ISDIR(replaced.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(replaced.st_mode):
            return os.open(self.path, os.O_WRONLY)
        self._target = os.path.realpath(self.path)
        mode = stat.S_IMODE(replaced.st_mode)
        fd = self._open_aside(
            mode & 0o600
        )  # nobody may read it before it has the owner of the file that it replaces
        with suppress(OSError):  # whoever may replace it becomes its owner then
            os.fchown(fd, replaced.st_uid, replaced.st_gid)
        os.fchmod(fd, mode)
        return fd

    def _open_aside(self, mode: int) -> int:
        aside = f"{self._target}.{uuid.uuid4().hex}.part"
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        self._aside = aside
        return fd

    def write(self, data) -> None:
        """Append bytes."""
        try:
            self._file.write(data)
        except OSError as e:
            raise self._named(e) from None

    def finish(self) -> None:
        """Make what was written the content of the file."""
        try:
            self._file.flush()
            if self._aside is not None:
                os.fsync(self._file.fileno())
            self._file.close()
            if self._aside is not None:
                self._replace(self._aside)
                self._aside = None
                sync(os.path.dirname(self._target) or ".")
        except OSError as e:
            raise self._named(e) from None

    def _replace(self, aside: str) -> None:
        try:
            os.replace(aside, self._target)
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
            with open(aside, "rb") as new, open(self._target, "wb") as old:  # a mount point
                shutil.copyfileobj(new, old, _BLOCK)
                old.flush()
                os.fsync(old.fileno())
            os.unlink(aside)

    def discard(self) -> None:
        """Leave the file as it was."""
        with suppress(OSError):  # what is still to be written is not wanted
            self._file.close()
        self._remove_aside()

    def _remove_aside(self) -> None:
        if self._aside is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._aside)
            self._aside = None

    def __enter__(self) -> OutputFile:
        return self

    def __exit__(self, exc_type, *exc_info) -> None:
        try:
            if exc_type is None:
                self.finish()
        finally:
            self.discard()

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, self.path)
