"""The files of an external program, in memory."""

from __future__ import annotations

__all__ = ["ProgramFiles"]


class ProgramFiles(dict[str, bytes]):
    """Name -> content. `paths`, name -> path, says where `kvproto.external` has read them."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: dict[str, str] = {}
