"""`kvproto replay`: one task of a job that failed, alone."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from kvproto.cli.shared import Commands, add_command, say

if TYPE_CHECKING:
    from kvproto.driver.repro import Repro
    from kvproto.engine.replay import Task
    from kvproto.engine.spec import External

__all__ = ["add"]

DETAILS = """
NAME is the name of a job, as `kvproto jobs` lists it, or a prefix that only one job has.
@ is the last job. TASK is map:17 or reduce:3; default: the task that failed the job.

The task runs in this process, with its input, files and parameters, and its stderr appears at once.
What it gives is not kept. The environment is that of the command.

exit status: 0 the task did not fail, or its files were saved, 1 it failed, 2 wrong usage; with
--gdb, --valgrind and --shell that of the program

examples:
  kvproto replay @
  kvproto replay @ map:17 --record 95279 --gdb
  kvproto replay @ --save repro && repro/repro.sh
"""


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    parser = add_command(
        commands,
        "replay",
        "run a task of a job that failed again, alone",
        _replay,
        usage="kvproto replay [option ...] NAME [TASK]",
        epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the job")
    parser.add_argument("task", metavar="TASK", nargs="?", help="the task")
    how = parser.add_mutually_exclusive_group()
    for name, help in (
        ("gdb", "open the program in gdb; `run` there runs it on its input"),
        ("valgrind", "run the program in valgrind"),
        ("shell", "open a shell in the program's directory, with its files and its input"),
    ):
        how.add_argument(f"--{name}", dest="tool", action="store_const", const=name, help=help)
    how.add_argument(
        "--save",
        metavar="DIR",
        help="write the files of the program, its input stdin.bin, and a script repro.sh that runs "
        "it to DIR",
    )


def _replay(args: argparse.Namespace) -> int:
    from kvproto.classic.replaying import open_task
    from kvproto.driver.repro import Repro
    from kvproto.engine.registry import resolve_job
    from kvproto.errors import JobError
    from kvproto.storage.job_directory import JobPaths

    if args.save is not None:
        args.save = os.path.abspath(args.save)
    if args.tool in ("gdb", "valgrind") and shutil.which(args.tool) is None:
        raise JobError(f"{args.tool} is not installed, or not in PATH")
    job = resolve_job(args.name)
    task = open_task(job, args.task, lambda text: say(f"kvproto: note: {text}"))
    directory = tempfile.mkdtemp(prefix="replay-", dir=JobPaths(job).path)
    tempfile.tempdir = directory
    try:
        if args.tool is None and args.save is None:
            return _run(task, directory)
        program = task.program()
        if program is None:
            raise JobError(
                f"--save, --gdb, --valgrind and --shell are for external programs, and task "
                f"{task.name} runs a function of Python"
            )
        repro = Repro(args.save or os.path.join(directory, "run"), program.files, [task.stage])
        repro.write(_stdin(program, task), f"Task {task.name} of job {job}, which failed.")
        if args.save is not None:
            say(f"kvproto: to run the program: sh {shlex.quote(repro.script)}")
            return 0
        return _tool(args.tool, repro)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _stdin(program: External, task: Task) -> Iterator[bytes]:
    yield program.ext_params
    yield from task.frames()


def _run(task: Task, directory: str) -> int:
    from kvproto.engine.task_events import begin_task, set_sink

    set_sink(lambda event: None)
    begin_task(task.stage, task.number, "")
    finished = task.run(directory)
    say(f"kvproto: task {task.name} did not fail: it read {finished.n_records:,} records")
    return 0


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
