"""What the groups of commands share: adding a command, writing to stdout and stderr."""

from __future__ import annotations

import argparse
import os

__all__ = ["add_command", "write_all"]


def add_command(commands, name: str, summary: str, run, **details) -> argparse.ArgumentParser:
    """Add a command to the parser's `commands`; `run(args)` carries it out and returns the exit status."""
    parser = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False, **details)
    parser.set_defaults(run=run, parser=parser)
    return parser


def write_all(fd: int, data) -> None:
    """Write all of data, bytes or the like, to descriptor 1 or 2; an OSError names it as stdout or stderr."""
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(fd, left) :]
    except OSError as e:
        raise OSError(e.errno, e.strerror, "stdout" if fd == 1 else "stderr") from None
