"""The required files of a job: put into its directory before it starts, where its tasks work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from kvproto.storage.atomic import private
from kvproto.storage.home import in_home, make_directory

__all__ = ["place_files"]


def place_files(directory: str, files: Mapping[str, str | bytes]) -> None:
    """Copy files into a directory: name -> path of a file, whose permissions for its owner are kept, or its contents as bytes.

    A name may have directories, which are made; it must not lead out of the directory.
    Raises JobError that names the one that cannot be copied.
    """
    for name, source in files.items():
        path = os.path.join(directory, name)
        with in_home(path):
            make_directory(os.path.dirname(path))
            if isinstance(source, bytes):
                with open(path, "xb", opener=private) as file:
                    file.write(source)
            else:
                shutil.copy(source, path)
                os.chmod(path, os.stat(path).st_mode & 0o700)
