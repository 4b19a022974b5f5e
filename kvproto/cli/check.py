"""`kvproto check`: check a worker or a driver with the conformance kit."""

from __future__ import annotations

import argparse
import os
import re
import traceback

from kvproto.cli.shared import (
    DIRECTORY,
    DRIVER_TIMEOUT,
    FAULT,
    NOT_STARTED,
    REPORTS,
    WORKER_TIMEOUT,
    Commands,
    add_command,
    add_files,
    add_params,
    print_error,
    seconds,
)
from kvproto.errors import KVProtoError, WorkerNotStarted

__all__ = ["add"]

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
    add_params(parser)
    add_files(parser)
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
        "--replay", metavar="DIR", help="repeat the failure that left this directory"
    )


def _run_check(args: argparse.Namespace) -> int:
    if args.driver:
        _refuse_options_for_workers(args)
    try:
        from kvproto.cli.run_check import run_check

        return run_check(args)
    except WorkerNotStarted as e:
        print_error(e)
        return NOT_STARTED
    except (KVProtoError, OSError, ValueError) as e:
        print_error(e)
        return FAULT
    except Exception:
        traceback.print_exc()  # a fault of the kit: it must not look like a verdict
        return FAULT


def _refuse_options_for_workers(args: argparse.Namespace) -> None:
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
