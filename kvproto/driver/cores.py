"""Core files: what the system writes into a worker's directory when it crashes is kept.

The name in the directory is the worker's choice: only a regular file is taken, and links are not
followed.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Container

__all__ = ["keep_core"]


def keep_core(directory: str, known: Container[str], target: str) -> bool:
    """Move the core file in a worker's directory to a path.

    Parameters
    ----------
    directory : str
        The worker's directory.
    known : container of str
        Names of files that were there before.
    target : str
        The new path. A file that is there already is kept instead.

    Returns
    -------
    bool
        Whether there was one.
    """
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        is_core = name.partition(".")[0] == "core" and name not in known
        if is_core and stat.S_ISREG(os.lstat(path).st_mode) and not os.path.lexists(target):
            _move(path, target)
            return True
    return False


def _move(path: str, target: str) -> None:
    try:
        os.rename(path, target)
    except OSError as e:
        if e.errno != errno.EXDEV:
            raise
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(source, "rb") as file, open(made, "wb") as kept:
            shutil.copyfileobj(file, kept)
