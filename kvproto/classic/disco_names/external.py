"""The old `disco.worker.classic.external`, as far as jobs used it."""

from __future__ import annotations

from kvproto.driver.program import external as package
from kvproto.protocol.frames import MAX_ITEM as MAX_ITEM_SIZE

__all__ = ["MAX_ITEM_SIZE", "package"]
