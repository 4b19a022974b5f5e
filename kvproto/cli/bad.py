"""`kvproto bad`: the records that a job has set aside, and the inputs that it left out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kvproto._text import printable
from kvproto.cli.shared import Commands, add_command, say, write_all

if TYPE_CHECKING:
    from kvproto.storage.bad_records import BadRecord

__all__ = ["add"]

SUMMARY = "print the records on which the map of a job failed, and the inputs that it left out"
DETAILS = """
NAME is the name of a job, as `kvproto jobs` lists it, or a prefix that only one job has.
@ is the last job. The job may still run: then these are those of the tasks that are done.

Each record has its input and line, the error, and its beginning, as text or as a hexdump. A job
sets records aside with the parameter max_bad_records, and leaves inputs out with bad_inputs.

exit status: 0 success, even if there are none, 1 an error, such as an unknown name, 2 wrong usage

examples:
  kvproto bad @
  kvproto bad @ --bytes > again.txt && kvproto run words.Words again.txt
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "bad",
        SUMMARY,
        _bad,
        epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the job")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object on a line for each: kind (record or input), input, line, start "
        "and end (bytes of the line in the input), error, key and value (the record), and more",
    )
    form.add_argument(
        "--bytes",
        action="store_true",
        help="print only the records, whole, as they are in the input",
    )


def _bad(args: argparse.Namespace) -> int:
    from kvproto.classic.core import Disco
    from kvproto.engine.registry import resolve_job
    from kvproto.storage.bad_records import encode_bad_records

    n_left = 0
    for one in Disco().bad_records(resolve_job(args.name)):
        if args.json:
            write_all(1, encode_bad_records([one]))
        elif not args.bytes:
            write_all(1, _shown(one).encode("utf-8", "surrogateescape"))
        elif one.kind == "record" and _is_whole(one):
            write_all(1, one.value)
        else:
            n_left += 1
    if n_left:
        say(
            f"kvproto: {n_left:,} more are not printed: inputs that were left out, pairs with a "
            "key, objects of a reader, records over 1 MiB; see `kvproto bad --json`"
        )
    return 0


def _is_whole(one: BadRecord) -> bool:
    return not one.key and not one.is_object and len(one.value) == one.n_bytes


def _shown(one: BadRecord) -> str:
    from kvproto.engine.bad_limit import described

    if one.kind == "input":
        return printable(f"{one}: left out: {one.error}") + "\n"
    first, *lines = described(one)
    if one.place.line is not None:
        first = f"{one.place.input}:{one.place.line}: {one.error}"
    return printable("\n".join([first, *lines])) + "\n"
