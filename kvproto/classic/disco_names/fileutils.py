"""The old `disco.fileutils`, as far as jobs used it: the writer of the old result formats."""

from __future__ import annotations

from kvproto.classic.task_io import plain_output_stream
from kvproto.inputs.streams import OutputStream
from kvproto.storage.hunks import HunkWriter

__all__ = ["DiscoOutputStream"]


def DiscoOutputStream(stream, version: int = 1, **tuning) -> OutputStream:
    """Writes pairs to a binary file in the old format, version 0 in the older one; compression_level and the like change nothing."""
    return HunkWriter(stream) if version else plain_output_stream(stream, 0, "")
