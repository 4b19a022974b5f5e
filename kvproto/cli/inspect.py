"""`kvproto inspect`: what is in a file of frames, and the first byte that is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from kvproto.cli.shared import Commands, add_command, write_all

__all__ = ["add"]

PIECE_BYTES = 1 << 16
"""The most bytes that are read at once: 64 KiB, what a pipe has at most by default."""

KINDS = ("pairs", "lists", "params", "stdin", "result")

DETAILS = """
kinds of data:
  pairs   frames: what a worker reads, without its parameters
  lists   result lists: what a worker writes, as map or as reduce
  params  a parameter set
  stdin   all that a worker reads: a parameter set, then pairs
  result  a result file of a job; objects in it are not unpickled

Without --as, each kind is tried. Of a long file, the first and the last records are shown. All
numbers count from 0; offsets on the left are hexadecimal.

exit status: 0 valid, 1 not valid, or another error, 2 wrong usage

examples:
  kvproto inspect stdin.bin
  kvproto inspect --pair 95279 stdin.bin
  ./worker map < stdin.bin | kvproto inspect --as lists
"""


def add(commands: Commands) -> None:
    """Add the command of this module."""
    parser = add_command(
        commands,
        "inspect",
        "show the bytes of a file with their meaning, and the first wrong byte",
        _inspect,
        epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="the file; default: stdin")
    parser.add_argument("--as", dest="kind", choices=KINDS, help="what the data has to be")
    chosen = parser.add_mutually_exclusive_group()
    for kind, help in (
        ("pair", "show pair number N and those around it"),
        ("list", "show result list number N, the answer to pair N, and those around it"),
        ("offset", "show the record with byte N, decimal or 0x..., and those around it"),
    ):
        chosen.add_argument(f"--{kind}", metavar="N", type=_number, help=help)


def _number(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return number


def _inspect(args: argparse.Namespace) -> int:
    from kvproto.inspection.report import inspect_pieces
    from kvproto.inspection.rows import Chosen

    numbers = {kind: getattr(args, kind) for kind in ("pair", "list", "offset")}
    chosen = next((Chosen(kind, n) for kind, n in numbers.items() if n is not None), None)
    path = None if args.file == "-" else args.file
    with open(0 if path is None else path, "rb", buffering=0) as file:
        pieces: Iterator[bytes] = iter(lambda: file.read(PIECE_BYTES), b"")
        inspection = inspect_pieces(pieces, path or "stdin", args.kind, chosen)
    for line in inspection.lines:
        write_all(1, f"{line}\n".encode())
    return 0 if inspection.is_valid else 1
