"""Task processes that have pytest from the prepared process which forks them.

They import the module of the test whose functions they call, and with it pytest, which takes
longer than all else that they do.
"""

from kvproto.engine import prepared

PLAIN = prepared._BOOT
"""How a prepared process starts for users."""


def preload() -> None:
    """Let the prepared process of this process import pytest first."""
    prepared._BOOT = f"import pytest; {PLAIN}"
