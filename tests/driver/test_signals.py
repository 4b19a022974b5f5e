"""A signal at any step of the main thread has its effect, and leaves no lock taken."""

import pytest
from support.injection import n_steps_of

STARTS_A_THREAD = """
import threading
from kvproto.driver.signals import deferred
from support.injection import interrupt_each_step

def start():
    with deferred():
        threading.Thread(target=str).start()

interrupt_each_step(start, after=str)
"""

WAITS_FOR_A_LATCH = """
from kvproto.driver.signals import Latch
from support.injection import interrupt_each_step

latch = Latch()

def wait():
    latch.__init__()
    latch.wait(timeout=0.001)

def after():
    latch.set()
    assert latch.wait()

interrupt_each_step(wait, after)
"""


@pytest.mark.slow
def test_a_thread_starts_or_does_not_start_whenever_a_signal_comes():
    assert n_steps_of(STARTS_A_THREAD) > 100


def test_a_latch_works_after_an_interrupted_wait():
    assert n_steps_of(WAITS_FOR_A_LATCH) > 20
