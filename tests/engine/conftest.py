"""What the tests of the engine share."""

import pytest
from support import preloading

from kvproto.engine import prepared


@pytest.fixture(scope="module")
def not_preloaded():
    """The prepared process is as users have it."""
    prepared._at_exit()
    prepared._BOOT = preloading.PLAIN
    yield
    prepared._at_exit()
    preloading.preload()
