"""What the old `disco` itself had, besides its modules: `disco.external`."""

from __future__ import annotations

from kvproto.driver.program import external

__all__ = ["external"]
