"""SIGTERM at each step of the main thread in turn.

For processes of their own: pytest may run a test in another thread than the main one.
"""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from kvproto.driver.signals import Ended, as_interrupts

MOST_SECONDS = 100


def interrupt_each_step(body: Callable[[], object], after: Callable[[], object]) -> None:
    """Run `body` with SIGTERM at its first step, then `after`; again for each later step.

    Steps are Python's bytecode instructions, also in what the body calls. They include all places
    where Python calls a handler of signals. The process ends with an error when a signal has no
    effect, when a thread is left, or after MOST_SECONDS. It prints how many steps there are.
    """
    faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
    step, is_complete = 0, False
    while not is_complete:
        step += 1
        injection, is_interrupted = Injection(step), False
        try:
            with as_interrupts(), injection:
                body()
        except Ended:
            is_interrupted = True
        is_complete = injection.n_steps < step
        assert is_interrupted != is_complete, f"the signal at step {step} had no effect"
        after()
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                thread.join()
    print(step - 1)


class Injection:
    """Raises SIGTERM at a step, from 1 on, of what the main thread does in the `with` statement.

    files    only what is in files whose paths end like that has steps
    n_steps  how many there have been; none is counted after the signal
    """

    def __init__(self, step: int, files: tuple[str, ...] = ("",)) -> None:
        self._step, self._files = step, files
        self.n_steps = 0

    def __enter__(self) -> "Injection":
        sys.settrace(self._trace)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.endswith(self._files):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self.n_steps += 1
            if self.n_steps == self._step:
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)
        return self._trace


def n_steps_of(script: str) -> int:
    """Run a script that calls `interrupt_each_step`; fail with its error."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)
