"""The error of an input that cannot be read, in a job that leaves such inputs out."""

from __future__ import annotations

from kvproto.engine.plan import Split
from kvproto.errors import DataError

__all__ = ["UnreadInput"]


class UnreadInput(DataError):
    """An input cannot be read or unpacked: `split` is the part of it that the task reads."""

    def __init__(self, split: Split, error: DataError) -> None:
        super().__init__(error.msg, error.url, error.code, is_final=error.is_final)
        self.split = split
