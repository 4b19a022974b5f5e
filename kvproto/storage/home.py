"""The home: the directory that holds all jobs and the tag store, and who may write there.

It is $KVPROTO_HOME, else kvproto/ in $XDG_DATA_HOME, else ~/.local/share/kvproto. It is private to
its user: directories have mode 0700 and files 0600, whatever the umask.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from kvproto.errors import JobError

__all__ = ["check_home", "home", "in_home", "make_directory", "make_home"]


def home() -> str:
    """The absolute path of the home, which may not exist yet; JobError if `~` does not exist."""
    chosen = os.environ.get("KVPROTO_HOME")
    if not chosen:
        data = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
        chosen = os.path.join(data, "kvproto")
    path = os.path.expanduser(chosen)
    if path.startswith("~"):
        raise JobError(
            f"there is no place for jobs: {chosen} names a home directory that does not exist; "
            "set KVPROTO_HOME to a directory that you may write to"
        )
    return os.path.abspath(path)


def make_home() -> str:
    """Make the home if it does not exist, and return its path.

    Raises JobError when others may write to it, or when it cannot be made.
    """
    path = home()
    with in_home(path):
        make_directory(path)
    check_home()
    return path


def check_home() -> None:
    """Raise JobError when others may write to the home, or to what is in it."""
    for path in (home(), os.path.join(home(), "jobs"), os.path.join(home(), "ddfs")):
        if os.path.isdir(path):
            check_owner(path)


@contextmanager
def in_home(path: str) -> Iterator[None]:
    """Turn an OSError of the body, which writes `path` of a job, into a JobError.

    Its message says how to choose another home or, for a path elsewhere, another directory.
    """
    try:
        yield
    except OSError as e:
        advice = (
            f"jobs are kept below {home()}: free some space there, or set KVPROTO_HOME to a "
            "writable directory with more space"
            if path.startswith(home())
            else "free some space there, or choose another directory, as the store of the job "
            "or as TMPDIR of the worker"
        )
        raise JobError(f"writing {path}: {e.strerror or e}; {advice}") from e


def make_directory(path: str) -> None:
    """Make a directory, unless it exists, and its parents: mode 0700, whatever the umask."""
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


def check_owner(path: str) -> None:
    """Raise JobError when others may write to the directory, and so run code as this user."""
    status = os.stat(path)
    if status.st_uid != os.geteuid():
        raise JobError(
            f"{path} belongs to another user (uid {status.st_uid}), "
            "who could change the jobs in it; set KVPROTO_HOME to a directory of your own"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise JobError(
            f"other users may write to {path} (mode {stat.S_IMODE(status.st_mode):04o}), "
            f"and could change the jobs in it: chmod go-w {path}, "
            "or set KVPROTO_HOME to another directory"
        )
