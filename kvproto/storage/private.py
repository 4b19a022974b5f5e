"""Directories and files of the home: their user's alone, whatever the umask."""

from __future__ import annotations

import errno
import os
import stat

from kvproto.errors import JobError

__all__ = ["check_is_ours", "make_directory", "private"]


def private(path: str, flags: int) -> int:
    """An `opener` for `open`: a file that is made has mode 0600."""
    fd = os.open(path, flags, 0o600)
    if flags & os.O_CREAT:
        os.fchmod(fd, 0o600)
    return fd


def make_directory(path: str) -> None:
    """Make a directory of mode 0700, with the parents that are missing. Nothing happens when it is there."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent != path:
        make_directory(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if os.path.isdir(path):  # another process was faster
            return
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None
    os.chmod(path, 0o700)


def check_is_ours(path: str) -> None:
    """Raise JobError when others may write to the directory: what they put there would run as ours."""
    found = os.stat(path)
    if found.st_uid != os.geteuid():
        raise JobError(
            f"{path} belongs to another user (uid {found.st_uid}), who could change the jobs in it; "
            "set KVPROTO_HOME to a directory of your own"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise JobError(
            f"other users may write to {path} (mode {stat.S_IMODE(found.st_mode):04o}), and could change the jobs in it: "
            f"chmod go-w {path}, or set KVPROTO_HOME to another directory"
        )
