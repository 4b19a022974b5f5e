"""`make bad-workers`: what becomes of the data when a worker misbehaves, here and elsewhere, as a
Markdown table.

20 MB in 200,000 lines go through a worker that gives each line back (bad_worker.c) and that, at
line 2000 or at its end, does what the column says. The cell says how the whole thing ended, and
what of the lines was not there at the end. Who has not ended after BOUND seconds is killed and
counts as "for ever".
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from support import catalogue

from kvproto import ExternalProgram
from kvproto.errors import WorkerError

N_LINES = 200_000
BOUND = 10
IDLE = 3

FAULTS = {
    "early": "exits 0 after 1 % of its input",
    "crash": "crashes",
    "garbage": "prints a line of text on stdout",
    "fail": "exits 1 at the end",
    "hang": "hangs",
}

PIPE = 'cat "$1" | "$2" "$3" | cat > "$4"'
PARALLEL = 'parallel --pipe --block 10M{} "$2" "$3" < "$1" > "$4"'
CHECKED = (
    "import subprocess, sys; _, i, w, f, o = sys.argv; "
    "subprocess.run([w, f], stdin=open(i), "
    "stdout=open(o, 'w'), check=True)"
)


def ended(output: bytes, lines: set[bytes], how: str) -> str:
    """Put together how it ended and what became of the lines."""
    there = output.splitlines()
    n_good = len(lines.intersection(there))
    loss = (
        "nothing lost" if n_good == N_LINES else f"{100 * (N_LINES - n_good) / N_LINES:.1f} % lost"
    )
    n_foreign = len(there) - n_good
    return f"{how}, {loss}" + (
        f", {n_foreign} wrong line{'s' * (n_foreign > 1)} in the data" if n_foreign else ""
    )


def ours(worker: Path, fault: str, source: Path, lines: set[bytes], target: Path) -> str:
    """The driver, output collected as anybody would collect it."""
    try:
        with (
            ExternalProgram([worker], args=[fault], idle=IDLE) as program,
            open(source, "rb") as entries,
        ):
            output = b"".join(value for answer in program.map(entries) for _key, value in answer)
    except WorkerError as e:
        after = f" after {IDLE} s (`idle={IDLE}`)" if fault == "hang" else ""
        return f"error: `{type(e).__name__}`{after}"
    return ended(output, lines, "success")


def kill_session(session: int) -> None:
    """Kill every process of a session: a tool may give its workers process groups of their own,
    which outlive it.
    """
    while members := [
        pid
        for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
        if in_session(pid, session)
    ]:
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def in_session(pid: int, session: int) -> bool:
    """Whether a process belongs to a session and is not merely a zombie."""
    try:
        state, _parent, _group, its_session, *_rest = (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        )
    except OSError:
        return False  # gone meanwhile
    return state != "Z" and int(its_session) == session


def command(*argv: str) -> Callable[..., str]:
    """A way to run the worker by a command that takes input, worker, fault and output."""

    def run(worker: Path, fault: str, source: Path, lines: set[bytes], target: Path) -> str:
        if shutil.which(argv[0]) is None or (
            "parallel" in argv[-2] and shutil.which("parallel") is None
        ):
            return "not installed"
        process = subprocess.Popen(
            [*argv, source, worker, fault, target],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            status = process.wait(BOUND)
        except subprocess.TimeoutExpired:
            kill_session(process.pid)
            process.wait()
            return "for ever"
        return ended(
            target.read_bytes(), lines, f"exit {status}" if status == 0 else f"error: exit {status}"
        )

    return run


RUNNERS = {
    "kvproto": ours,
    "shell pipe": command("sh", "-c", PIPE, "sh"),
    "shell pipe, pipefail": command("bash", "-o", "pipefail", "-c", PIPE, "bash"),
    "GNU parallel `--pipe`": command("sh", "-c", PARALLEL.format(""), "sh"),
    "GNU parallel `--pipe --halt now,fail=1`": command(
        "sh", "-c", PARALLEL.format(" --halt now,fail=1"), "sh"
    ),
    "Python `subprocess.run(check=True)`": command(sys.executable, "-c", CHECKED),
}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kvproto-bad-") as name:
        directory = Path(name)
        worker = catalogue.compile_worker(
            Path(__file__).with_name("bad_worker.c"), directory / "bad_worker"
        )
        source, target = directory / "input", directory / "output"
        source.write_text(
            "".join(f"line {number:06} {'of the text ' * 7}\n" for number in range(N_LINES))
        )
        lines = set(source.read_bytes().splitlines())
        print("| the worker ... | " + " | ".join(FAULTS.values()) + " |")
        print("| --- " * (len(FAULTS) + 1) + "|")
        for runner, run in RUNNERS.items():
            cells = []
            for fault in FAULTS:
                target.write_bytes(b"")
                cells.append(run(worker, fault, source, lines, target))
            print(f"| {runner} | " + " | ".join(cells) + " |", flush=True)
        print(f"\nFor ever: had not ended after {BOUND} s and was killed.")


main()
