"""`kvproto replay`: find the task, and run it, or give its program to a tool."""

from __future__ import annotations

import argparse
import faulthandler
import os
import pdb
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
from kvproto.engine.commands import replay_command
from kvproto.engine.events import Event, Message, Status
from kvproto.engine.in_process import InProcess
from kvproto.engine.registry import resolve_job
from kvproto.engine.replay import Task
from kvproto.engine.spec import External
from kvproto.errors import Cancelled, JobError, TaskError, WorkerError
from kvproto.protocol.messages import Message as WorkerMessage
from kvproto.storage.job_directory import JobPaths

__all__ = ["replay"]


def replay(args: argparse.Namespace) -> int:
    """Run the command; see its help."""
    if args.save is not None:
        args.save = os.path.abspath(args.save)
    if args.tool in ("gdb", "valgrind") and shutil.which(args.tool) is None:
        raise JobError(f"{args.tool} is not installed, or not in PATH")
    paths = JobPaths(resolve_job(args.name))
    task = open_task(paths.job, args.task, lambda text: say(f"kvproto: note: {text}"))
    program = task.program()
    _check(args, task, is_program=program is not None)
    directory = tempfile.mkdtemp(prefix="replay-", dir=paths.path)
    tempfile.tempdir = directory
    try:
        is_plain = args.record is None and not (args.save or args.shortest or args.tool)
        if program is not None and not is_plain:
            return _replay_program(args, paths.job, task, program, directory)
        return _run(task, args.record, paths, directory, with_pdb=args.tool == "pdb")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _check(args: argparse.Namespace, task: Task, *, is_program: bool) -> None:
    """Raise JobError for an option that is not for this task."""
    if args.record is not None and task.stage != "map":
        raise JobError(f"--record is for a map, and this is task {task.name}")
    if args.shortest and task.stage != "reduce":
        raise JobError(f"--shortest is for a reduce, and this is task {task.name}: see --record")
    if is_program and args.tool == "pdb":
        raise JobError(f"--pdb is for functions of Python, and task {task.name} runs a program")
    if not is_program and (args.shortest or args.save or args.tool not in (None, "pdb")):
        possible = "only --record and --pdb are" if task.stage == "map" else "only --pdb is"
        raise JobError(f"task {task.name} runs a function of Python: {possible} for that")


def _run(task: Task, record: int | None, paths: JobPaths, directory: str, *, with_pdb: bool) -> int:
    """Run the task in this process, or a function of it on one record."""
    if record is not None:
        task = task.alone(record)
    faulthandler.enable()  # a C library may crash
    log = os.path.join(paths.logs, "replay.txt")
    try:
        with InProcess(log=log, tmp_directory=directory) as engine:
            finished = task.run(engine, directory, _show)
    except Cancelled as e:
        if isinstance(e.__cause__, KeyboardInterrupt):
            raise e.__cause__ from None
        raise
    except TaskError as e:
        e.args = (e.report(with_stderr=False),)  # its stderr has been shown already
        if with_pdb and e.cause is not None:
            say(f"kvproto: {e}")
            pdb.post_mortem(e.cause.__traceback__)
            return 1
        is_of_program = isinstance(e.cause, WorkerError)
        if is_of_program or task.program() is None:
            option = "--gdb" if is_of_program else "--pdb"
            e.add_note(f"in a debugger: {replay_command(paths, task.name, option)}")
        raise
    n_records = finished.n_records
    if record is not None and record >= n_records:
        raise JobError(f"task {task.name} has no record {record}: it reads {n_records}, from 0")
    alone = "" if record is None else f" on record {record}"
    say(f"kvproto: task {task.name} did not fail{alone}: it read {counted(n_records, 'record')}")
    return 0


def _show(event: Event) -> None:
    if isinstance(event, (Message, Status)):
        say(event.text)


# --- an external program -------------------------------------------------------------------------


def _replay_program(
    args: argparse.Namespace, job: str, task: Task, program: External, directory: str
) -> int:
    repro = Repro(args.save or os.path.join(directory, "run"), program.files, [task.stage])
    repro.begin()
    with repro.remove_on_error():
        about = _write_input(args, repro, task, program)
        repro.finish(f"This is {about} of job {job}.")
    if args.save:
        say(f"kvproto: to run the program: sh {shlex.quote(repro.script)}")
        return 0
    if args.tool:
        return _tool(args.tool, repro)
    return _run_alone(repro, task, program, about)


def _write_input(args: argparse.Namespace, repro: Repro, task: Task, program: External) -> str:
    """Write stdin.bin; say what it is."""
    about = f"task {task.name}"
    if args.record is not None:
        repro.write_stdin([program.ext_params, task.frame(args.record)])
        return f"record {args.record} of {about}"
    repro.write_stdin(chain([program.ext_params], task.frames()))
    return f"{_shorten(repro, task, program)} of {about}" if args.shortest else about


def _shorten(repro: Repro, task: Task, program: External) -> str:
    """Cut stdin.bin after the shortest beginning that fails; say which that is."""

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
    mode: str, program: External, on_message: Callable[[WorkerMessage], object] | None = None
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
