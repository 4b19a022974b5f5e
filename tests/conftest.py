"""What all tests share: the Hypothesis profiles and the marker that names clauses of PROTOCOL.md."""

import os

from hypothesis import HealthCheck, settings

# Processes share the machine: how long one example takes says nothing, so there is no deadline.
settings.register_profile("dev", max_examples=60, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, print_blob=True)
settings.register_profile(
    "deep", max_examples=5000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_configure(config):
    config.addinivalue_line("markers", 'clause("FRAME-1", ...): the clauses of PROTOCOL.md that a test holds')
