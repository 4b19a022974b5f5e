"""What the old `disco.func` and `disco.worker.classic.func` had besides what they have in kvproto."""

from __future__ import annotations

from kvproto.classic.func import noop

__all__ = ["notifier"]

notifier = noop
