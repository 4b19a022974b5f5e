"""A signal ends a check whenever it comes."""

import pytest
from support.injection import n_steps_of

CHECKS = """
from kvproto.conformance.runner import run_all
from support.injection import interrupt_each_step

def check():
    run_all(lambda case, mode: mode, [(None, "map"), (None, "map")], str, stop=str)

interrupt_each_step(check, after=str)
"""


@pytest.mark.slow
def test_a_check_ends_whenever_a_signal_comes():
    assert n_steps_of(CHECKS) > 1000
