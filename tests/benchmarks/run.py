"""`make bench`: measure what was asked for, and print it beside the figures asked.

    PYTHONPATH=tests python -P -m benchmarks.run [--only NAME]

Each benchmark is a script of its own beside this one and prints rows as JSON lines; it runs in its
own process, so that none sees the memory of another. What is compared runs alternately, A B A B,
and the medians are taken, because these machines drift; still, only the ratios of one run mean
anything.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = (
    "codec",
    "libdisco",
    "driver",
    "flushing",
    "startup",
    "demo",
    "wordcount",
    "conformance",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=BENCHMARKS)
    names = [only] if (only := parser.parse_args().only) else BENCHMARKS
    n_missed = n_broken = 0
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    print(f"{'':<64} {'measured':>14} {'asked':>14}")
    with tempfile.TemporaryDirectory(prefix="kvproto-bench-") as directory:
        for name in names:
            command = [sys.executable, str(HERE / f"{name}.py"), directory]
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, cwd="/", env=environment
            ) as process:
                for line in process.stdout:
                    n_missed += show(name, **json.loads(line))
            n_broken += process.returncode != 0
    print(f"{n_missed} missed, {n_broken} broken")
    return 1 if n_broken else 0


def show(name: str, what: str, measured: str, asked: str, ok: bool | None) -> bool:
    verdict = {True: "ok", False: "MISSED", None: ""}[ok]
    print(f"{name + ': ' + what:<64} {measured:>14} {asked:>14} {verdict}".rstrip(), flush=True)
    return ok is False


if __name__ == "__main__":
    sys.exit(main())
