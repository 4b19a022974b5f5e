"""`kvproto check`: select cases, play them, write evidence and reports."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kvproto
from kvproto._text import printable
from kvproto.cli.shared import (
    CONFORMS,
    DIRECTORY,
    DOES_NOT_CONFORM,
    DRIVER_TIMEOUT,
    NO_CASE,
    REPORTS,
    WORKER_TIMEOUT,
    write_all,
)
from kvproto.conformance import evidence, workers
from kvproto.conformance.case import explain
from kvproto.conformance.player import VARIABLES, Program, play
from kvproto.conformance.report.parts import failures
from kvproto.conformance.report.text import report
from kvproto.conformance.runner import Check, Result, judged, read_known, run, select_from
from kvproto.conformance.schedule import Setting
from kvproto.driver.files import external
from kvproto.errors import WorkerNotStarted
from kvproto.storage.atomic import OutputFile

__all__ = ["run_check"]


def run_check(args: argparse.Namespace) -> int:
    """Do what the arguments ask for; return the exit status."""
    if args.explain is not None:
        return _explain(args)
    _check_reports(args)
    if args.replay is not None:
        return _replay(args)
    if args.list:
        return _list(args)
    return _check_driver(args) if args.driver else _check(args)


def _cases(args: argparse.Namespace) -> tuple[Any, ...]:
    if args.driver:
        from kvproto.conformance.drivers import cases

        return tuple(cases.CASES)
    return tuple(workers.CASES)


def _selected(args: argparse.Namespace) -> list[Any]:
    modes = ("map", "reduce") if args.mode == "both" else (args.mode,)
    chosen = select_from(_cases(args), modes, args.level.upper(), args.pattern, args.contract)
    if not chosen:
        write_all(2, f"kvproto: no case is selected; {_how_to_list(args)}\n".encode())
    return chosen


def _how_to_list(args: argparse.Namespace) -> str:
    options = (
        "--driver --list --level info"
        if args.driver
        else "--list --level info --contract reference"
    )
    return f"`kvproto check {options}` lists all of them"


def _known(path: str | None) -> frozenset[str]:
    return frozenset() if path is None else read_known(Path(path))


def _list(args: argparse.Namespace) -> int:
    chosen = _selected(args)
    cases = dict.fromkeys(case for case, _ in chosen)
    _print(
        "".join(
            f"{case.id:<32} {case.level:<6} {case.clauses:<22} {case.title}\n" for case in cases
        )
    )
    return CONFORMS if chosen else NO_CASE


def _explain(args: argparse.Namespace) -> int:
    from kvproto.conformance.drivers import case as driver_case

    name = args.explain
    cases = [case for case in _cases(args) if case.id.lower() == name.lower()]
    if not cases:
        text = printable(f"kvproto: there is no case {name}; {_how_to_list(args)}\n")
        write_all(2, text.encode("utf-8", "backslashreplace"))
        return NO_CASE
    case = cases[0]
    _print(driver_case.explain(case) if args.driver else explain(case, Setting(case.modes[0])))
    return CONFORMS


def _program(worker: list[str], files: list[str], variables: list[str]) -> Program:
    """Describe the worker to the kit; refuse a name that is only in PATH, with advice."""
    path, *arguments = worker
    in_path = "/" not in path and not os.path.exists(path) and shutil.which(path)
    if in_path:
        advice = (
            f"give the path of the script, which must be executable and begin with "
            f"`#!{in_path}` [FILES-4], or give {in_path}"
        )
        raise WorkerNotStarted(
            f"{path} is only in PATH, which kvproto does not search", argv=[path], advice=advice
        )
    return Program(path, external([path, *files]), tuple(arguments), tuple(variables))


def _check(args: argparse.Namespace) -> int:
    if not args.worker:
        args.parser.error("no worker: put it after `--`, as in `kvproto check -- ./worker`")
    check = Check(
        _program(args.worker, args.files, args.env),
        tuple((os.fsencode(key), os.fsencode(value)) for key, value in args.params),
        args.contract,
        args.timeout or WORKER_TIMEOUT,
        args.examples,
        args.seed,
        _known(args.known_failing),
    )
    chosen = _selected(args)
    if not chosen:
        return NO_CASE
    draws = any(case.drawn for case, _ in chosen)
    with (
        _Progress(len(chosen)) as progress,
        _hypothesis_directory() if draws else contextlib.nullcontext(),
    ):
        results = run(chosen, check, progress)
    return _report(args, check, results)


@contextlib.contextmanager
def _hypothesis_directory() -> Iterator[None]:
    """Let Hypothesis store its data in a temporary directory, not in the current one."""
    try:
        from hypothesis.configuration import set_hypothesis_home_dir
    except ImportError:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="kvproto-hypothesis-") as directory:
        set_hypothesis_home_dir(directory)
        yield


def _check_driver(args: argparse.Namespace) -> int:
    from kvproto.conformance.drivers import runner

    if not args.worker:
        args.parser.error(
            "no adapter: put it after `--`, as in `kvproto check --driver -- ./adapter`"
        )
    chosen = _selected(args)
    if not chosen:
        return NO_CASE
    with _Progress(len(chosen)) as progress:
        results = runner.run(chosen, args.worker, args.timeout or DRIVER_TIMEOUT, progress)
    directories = _keep_evidence(
        results, lambda one, directory: runner.keep(one, args.worker, directory)
    )
    try:
        _write_reports(args, args.worker, results, directories)
    finally:
        _print(report(" ".join(args.worker), results, directories))
    return DOES_NOT_CONFORM if any(result.fails for result in results) else CONFORMS


def _replay(args: argparse.Namespace) -> int:
    replay = evidence.load(Path(args.replay))
    program = _program(
        args.worker or replay.worker, args.files or replay.files, args.env or replay.handed_on
    )
    check = Check(program, contract=replay.contract)
    traces = []
    verdict = None
    for schedule in replay.schedules:
        traces.append(play(schedule, check.program, args.timeout or WORKER_TIMEOUT))
        verdict = judged(replay.case, replay.contract, traces)
    return _report(args, check, [Result(replay.case, replay.mode, verdict)])


def _report(args: argparse.Namespace, check: Check, results: list[Result]) -> int:
    """Write the evidence and the report files, print the report, and return the exit status."""
    program = check.program
    directories = _keep_evidence(
        results, lambda result, directory: evidence.keep(result, check, directory)
    )
    try:
        _write_reports(
            args, [program.path, *program.arguments], results, directories, check.contract
        )
    finally:
        _print(report(program.path, results, directories))
    return DOES_NOT_CONFORM if any(result.fails for result in results) else CONFORMS


def _keep_evidence(results: list[Result], keep: Callable[[Result, Path], object]) -> dict[str, str]:
    """Call `keep` to write the evidence of each failure; return the directories."""
    directories = {
        one.result.name: os.path.join(DIRECTORY, one.result.name) for one in failures(results)
    }
    for one in failures(results):
        keep(one.result, Path(directories[one.result.name]))
    return directories


def _print(text: str) -> None:
    write_all(1, text.encode("utf-8", "backslashreplace"))


class _Progress:
    """Shows how many checks are done, in a line on stderr if that is a terminal."""

    def __init__(self, n_all: int) -> None:
        self._n_all, self._n_done, self._n_fails = n_all, 0, 0
        self._is_shown = os.isatty(2)

    def __call__(self, result: Result) -> None:
        self._n_done += 1
        self._n_fails += result.fails
        if self._is_shown:
            failed = f", {self._n_fails} fail" * bool(self._n_fails)
            write_all(2, f"\r\x1b[K{self._n_done}/{self._n_all}{failed}  {result.case.id}".encode())

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._is_shown:
            write_all(2, b"\r\x1b[K")


# --- the report files --------------------------------------------------------------------------


def _check_reports(args: argparse.Namespace) -> None:
    """Raise OSError for a report that cannot be written, ValueError for two in one file."""
    paths = [path for name in REPORTS if (path := getattr(args, name)) is not None]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(f"{path}: two reports cannot go into one file")
        _check_writable(path)


def _write_reports(
    args: argparse.Namespace,
    argv: list[str],
    results: list[Result],
    directories: dict[str, str],
    contract: str = "",
) -> None:
    """Write the report files.

    Parameters
    ----------
    argv : list of str
        The worker, or the adapter of a driver.
    directories : dict of str to str
        ID.mode -> directory with the evidence of a failure.
    contract : str
        The contract that the worker follows.
    """
    from kvproto.conformance.report.as_html import as_html
    from kvproto.conformance.report.machine import as_json, junit, tap

    def page(subject: str, results: list[Result], directories: dict[str, str]) -> str:
        return as_html(subject, results, directories, _about(args, argv, results, contract))

    subject = argv[0] if contract else " ".join(argv)
    for name, form in {"junit": junit, "json": as_json, "tap": tap, "html": page}.items():
        if (path := getattr(args, name)) is not None:
            _write(path, form(subject, results, directories))


def _check_writable(path: str) -> None:
    """Raise the OSError, with the path, that `_write` would raise, but change nothing."""
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        if not os.access(path, os.W_OK):  # opening a pipe would wait for its reader
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return
    with OutputFile(path):
        pass


def _write(path: str, text: str) -> None:
    with OutputFile(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
        file.publish()


def _about(
    args: argparse.Namespace, argv: list[str], results: list[Result], contract: str
) -> dict[str, str]:
    """Describe what was run, for a person."""
    modes = " and ".join(dict.fromkeys(result.mode for result in results))
    about = {
        "level": args.level.upper() + " and above" * (args.level != "must"),
        "cases": args.pattern,
    }
    if contract:
        about |= {
            "contract": contract,
            "random schedules": f"{args.examples} for each case that uses them, seed {args.seed}",
            "environment": ", ".join((*VARIABLES, *args.env)),
        }
    if args.replay is not None:
        about = {"played again": args.replay, "contract": contract}
    return {"program": shlex.join(argv), "modes": modes, **about, "kvproto": kvproto.__version__}
