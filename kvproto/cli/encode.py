"""`kvproto encode` and `kvproto decode`: between frames and lines of text, from stdin to stdout."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from itertools import chain

from kvproto.cli.shared import (
    Commands,
    add_command,
    add_worker_params,
    worker_params,
    write_all,
)
from kvproto.errors import ProtocolError

__all__ = ["add"]

PIECE_BYTES = 1 << 16

FORMS = """
forms:
  lines   each line, its newline included, as the value of an empty key
  text    key, tab, value, newline; keys and values must not contain tabs or newlines
  jsonl   one pair on a line, [key, value]; bytes that are not UTF-8 as {"base64": "..."}
  lists   one result list on a line, [[key, value], ...], with items as in jsonl
"""
EXAMPLES = """
example:
  kvproto encode --from jsonl < pairs.jsonl | ./worker map | kvproto decode
"""


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    parser = add_command(
        commands,
        "encode",
        "write what a worker reads: parameters, then the pairs of stdin as frames",
        _encode,
        epilog=f"{FORMS}\nOf lists, result lists are made, as a worker writes them.\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--from",
        dest="form",
        choices=("lines", "text", "jsonl", "lists"),
        default="lines",
        help="the form of stdin; default: lines",
    )
    add_worker_params(parser)
    parser = add_command(
        commands,
        "decode",
        "write the pairs of stdin, which are frames, as lines",
        _decode,
        epilog=f"{FORMS}\nlists keeps what jsonl and text do not: which pair belongs to which list."
        f"\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--from",
        dest="kind",
        choices=("lists", "pairs", "params", "stdin"),
        default="lists",
        help="what stdin has: result lists, pairs, a parameter set, or all that a worker reads, "
        "of which the pairs are written; default: lists",
    )
    parser.add_argument(
        "--to",
        dest="form",
        choices=("text", "jsonl", "lists"),
        default="text",
        help="the form of the output; default: text",
    )


def _pieces() -> Iterator[bytes]:
    return iter(lambda: os.read(0, PIECE_BYTES), b"")


def _encode(args: argparse.Namespace) -> int:
    from kvproto.forms import READERS, lists_from_jsonl
    from kvproto.inputs.unpacking import unpack_pieces
    from kvproto.protocol.params import encode_params

    pieces = unpack_pieces(_pieces(), "the input")
    if args.form == "lists":
        if args.params or args.raw_params is not None:
            args.parser.error("a worker writes no parameters before its result lists")
        frames = lists_from_jsonl(pieces)
    else:
        frames = chain([encode_params(worker_params(args))], READERS[args.form](pieces))
    for piece in frames:
        write_all(1, piece)
    return 0


def _decode(args: argparse.Namespace) -> int:
    from kvproto.forms import WRITERS, jsonl_from_lists

    if args.form == "lists" and args.kind != "lists":
        args.parser.error(f"{args.kind} have no lists: give --to text or --to jsonl")
    try:
        is_lists = args.form == "lists"
        lines = jsonl_from_lists(_pieces()) if is_lists else WRITERS[args.form](_pairs(args.kind))
        for piece in lines:
            write_all(1, piece)
    except ProtocolError as e:
        e.add_note("`kvproto inspect` shows what the bytes are; --from says what they have to be")
        raise
    return 0


def _pairs(kind: str) -> Iterable[bytes]:
    """The pairs of stdin as frames."""
    from kvproto.forms import bare_pairs, without_params
    from kvproto.protocol.frames import encode_pairs
    from kvproto.protocol.params import decode_params

    if kind == "params":
        return [encode_pairs(decode_params(b"".join(_pieces())).items())]
    if kind == "stdin":
        params, pieces = without_params(_pieces())
        return bare_pairs(pieces, with_lists=False, offset=len(params))
    return bare_pairs(_pieces(), with_lists=kind == "lists")
