"""What the old `disco.func` and `disco.worker.classic.func` had besides functions of kvproto: interfaces of job functions."""

from __future__ import annotations

__all__ = ["noop", "notifier"]


def noop(*args, **kwargs) -> None:
    """Do nothing."""


notifier = noop
