"""The witnesses of FILES-3: who can tell that a worker touched a file that is not its own.

Promises: a witness that is named here was seen to do it on this machine, for a program that did touch one. Both are
a program that starts the worker (`through`) with its exit status and its pipes:

    landlock   the kernel refuses the access; the worker then fails, or does without it. The pid is the worker's
    strace     the access succeeds, and is in a log, which `strace.accesses` reads. The pid is strace's, which holds
               the worker's pipes open too, and ends when all that the worker started has ended

Neither sees all: csrc/launch/confine.c and `strace` say what they miss. Refuses to know what a worker should answer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache

from kvproto._process import SUPERVISE
from kvproto.conformance import quiet
from kvproto.conformance.readable import readable
from kvproto.conformance.strace import CALLS, accesses

__all__ = ["CONFINE", "WITNESSES", "through", "witnesses"]

CONFINE = os.path.join(os.path.dirname(SUPERVISE), "confine")
"""The path of the program that confines another one; its arguments are in csrc/launch/confine.c."""

WITNESSES = {
    "landlock": "this kernel has no Landlock (Linux 5.13), or does not allow it here",
    "strace": "strace is not installed, or may not trace here (apt-get install strace)",
}
"""Each witness, and what to say where it cannot be had."""

_TRIAL = ". ../outside; : >inside"
"""In sh: one read and one write that a worker must not do."""


def witnesses() -> tuple[str, ...]:
    """Those of WITNESSES that this machine has; found out once."""
    return tuple(
        name
        for name, is_there in (("landlock", _has_landlock()), ("strace", bool(_strace())))
        if is_there
    )


def through(witness: str, may_read: Sequence[str], log: str) -> list[str]:
    """The command that starts a program under a witness, for SupervisedProcess.

    may_read   of `readable.readable`, for landlock
    log        a path outside of the worker's directory, for strace to write
    """
    if witness == "landlock":
        return [CONFINE, *may_read, "--"]
    return [*_strace(), "-o", os.path.abspath(log), "--"]


@cache
def _has_landlock() -> bool:
    with quiet.STARTING:
        return subprocess.run([CONFINE, "--probe"]).returncode == 0


@cache
def _strace() -> tuple[str, ...]:
    """The strace command up to its log; () where a trial with it does not tell what was done."""
    program = shutil.which("strace")
    if program is None:
        return ()
    calls = "trace=" + ",".join(f"?{call}" for call in CALLS)
    command = (
        os.path.abspath(program),
        "-f",
        "-qq",
        "-y",
        "-a",
        "1",
        "-e",
        "signal=none",
        "-e",
        calls,
    )
    fast = (*command, "--seccomp-bpf")  # strace 5.3: it stops the worker at these calls alone
    return next((each for each in (fast, command) if _tells(each)), ())


def _tells(command: Sequence[str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="kvproto-trial-") as top:
        directory, outside, log = (os.path.join(top, name) for name in ("worker", "outside", "log"))
        os.mkdir(directory)
        for path in (outside, log):
            with open(path, "w"):
                pass
        trial = [*command, "-o", log, "--", "/bin/sh", "-c", _TRIAL]
        with quiet.STARTING:
            done = subprocess.run(
                trial, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True
            )
        with open(log) as file:
            told = [access[:2] for access in accesses(file.read(), directory, readable({}))]
    outside, inside = os.path.realpath(outside), os.path.join(os.path.realpath(directory), "inside")
    return (done.returncode, done.stderr) == (0, b"") and told == [
        ("read", outside),
        ("write", inside),
    ]
