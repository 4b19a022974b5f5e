"""What the groups of commands share: adding a command, kinds of arguments, writing to stdout and stderr."""

from __future__ import annotations

import argparse
import os

from kvproto._stdio import say, write_all

__all__ = ["FORMS", "add_command", "days", "say", "seconds", "tell_error", "write_all"]

FORMS = ("text", "jsonl", "kv")
"""The forms of results; those of `kvproto.classic.output`, said again so that `kvproto map` imports no jobs."""


def add_command(commands, name: str, summary: str, run, **details) -> argparse.ArgumentParser:
    """Add a command to the parser's `commands`; `run(args)` carries it out and returns the exit status."""
    parser = commands.add_parser(
        name, help=summary, description=summary, allow_abbrev=False, **details
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def seconds(text: str) -> float:
    """A time limit, for argparse."""
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return limit


def days(text: str) -> float:
    """A number of days, for argparse."""
    try:
        n_days = float(text)
    except ValueError:
        n_days = -1.0
    if not 0 <= n_days < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 0 on")
    return n_days


def tell_error(error: Exception) -> None:
    """Write an error to stderr for a person: its text and notes; of an OSError what is wrong with which file."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    lines = "\n  ".join([text, *getattr(error, "__notes__", ())])
    say(f"kvproto: {lines}")
