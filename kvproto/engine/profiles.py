"""The profiles of tasks, files that `pstats` reads, with a checksum behind what it reads.

What `pstats` is given it takes for granted: a few damaged bytes can make it ask for all memory there is.
"""

from __future__ import annotations

from zlib import crc32

from kvproto.errors import JobError
from kvproto.storage.atomic import open_regular

__all__ = ["check_profile", "sealed"]


def sealed(profile: bytes) -> bytes:
    """A profile with its checksum appended."""
    return profile + _seal(profile)


def check_profile(path: str) -> None:
    """Raise JobError that names the file for a profile that cannot be read, was cut or changed."""
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as e:
        raise JobError(f"the profile {path} cannot be read: {e.strerror}") from e
    n_seal = len(_seal(b""))
    if data[-n_seal:] != _seal(data[:-n_seal]):
        raise JobError(
            f"the profile {path} is damaged: remove it, and the others of the job can be read"
        )


def _seal(data: bytes) -> bytes:
    return b"\nkvproto %08x\n" % crc32(data)
