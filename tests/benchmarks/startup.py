"""What it costs to start: `import kvproto`, and a whole `kvproto map` on nothing."""

import os
import sys

from measure import alternate, directory, kvproto_map, row, run, worker


def main():
    nothing = os.devnull
    command = kvproto_map(worker("identity.c", directory()))
    bare, imported, mapped = alternate(
        lambda: run([sys.executable, "-c", "pass"], nothing),
        lambda: run([sys.executable, "-c", "import kvproto"], nothing),
        lambda: run(command, nothing),
        rounds=15,
    )
    row("Python itself, ms", bare * 1e3, "{:.0f}")
    row("import kvproto, ms more than that", (imported - bare) * 1e3, "{:.0f}", at_most=50)
    row("kvproto map on no input, ms", mapped * 1e3, "{:.0f}", at_most=100)


main()
