"""What `kvproto check` takes: a whole run on the reference workers in C and in Python, one case,
our own driver.
"""

import os
import sys
from pathlib import Path

from measure import alternate, directory, row, run, worker
from support.languages import program

CHECK = [sys.executable, "-P", "-m", "kvproto", "check"]


def main():
    os.chdir(directory())
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    nothing, told = Path(os.devnull), (*CHECK, "--contract", "reference", "--level", "info", "--")
    in_c, in_python = program("c", directory())[0], program("python", directory())[0]
    one, whole, python, driver = alternate(
        lambda: run(
            [*CHECK, "-k", "MAP-lockstep", "--", str(worker("identity.c", directory()))], nothing
        ),
        lambda: run([*told, in_c], nothing),
        lambda: run([*told, in_python], nothing),
        lambda: run(
            [*CHECK, "--driver", "--", sys.executable, "-m", "kvproto.conformance.drivers.adapter"],
            nothing,
        ),
        rounds=3,
    )
    row("kvproto check -k MAP-lockstep, ms", one * 1e3, "{:.0f}", at_most=500)
    row("kvproto check, the reference worker in C, s", whole, "{:.1f}", at_most=15)
    row("kvproto check, the one in Python, s", python, "{:.1f}", at_most=60)
    row("kvproto check --driver, our own, s", driver, "{:.1f}")


main()
