"""What all tests share: the Hypothesis profiles, the helpers' place, and the marker that names clauses of PROTOCOL.md."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests, whatever pytest's import mode

# Processes share the machine: how long one example takes says nothing, so there is no deadline.
_EVERY = {"deadline": None, "derandomize": False}
settings.register_profile("dev", max_examples=60, **_EVERY)
settings.register_profile("ci", max_examples=200, print_blob=True, **_EVERY)
settings.register_profile(
    "deep", max_examples=5000, print_blob=True, suppress_health_check=[HealthCheck.too_slow], **_EVERY
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")  # deep: pytest --hypothesis-profile=deep


def pytest_configure(config):
    # Python puts the current folder first: from the top folder, a process that a test starts would import the sources
    # there, which have nothing compiled beside them, and not the installed package.
    os.chdir(Path(__file__).parent)
    config.addinivalue_line("markers", 'clause("FRAME-1", ...): the clauses of PROTOCOL.md that a test holds')
