"""`kvproto replay`: find the task, and run it, or give its program to a tool."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from typing import Any

from kvproto._record import Record
from kvproto._text import counted
from kvproto.classic.replaying import open_task
from kvproto.cli.shared import say, show_message
from kvproto.driver.program import ExternalProgram
from kvproto.driver.repro import Repro
from kvproto.driver.shortest import shortest_failing
from kvproto.engine.registry import resolve_job
from kvproto.engine.replay import Task
from kvproto.engine.spec import External
from kvproto.engine.task_events import begin_task, set_sink
from kvproto.errors import JobError, WorkerError
from kvproto.protocol.messages import Message
from kvproto.storage.job_directory import JobPaths

__all__ = ["replay"]


def replay(args: argparse.Namespace) -> int:
    if args.save is not None:
        args.save = os.path.abspath(args.save)
    if args.tool in ("gdb", "valgrind") and shutil.which(args.tool) is None:
        raise JobError(f"{args.tool} is not installed, or not in PATH")
    job = resolve_job(args.name)
    task = open_task(job, args.task, lambda text: say(f"kvproto: note: {text}"))
    if args.record is not None and task.stage != "map":
        raise JobError(f"--record is for a map, and this is task {task.name}")
    directory = tempfile.mkdtemp(prefix="replay-", dir=JobPaths(job).path)
    tempfile.tempdir = directory
    try:
        program = task.program()
        if program is not None:
            return _replay_program(args, job, task, program, directory)
        if args.tool or args.save or args.shortest:
            raise JobError(
                "--shortest, --gdb, --valgrind, --shell and --save are for external programs, and "
                f"task {task.name} runs a function of Python"
            )
        return _run(task if args.record is None else task.alone(args.record), directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(task: Task, directory: str) -> int:
    set_sink(lambda event: None)
    begin_task(task.stage, task.number, "")
    finished = task.run(directory)
    say(f"kvproto: task {task.name} did not fail: it read {counted(finished.n_records, 'record')}")
    return 0


# --- an external program -------------------------------------------------------------------------


def _replay_program(
    args: argparse.Namespace, job: str, task: Task, program: External, directory: str
) -> int:
    if not (args.tool or args.save or args.shortest or args.record is not None):
        return _run(task, directory)
    repro = Repro(args.save or os.path.join(directory, "run"), program.files, [task.stage])
    repro.begin()
    about = f"task {task.name}"
    if args.record is not None:
        frames = iter([task.frame(args.record)])
        about = f"record {args.record} of {about}"
    else:
        frames = task.frames()
    repro.write_stdin(chain([program.ext_params], frames))
    if args.shortest:
        about = f"{_shorten(repro, task, program)} of {about}"
    repro.finish(f"This is {about} of job {job}.")
    if args.save:
        say(f"kvproto: to run the program: sh {shlex.quote(repro.script)}")
        return 0
    if args.tool:
        return _tool(args.tool, repro)
    return _run_alone(repro, task, program, about)


def _shorten(repro: Repro, task: Task, program: External) -> str:
    """Cut stdin.bin behind the shortest beginning that fails; say which that is."""
    if task.stage != "reduce":
        raise JobError(f"--shortest is for a reduce, and this is task {task.name}: see --record")

    def tell(n_pairs: int, n_all: int, has_failed: bool) -> None:
        outcome = "fails" if has_failed else "does not fail"
        say(f"kvproto: it {outcome} on the first {n_pairs:,} of {counted(n_all, 'pair')}")

    start = len(program.ext_params)
    with _program(task.stage, program) as worker:
        shortest = shortest_failing(worker, repro.stdin, start, tell)
    if shortest is None:
        raise JobError(f"task {task.name} did not fail")
    os.truncate(repro.stdin, start + shortest.n_bytes)
    if shortest.last is None:
        return "the run without any pair"
    record = Record(shortest.n_pairs - 1, *shortest.last, 0)
    say("\n    ".join(["kvproto: the last pair that it needs:", *record.lines()]))
    return f"the first {shortest.n_pairs:,} of {counted(shortest.n_all, 'pair')}"


def _run_alone(repro: Repro, task: Task, program: External, about: str) -> int:
    """Run the program on stdin.bin; its error has the numbers of the pairs in that."""
    with _program(task.stage, program, show_message) as worker, open(repro.stdin, "rb") as stdin:
        stdin.seek(len(program.ext_params))
        run = worker.map_frames if task.stage == "map" else worker.reduce_frames
        try:
            for _ in run(stdin.fileno()):
                pass
        except WorkerError as e:
            e.args = (e.report(with_stderr=False),)  # its stderr has been shown already
            e.add_note(f"input: {about}")
            raise
    say(f"kvproto: it did not fail on {about}")
    return 0


def _program(
    mode: str, program: External, on_message: Callable[[Message], object] | None = None
) -> ExternalProgram:
    limits: dict[str, Any] = {**program.ext_limits, "pinpoint": 0}
    return ExternalProgram(
        program.files, mode=mode, params=program.ext_params, on_message=on_message, **limits
    )


def _tool(tool: str, repro: Repro) -> int:
    """Run a tool in the foreground; return its exit status. Ctrl-C is for the tool alone."""
    if tool == "shell":
        say(f"kvproto: to run the program: {shlex.join(repro.command)} <../stdin.bin")
    command = [os.environ.get("SHELL") or "/bin/sh"]
    if tool == "gdb":
        command = repro.debugger()
    elif tool == "valgrind":
        command = ["valgrind", *repro.command]
    signal.signal(signal.SIGINT, lambda number, frame: None)
    with ExitStack() as stack:
        streams: dict[str, Any] = {}
        if tool == "valgrind":
            stdin = stack.enter_context(open(repro.stdin, "rb"))
            streams = {"stdin": stdin, "stdout": subprocess.DEVNULL}
        status = subprocess.run(
            command, cwd=repro.files_directory, check=False, **streams
        ).returncode
    return status if status >= 0 else 128 - status  # as a shell says it
