"""The required files of a job: put into its directory before it starts, where its tasks work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from kvproto.engine.home import in_home

__all__ = ["place_files"]


def place_files(directory: str, files: Mapping[str, str | bytes]) -> None:
    """Copy files into a directory: name -> path of a file, whose permissions are kept, or its contents as bytes.

    A name may have directories, which are made; it must not lead out of the directory.
    Raises JobError that names the one that cannot be copied.
    """
    for name, source in files.items():
        path = os.path.join(directory, name)
        with in_home(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if isinstance(source, bytes):
                with open(path, "xb") as file:
                    file.write(source)
            else:
                shutil.copy(source, path)
