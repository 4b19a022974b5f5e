"""What the commands share: adding commands and options, types of arguments, printing errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from kvproto._stdio import say, write_all

if TYPE_CHECKING:
    from kvproto.protocol.messages import Message

__all__ = [
    "CONFORMS",
    "DIRECTORY",
    "DOES_NOT_CONFORM",
    "DRIVER_TIMEOUT",
    "FAULT",
    "FORMS",
    "NOT_STARTED",
    "NO_CASE",
    "REPORTS",
    "WORKER_TIMEOUT",
    "add_command",
    "add_files",
    "add_output",
    "add_params",
    "add_worker_params",
    "days",
    "find_modules_in_current_directory",
    "key_value",
    "print_error",
    "say",
    "seconds",
    "show_message",
    "worker_params",
    "write_all",
]

Run = Callable[[argparse.Namespace], int]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

FORMS = ("text", "jsonl", "kv")
"""The forms of results (`kvproto.forms`)."""

CONFORMS, DOES_NOT_CONFORM, FAULT, NOT_STARTED, NO_CASE = range(5)
"""The exit statuses of `kvproto check`."""

WORKER_TIMEOUT, DRIVER_TIMEOUT = 10.0, 30.0
"""Seconds: the defaults of its --timeout."""

DIRECTORY = "kvproto-check"
"""Where it leaves the evidence of failures."""

REPORTS = {
    "junit": "as JUnit XML, for CI",
    "json": "as JSON, for programs",
    "tap": "as TAP 14",
    "html": "as an HTML page, with the bytes of each fault",
}
"""The options for its reports, and their help."""


def add_command(
    commands: Commands, name: str, summary: str, run: Run, **details: Any
) -> argparse.ArgumentParser:
    """Add a command; `run(args)` runs it and returns the exit status."""
    parser = commands.add_parser(
        name, help=summary, description=summary, allow_abbrev=False, **details
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_params(to: argparse._ActionsContainer, details: str = "") -> None:
    """Add the option -p, for the parameters of a worker."""
    to.add_argument(
        "-p",
        "--param",
        dest="params",
        metavar="KEY=VALUE",
        type=key_value,
        action="append",
        default=[],
        help=f"a parameter for the worker; may be repeated{details}",
    )


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option -o, which `kvproto.cli.output.Output` takes."""
    parser.add_argument(
        "-o",
        dest="output",
        default="-",
        metavar="FILE",
        help=f"write {what} to FILE, or to an object as s3://bucket/name, compressed if its name "
        "ends in .gz, .bz2, .xz or .zst; it changes only if the command succeeds; default: -, "
        "stdout",
    )


def add_worker_params(parser: argparse.ArgumentParser) -> None:
    """Add the options for what a worker reads before the first pair; see `worker_params`."""
    params = parser.add_mutually_exclusive_group()
    add_params(params, "; the default is an empty set")
    params.add_argument(
        "--raw-params",
        metavar="FILE",
        help="send the bytes of FILE to the worker as its parameters",
    )
    params.add_argument(
        "--no-params", action="store_true", help="send nothing to the worker before the first pair"
    )


def worker_params(args: argparse.Namespace) -> dict[bytes, bytes] | bytes | None:
    """Return the parameters that the options of `add_worker_params` ask for."""
    if args.no_params:
        return None
    if args.raw_params is not None:
        with open(args.raw_params, "rb") as f:
            return f.read()
    return {os.fsencode(key): os.fsencode(value) for key, value in args.params}


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the option -f, for the supporting files of a worker."""
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        metavar="FILE",
        action="append",
        default=[],
        help="a supporting file, which is put beside the worker; may be repeated",
    )


def key_value(text: str) -> tuple[str, str]:
    """Parse KEY=VALUE, for argparse."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def seconds(text: str) -> float:
    """Parse a time limit in seconds, for argparse."""
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return limit


def find_modules_in_current_directory() -> None:
    """Let Python import modules from the current directory, before all others."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())


def days(text: str) -> float:
    """Parse a number of days, for argparse."""
    try:
        n_days = float(text)
    except ValueError:
        n_days = -1.0
    if not 0 <= n_days < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days: give 0 or more")
    return n_days


def show_message(message: Message) -> None:
    """Write a line of the worker's stderr without its tag; make it printable on a terminal."""
    if os.isatty(2):
        say(str(message))
        return
    cut = b" [%d more bytes cut]" % message.n_cut if message.n_cut else b""
    write_all(2, b"%b%b\n" % (message.text, cut))


def print_error(error: Exception) -> None:
    """Print an error and its notes to stderr; of an OSError, the file and the reason."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    lines = "\n  ".join([text, *getattr(error, "__notes__", ())])
    say(f"kvproto: {lines}")
