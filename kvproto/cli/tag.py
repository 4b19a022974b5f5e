"""`kvproto tag`: keep data under names, which jobs read as tag://NAME."""

from __future__ import annotations

import argparse
import os
import re
from contextlib import suppress

from kvproto.cli.shared import Commands, add_command, days, print_error, write_all

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    summary = "keep data under a name; a job reads it as tag://NAME"
    group = commands.add_parser("tag", help=summary, description=summary, allow_abbrev=False)
    verbs = group.add_subparsers(metavar="put|get|ls|rm|gc", required=True)

    parser = add_command(
        verbs, "put", "append files to a tag, and create the tag if it does not exist", _put
    )
    parser.add_argument(
        "name", metavar="NAME", help="the name of the tag: letters, digits and _ - @ :"
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a file, directory or pattern: its data is copied; or a URL, which is stored as it is",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="replace what the tag contains, instead of appending to it",
    )
    parser.add_argument(
        "--chunk-size",
        type=_size,
        default="64M",
        metavar="BYTES",
        help="cut a file at the first line end after this many bytes; K, M and G after a number "
        "are powers of 1024; default: 64M",
    )

    parser = add_command(
        verbs, "get", "write the data of a tag, and of the tags in it, to stdout", _get
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--urls",
        action="store_true",
        help="list the URLs of the data instead; tabs separate the replicas",
    )

    parser = add_command(verbs, "ls", "list the names of tags", _ls)
    parser.add_argument(
        "prefix", nargs="?", default="", metavar="PREFIX", help="only names that begin with this"
    )

    parser = add_command(
        verbs, "rm", "delete a tag, and the data that only this tag refers to", _rm
    )
    parser.add_argument("name", metavar="NAME")

    parser = add_command(
        verbs, "gc", "remove data that no tag refers to, and list what was removed", _gc
    )
    parser.add_argument(
        "--older-than",
        metavar="DAYS",
        type=days,
        default=1.0,
        help="only data that is older than DAYS days: a `put` that still runs has not tagged its "
        "data yet; default: 1",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only list the data, and remove nothing"
    )


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    n_bytes = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]] if match else 0
    if n_bytes < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of bytes, such as 1000000 or 64M"
        )
    return n_bytes


def _put(args: argparse.Namespace) -> int:
    from kvproto.classic.putting import put_files

    put_files(args.name, args.files, chunk_size=args.chunk_size, is_whole=args.replace)
    return 0


def _get(args: argparse.Namespace) -> int:
    from kvproto.classic.putting import canonizetag, opened
    from kvproto.inputs.schemes import find_inputs
    from kvproto.inputs.schemes.lists import listed
    from kvproto.storage.blobs import read_blocks

    tag = canonizetag(args.name)
    if args.urls:
        for _, urls in listed(tag):
            write_all(1, "\t".join(urls).encode("utf-8", "surrogateescape") + b"\n")
        return 0
    for input_ in find_inputs([tag]):
        with opened(input_) as file:
            for block in read_blocks(file):
                write_all(1, block)
    return 0


def _ls(args: argparse.Namespace) -> int:
    from kvproto.classic.ddfs import DDFS
    from kvproto.storage.tags import DamagedTag, NoSuchTag

    for name in DDFS().list(args.prefix):
        write_all(1, f"{name}\n".encode())
        try:
            DDFS().get(name)
        except DamagedTag as e:
            print_error(e)
        except NoSuchTag:
            continue  # deleted meanwhile
    return 0


def _rm(args: argparse.Namespace) -> int:
    from kvproto.classic.ddfs import DDFS
    from kvproto.storage.tags import DamagedTag

    with suppress(DamagedTag):  # a damaged tag can be deleted
        DDFS().get(args.name)  # raises an error if there is no such tag
    DDFS().delete(args.name)
    return 0


def _gc(args: argparse.Namespace) -> int:
    from kvproto.inputs import tagged
    from kvproto.storage.blobs import directory

    grace = args.older_than * 86400
    unused = tagged.unused(grace)
    if not args.dry_run:
        tagged.collect(unused, grace)
    for own in unused:
        write_all(1, os.fsencode(f"{os.path.join(directory(), own)}\n"))
    return 0
