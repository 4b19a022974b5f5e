"""What the old `disco.core` had besides `kvproto.classic.core`."""

from __future__ import annotations

from kvproto.classic.core import result_iterator

__all__ = ["classic_iterator"]

classic_iterator = result_iterator
