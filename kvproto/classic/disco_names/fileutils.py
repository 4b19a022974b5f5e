"""The old `disco.fileutils`, as far as jobs used it: the writer of the old result formats."""

from __future__ import annotations

from kvproto.classic.task_io import disco_output_stream, plain_output_stream
from kvproto.inputs.streams import OutputStream

__all__ = ["DiscoOutputStream"]


def DiscoOutputStream(stream, version: int = 1, **tuning) -> OutputStream:
    """Writes pairs to a binary file in the old format, version 0 in the older one; compression_level and the like change nothing."""
    make = disco_output_stream if version else plain_output_stream
    return make(stream, 0, "")
