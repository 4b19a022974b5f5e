"""What the tests of resumed jobs share."""

import pytest


@pytest.fixture
def ran(tmp_path):
    """The file in which each map leaves a line; the reduce fails until `repair(ran)`."""
    path = tmp_path / "ran"
    path.touch()
    return str(path)
