"""`kvproto replay`: one task of a job that failed, alone."""

from __future__ import annotations

import argparse

from kvproto.cli.shared import Commands, add_command

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
        "run a task of a failed job again, alone",
        _replay,
        usage="kvproto replay [option ...] NAME [TASK]",
        epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the job")
    parser.add_argument("task", metavar="TASK", nargs="?", help="the task")
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        "--record",
        metavar="N",
        type=_number,
        help="only the record of this number, counted from 0 as in the error of a map",
    )
    part.add_argument(
        "--shortest",
        action="store_true",
        help="only the shortest beginning of the input on which the program of a reduce fails; a "
        "search finds it",
    )
    how = parser.add_mutually_exclusive_group()
    for name, help in (
        ("pdb", "open pdb where a function of Python raises its error"),
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


def _number(text: str) -> int:
    if not (text.isdecimal() and len(text) <= 18):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return int(text)


def _replay(args: argparse.Namespace) -> int:
    from kvproto.cli.run_replay import replay

    return replay(args)
