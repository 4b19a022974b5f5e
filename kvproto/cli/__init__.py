"""The command `kvproto`: argument parsing and printing, nothing else.

stdout gets only data; stderr gets the worker's messages and the error. The exit status is 0 after
success, 1 after an error, 2 for wrong usage. A closed stdout (`| head`), Ctrl-C, SIGTERM and SIGHUP
end the command as they end any Unix tool, and kill the worker. Each module of commands has
`add(commands)`. Each command imports what it needs when it runs, so that `kvproto map` starts
quickly.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import signal
import sys

import kvproto
from kvproto.cli import (
    bad,
    check,
    config,
    encode,
    inspect,
    jobs,
    map_reduce,
    replay,
    report,
    run,
    tag,
)
from kvproto.cli.shared import print_error, say, write_all
from kvproto.driver.signals import Ended, as_interrupts, end_by
from kvproto.errors import KVProtoError

__all__ = ["main"]

MODULES = (map_reduce, encode, inspect, check, run, jobs, report, replay, bad, tag, config)
"""The modules of commands, in the order in which --help lists them."""


def main(argv: list[str] | None = None) -> int:
    """Run the command and return the exit status; argv does not have the program's name."""
    _open_standard_descriptors()
    gc.set_threshold(100_000)  # what is imported stays: to search it for cycles so often takes time
    atexit.register(gc.freeze)  # and so does a last search, as the process ends
    try:
        args = _arguments(sys.argv[1:] if argv is None else argv)
        with as_interrupts():
            return int(args.run(args))
    except BrokenPipeError:
        return end_by(signal.SIGPIPE)
    except Ended as e:
        return end_by(e.number)
    except KeyboardInterrupt:
        return end_by(signal.SIGINT)
    except (KVProtoError, OSError) as e:
        print_error(e)
        return 1


def _arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line; an error in it ends the program with status 2."""
    options, program = _split_at_dashes(run.join_parameters(argv))
    args, rest = _parser().parse_known_args(options)
    args.words = argv
    if "input" in args and not any(word.startswith("-") for word in rest):
        args.input += rest  # argparse takes no inputs after an option that follows the first ones
    elif rest:
        hint = (
            f"; the worker goes after `--`, as in `{args.parser.prog} -- ./worker`"
            if "worker" in args and program is None
            else ""
        )
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    if "worker" in args:
        args.worker = program
        if not program and args.needs_worker:
            args.parser.error(
                f"no worker: put it after `--`, as in `{args.parser.prog} -- ./worker`"
            )
    elif program is not None:
        args.parser.error(
            "only `kvproto map`, `kvproto reduce` and `kvproto check` take `--` and a worker"
        )
    return args


class _Parser(argparse.ArgumentParser):
    """Raises an error if stdout fails, which argparse ignores."""

    def _print_message(self, message: str, file: object = None) -> None:
        if message and file is sys.stdout:
            write_all(1, message.encode("utf-8", "backslashreplace"))
        elif message:
            say(message.rstrip("\n"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kvproto",
        description="Run programs in any language as map and reduce functions.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"kvproto {kvproto.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in MODULES:
        module.add(commands)
    return parser


def _open_standard_descriptors() -> None:
    """Open /dev/null as each closed standard descriptor, so that a use of 0 or 1 fails.

    Otherwise a pipe of the driver would get such a number, and become the input or the output.
    """
    for fd, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # this is the lowest free number


def _split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """Split at the first `--`: versions of argparse differ in what they do with the rest."""
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]
