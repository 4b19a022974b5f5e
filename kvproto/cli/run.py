"""`kvproto run` and `kvproto demo`: whole jobs on this machine."""

from __future__ import annotations

import argparse

from kvproto.cli.shared import add_command

__all__ = ["add"]


def add(commands) -> None:
    """Add the commands of this module."""
    _add_run(commands)
    _add_demo(commands)


def _add_run(commands) -> None:
    parser = add_command(commands, "run", "run a job class on this machine and print its results", _run_job)
    parser.add_argument("job", metavar="MODULE.CLASS", help="the job, from the working directory or sys.path")
    parser.add_argument("input", nargs="*", metavar="INPUT", help="files or URLs; default: the job's own")


def _run_job(args: argparse.Namespace) -> int:
    from kvproto.classic import command

    return command.run(args.job, args.input)


def _add_demo(commands) -> None:
    parser = add_command(commands, "demo", "count the words of real text with a C program", _run_demo)
    parser.add_argument("input", nargs="*", metavar="INPUT", help="files, directories or URLs; default: Python's library")


def _run_demo(args: argparse.Namespace) -> int:
    from kvproto.examples import demo

    return demo.main(args.input)
