"""`kvproto check`: check a worker or a driver with the conformance kit."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvproto._text import printable
from kvproto.cli.check_reports import REPORTS, check_reports, write_reports
from kvproto.cli.shared import Commands, add_command, key_value, seconds, tell_error, write_all

if TYPE_CHECKING:
    from kvproto.conformance.player import Program
    from kvproto.conformance.runner import Check, Result

__all__ = ["add"]

CONFORMS, DOES_NOT, FAULT, NOT_STARTED, NOTHING = range(5)

WORKER_TIMEOUT, DRIVER_TIMEOUT = 10.0, 30.0

DIRECTORY = "kvproto-check"

DETAILS = f"""
Each case runs the worker several times and watches what it does. Most cases do not depend on what
the worker computes. The kit reports each fault once, with the smallest input that shows it, and
leaves a directory in ./{DIRECTORY}/ with the bytes and a repro.sh.

The worker does not get your environment, because that could change the verdict. It gets only your
PATH, HOME, LANG and TMPDIR. --env NAME adds one more variable.

With --driver, the kit checks a driver. The program after `--` is then an adapter: it reads a
request on stdin, lets the driver run one worker, and prints the outcome
(kvproto/conformance/drivers/ADAPTER.md). The kit brings the workers, most of them hostile.

levels: must (the default) checks what a worker must do; should also checks what it should do;
info adds cases that only inform and never fail a worker

contracts: --contract reference is for a worker that follows the small contract in
kvproto/conformance/CONTRACT.md; the kit then checks each of its answers byte for byte

exit status: 0 it conforms, 1 it does not, 2 wrong usage or a fault of the kit, 3 the worker does
not start, 4 no case was selected

examples:
  kvproto check -- ./worker
  kvproto check --mode map -k 'MAP-lock*' -p lexicon=words.txt -f words.txt -- ./worker
  kvproto check --html report.html --junit report.xml -- ./worker
  kvproto check --replay {DIRECTORY}/MAP-lockstep.map
  kvproto check --driver -- python3 -m kvproto.conformance.drivers.adapter
