"""The old `disco.fileutils`, as far as jobs used it: the writer of the old result format."""

from __future__ import annotations

from kvproto.classic.hunks import HunkWriter

__all__ = ["DiscoOutputStream"]

DiscoOutputStream = HunkWriter
