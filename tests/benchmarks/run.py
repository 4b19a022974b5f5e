"""`make bench`: measure what was asked for, and print it beside the figures asked.

    PYTHONPATH=tests python -P -m benchmarks.run [--only NAME] [--size MB] [--largest MB] ...

Each benchmark is a script of its own beside this one and prints rows as JSON lines; it runs in its
own process, so that none sees the memory of another. What is compared runs alternately, A B A B,
and the medians are taken, because these machines drift; still, only the ratios of one run mean
anything. build/bench gets the figures as Markdown and a chart.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import report

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BENCHMARKS = (
    "codec",
    "libdisco",
    "driver",
    "flushing",
    "startup",
    "demo",
    "wordcount",
    "packed",
    "growth",
    "engines",
    "conformance",
)


def main() -> int:
    options = parse()
    rows, bars, n_broken = [], [], 0
    print(f"{'':<64} {'measured':>14} {'asked':>14}")
    with tempfile.TemporaryDirectory(prefix="kvproto-bench-") as directory:
        for name in [options.only] if options.only else BENCHMARKS:
            arguments = [directory, str(options.size), str(options.largest)]
            command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
            environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, cwd="/", env=environment
            ) as process:
                for record in map(json.loads, process.stdout):
                    if "group" in record:
                        bars.append(record)
                    else:
                        record["what"] = f"{name}: {record['what']}"
                        rows.append(record)
                        show(**record)
            n_broken += process.returncode != 0
    report.write(options.output, rows, bars)
    if options.readme and bars and not n_broken:
        report.publish(options.output, ROOT)
    print(
        f"{sum(row['ok'] is False for row in rows)} missed, {n_broken} broken; see {options.output}"
    )
    return 1 if n_broken else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=BENCHMARKS)
    parser.add_argument("--size", type=int, default=200, help="MB of text that whole jobs read")
    parser.add_argument(
        "--largest", type=int, default=800, help="up to how many MB their growth is measured"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build/bench", help="for figures.md and bench.svg"
    )
    parser.add_argument(
        "--readme", action="store_true", help="put the whole jobs into README.md and docs/, too"
    )
    return parser.parse_args()


def show(what: str, measured: str, asked: str, ok: bool | None) -> None:
    verdict = {True: "ok", False: "MISSED", None: ""}[ok]
    print(f"{what:<64} {measured:>14} {asked:>14} {verdict}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