"""


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    parser = add_command(
        commands,
        "check",
        "check a worker or a driver with the conformance kit",
        _run_check,
        usage="kvproto check [option ...] -- worker [argument ...]",
        epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(worker=None, needs_worker=False)
    parser.add_argument(
        "--mode", choices=("map", "reduce", "both"), default="both", help="default: both"
    )
    parser.add_argument(
        "--level", choices=("must", "should", "info"), default="must", help="default: must"
    )
    parser.add_argument(
        "--contract",
        choices=("any", "reference"),
        default="any",
        help="the contract that the worker follows (default: any, for no known contract)",
    )
    parser.add_argument(
        "-k",
        dest="pattern",
        metavar="GLOB",
        default="*",
        help="only cases whose ID matches, such as 'MAP-*'",
    )
    parser.add_argument(
        "-p",
        "--param",
        dest="params",
        metavar="KEY=VALUE",
        type=key_value,
        action="append",
        default=[],
        help="a parameter that the worker needs; may be repeated",
    )
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        metavar="FILE",
        action="append",
        default=[],
        help="a supporting file, which is put beside the worker; may be repeated",
    )
    parser.add_argument(
        "--env",
        metavar="NAME",
        type=_variable,
        action="append",
        default=[],
        help="an environment variable to pass on to the worker; may be repeated",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        help="how long the worker may be silent if the kit cannot prove that it hangs "
        f"(default: {WORKER_TIMEOUT:g}); with --driver, how long an answer may take "
        f"(default: {DRIVER_TIMEOUT:g})",
    )
    parser.add_argument(
        "--driver", action="store_true", help="check a driver; its adapter goes after `--`"
    )
    parser.add_argument(
        "--known-failing",
        metavar="FILE",
        help="a list of cases that must fail, one ID or ID.mode on each line",
    )
    parser.add_argument(
        "--examples",
        metavar="N",
        type=_count,
        default=50,
        help="how many random schedules to try (default: 50)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="the seed of the random schedules (default: 0)",
    )
    for name, words in REPORTS.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=f"also write the report {words}")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--list", action="store_true", help="list the cases that the other options select"
    )
    instead.add_argument("--explain", metavar="ID", help="describe what a case does, step by step")
    instead.add_argument(
        "--replay", metavar="DIR", help="play the failure that left this directory again"
    )


def _run_check(args: argparse.Namespace) -> int:
    from kvproto.errors import KVProtoError, WorkerNotStarted

    if args.driver:
        _refuse_what_is_of_workers(args)
    try:
        if args.explain is not None:
            return _explain(args)
        check_reports(args)
        if args.replay is not None:
            return _replay(args)
        if args.list:
            return _list(args)
        return _check_driver(args) if args.driver else _check(args)
    except WorkerNotStarted as e:
        tell_error(e)
        return NOT_STARTED
    except (KVProtoError, OSError, ValueError) as e:
        tell_error(e)
        return FAULT
    except Exception:
        import traceback

        traceback.print_exc()  # a fault of the kit: it must not look like a verdict
        return FAULT


def _refuse_what_is_of_workers(args: argparse.Namespace) -> None:
    for option in (
        "--contract",
        "--param",
        "--file",
        "--env",
        "--known-failing",
        "--examples",
        "--seed",
        "--replay",
    ):
        name = {"--param": "params", "--file": "files"}.get(option, option[2:].replace("-", "_"))
        if getattr(args, name) != args.parser.get_default(name):
            args.parser.error(
                f"{option} is for workers and cannot be used with --driver; "
                "each failure of a driver leaves a repro.sh"
            )


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of schedules")
    return int(text)


def _variable(name: str) -> str:
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
        raise argparse.ArgumentTypeError(f"{name!r} is not the name of an environment variable")
    if name not in os.environ:
        raise argparse.ArgumentTypeError(
            f"{name} is not set: `{name}=... kvproto check --env {name} ...` sets it"
        )
    return name


def _cases(args: argparse.Namespace) -> tuple[Any, ...]:
    if args.driver:
        from kvproto.conformance.drivers import cases

        return tuple(cases.CASES)
    from kvproto.conformance import workers

    return tuple(workers.CASES)


def _selected(args: argparse.Namespace) -> list[Any]:
    from kvproto.conformance.runner import select_from

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
    from kvproto.conformance.runner import read_known

    return frozenset() if path is None else read_known(Path(path))


def _list(args: argparse.Namespace) -> int:
    chosen = _selected(args)
    cases = dict.fromkeys(case for case, _ in chosen)
    _say(
        "".join(
            f"{case.id:<32} {case.level:<6} {case.clauses:<22} {case.title}\n" for case in cases
        )
    )
    return CONFORMS if chosen else NOTHING


def _explain(args: argparse.Namespace) -> int:
    from kvproto.conformance.case import explain
    from kvproto.conformance.drivers import case as driver_case
    from kvproto.conformance.schedule import Setting

    name = args.explain
    cases = [case for case in _cases(args) if case.id.lower() == name.lower()]
    if not cases:
        text = printable(f"kvproto: there is no case {name}; {_how_to_list(args)}\n")
        write_all(2, text.encode("utf-8", "backslashreplace"))
        return NOTHING
    case = cases[0]
    _say(driver_case.explain(case) if args.driver else explain(case, Setting(case.modes[0])))
    return CONFORMS


def _program(worker: list[str], files: list[str], variables: list[str]) -> Program:
    """Describe the worker to the kit; refuse a name that only PATH resolves, with advice."""
    import shutil

    from kvproto.conformance.player import Program
    from kvproto.driver.program import external
    from kvproto.errors import WorkerNotStarted

    path, *arguments = worker
    installed = "/" not in path and not os.path.exists(path) and shutil.which(path)
    if installed:
        advice = (
            f"give the path of the script, which must be executable and begin with "
            f"`#!{installed}` [FILES-4], or give {installed}"
        )
        raise WorkerNotStarted(
            f"{path} is only in PATH, which kvproto does not search", argv=[path], advice=advice
        )
    return Program(path, external([path, *files]), tuple(arguments), tuple(variables))


def _check(args: argparse.Namespace) -> int:
    from kvproto.conformance.runner import Check, run

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
        return NOTHING
    draws = any(case.drawn for case, _ in chosen)
    with (
        _Progress(len(chosen)) as progress,
        _nothing_left_of_hypothesis() if draws else contextlib.nullcontext(),
    ):
        results = run(chosen, check, progress)
    return _tell(args, check, results)


@contextlib.contextmanager
def _nothing_left_of_hypothesis() -> Iterator[None]:
    """Keep the tables of Hypothesis out of the current directory."""
    import tempfile

    try:
        from hypothesis.configuration import set_hypothesis_home_dir
    except ImportError:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="kvproto-hypothesis-") as directory:
        set_hypothesis_home_dir(directory)
        yield


def _check_driver(args: argparse.Namespace) -> int:
    from kvproto.conformance.drivers.runner import keep, run
    from kvproto.conformance.report.text import report

    if not args.worker:
        args.parser.error(
            "no adapter: put it after `--`, as in `kvproto check --driver -- ./adapter`"
        )
    chosen = _selected(args)
    if not chosen:
        return NOTHING
    with _Progress(len(chosen)) as progress:
        results = run(chosen, args.worker, args.timeout or DRIVER_TIMEOUT, progress)
    directories = _kept(results, lambda result, directory: keep(result, args.worker, directory))
    try:
        write_reports(args, args.worker, results, directories)
    finally:
        _say(report(" ".join(args.worker), results, directories))
    return DOES_NOT if any(result.fails for result in results) else CONFORMS


def _replay(args: argparse.Namespace) -> int:
    from kvproto.conformance.evidence import load
    from kvproto.conformance.player import play
    from kvproto.conformance.runner import Check, Result, judged

    replay = load(Path(args.replay))
    program = _program(
        args.worker or replay.worker, args.files or replay.files, args.env or replay.handed_on
    )
    check = Check(program, contract=replay.contract)
    traces = []
    verdict = None
    for schedule in replay.schedules:
        traces.append(play(schedule, check.program, args.timeout or WORKER_TIMEOUT))
        verdict = judged(replay.case, replay.contract, traces)
    return _tell(args, check, [Result(replay.case, replay.mode, verdict)])


def _tell(args: argparse.Namespace, check: Check, results: list[Result]) -> int:
    """Keep the evidence, write the report files, print the report for a terminal."""
    from kvproto.conformance.evidence import keep
    from kvproto.conformance.report.text import report

    program = check.program
    directories = _kept(results, lambda result, directory: keep(result, check, directory))
    try:
        write_reports(
            args, [program.path, *program.arguments], results, directories, check.contract
        )
    finally:
        _say(report(program.path, results, directories))
    return DOES_NOT if any(result.fails for result in results) else CONFORMS


def _kept(results: list[Result], keep: Callable[[Result, Path], object]) -> dict[str, str]:
    """Let `keep` write the evidence of each failure, and return the directories."""
    from kvproto.conformance.report.parts import failures

    directories = {
        one.result.name: os.path.join(DIRECTORY, one.result.name) for one in failures(results)
    }
    for one in failures(results):
        keep(one.result, Path(directories[one.result.name]))
    return directories


def _say(text: str) -> None:
    write_all(1, text.encode("utf-8", "backslashreplace"))


class _Progress:
    """A line on stderr, if that is a terminal, with the number of checks that are done."""

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
