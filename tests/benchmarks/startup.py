"""What it costs to start: `import kvproto`, a whole `kvproto map` on nothing, a whole job on one
line.
"""

import os
import sys

from measure import alternate, directory, kvproto_map, row, run, worker


def main():
    nothing = os.devnull
    command = kvproto_map(worker("identity.c", directory()))
    os.environ["KVPROTO_HOME"] = str(directory() / "home")
    job = [
        sys.executable,
        "-m",
        "kvproto",
        "run",
        "kvproto.examples.wordcount.WordCount",
        "raw://one line",
    ]
    bare, imported, mapped, ran = alternate(
        lambda: run([sys.executable, "-c", "pass"], nothing),
        lambda: run([sys.executable, "-c", "import kvproto"], nothing),
        lambda: run(command, nothing),
        lambda: run(job, nothing, quietly=True),
        rounds=15,
    )
    row("Python itself, ms", bare * 1e3, "{:.0f}")
    row("import kvproto, ms more than that", (imported - bare) * 1e3, "{:.0f}", at_most=50)
    row("kvproto map on no input, ms", mapped * 1e3, "{:.0f}", at_most=100)
    row("kvproto run on one line, ms", ran * 1e3, "{:.0f}", at_most=700)


main()
