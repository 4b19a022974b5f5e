"""`kvproto map` and `kvproto reduce`: send stdin through one worker program to stdout or -o."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import kvproto
from kvproto.cli.shared import (
    Commands,
    add_command,
    add_files,
    add_output,
    add_worker_params,
    seconds,
    show_message,
    worker_params,
    write_all,
)
from kvproto.driver.limits import LIMITS
from kvproto.errors import DataError, WorkerError, WorkerNotStarted

__all__ = ["add"]

Tee = Callable[[Iterable[bytes]], Iterable[bytes]]

PIECE_BYTES = 1 << 20
"""The most bytes that are read from stdin at once."""

FORMS = """
forms of the input and the output:
  lines   each line, its newline included, as the value of an empty key
  text    key, tab, value, newline; keys and values must not contain tabs or newlines
  jsonl   one pair on a line, [key, value]; bytes that are not UTF-8 as {"base64": "..."}
  kv      the frames that the worker itself reads and writes

examples:
  kvproto map -- ./wordcount < text | sort | kvproto reduce -- ./wordcount
  kvproto map --out kv -- ./wordcount < text | kvproto reduce --in kv --out jsonl -- ./wordcount
"""


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_worker_command(
        commands,
        "map",
        "run a worker's map on each pair of stdin, and write the pairs of its lists to stdout",
    )
    _add_worker_command(
        commands,
        "reduce",
        "run a worker's reduce on all pairs of stdin, and write its pairs to stdout",
    )


def _add_worker_command(commands: Commands, mode: str, summary: str) -> None:
    parser = add_command(
        commands,
        mode,
        summary,
        _run_worker,
        usage=f"kvproto {mode} [option ...] -- worker [argument ...]",
        epilog=FORMS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(mode=mode, worker=None, needs_worker=True)
    form = "lines" if mode == "map" else "text"  # what map prints, reduce reads
    forms = ("lines", "text", "jsonl", "kv")
    parser.add_argument(
        "--in", dest="in_form", choices=forms, default=form, help=f"default: {form}"
    )
    parser.add_argument(
        "--out",
        dest="out_form",
        choices=("text", "jsonl", "kv"),
        default="text",
        help="default: text",
    )
    add_output(parser, "the answers")
    add_worker_params(parser)
    add_files(parser)
    for name, help in (
        ("start", "time limit for the start of the worker (default: 30)"),
        ("idle", "time limit while no byte is sent or received (default: 300)"),
        ("total", "time limit for the whole run (default: none)"),
        ("grace", "time limit from the last answer to the exit of the worker (default: 10)"),
    ):
        parser.add_argument(
            f"--{name}", metavar="SECONDS", type=seconds, default=argparse.SUPPRESS, help=help
        )
    parser.add_argument(
        "--keep-failed",
        metavar="DIR",
        help="if the worker fails, leave in DIR its files, its input stdin.bin, and a script "
        "repro.sh that runs it again; meanwhile DIR takes as much room as the input",
    )
    if mode == "map":
        parser.add_argument(
            "--pinpoint",
            metavar="SECONDS",
            type=lambda text: 0.0 if text == "0" else seconds(text),
            default=argparse.SUPPRESS,
            help="when the worker fails, play its input again to find the record at which it does, "
            "for at most so long (default: 60; 0: not at all)",
        )
    parser.add_argument(
        "--max-item",
        metavar="BYTES",
        type=_n_bytes,
        default=kvproto.MAX_ITEM,
        help="the largest key or value that is allowed (default: 1 GiB)",
    )


def _n_bytes(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 0xFFFFFFFF):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 0 to 4294967295")
    return int(text)


def _run_worker(args: argparse.Namespace) -> int:
    try:
        if args.keep_failed is None:
            _run_program(args, None)
        else:
            from kvproto.cli.keeping import keeping

            with keeping(args) as keeper:
                _run_program(args, keeper.tee)
    except WorkerError as e:
        e.args = (e.report(with_stderr=False),)  # its stderr has been shown already
        if args.keep_failed is None and not isinstance(e, WorkerNotStarted):
            from kvproto.cli.keeping import how_to_keep

            e.add_note(how_to_keep(args.words))
        raise
    return 0


def _run_program(args: argparse.Namespace, tee: Tee | None) -> None:
    from kvproto.driver.program import ExternalProgram

    limits = {name: getattr(args, name) for name in LIMITS._fields if name in args}
    path, *arguments = args.worker
    with (
        _written(args.output) as write,
        ExternalProgram(
            [path, *args.files],
            params=worker_params(args),
            args=arguments,
            on_message=show_message,
            max_item=args.max_item,
            core_directory=os.getcwd(),
            **limits,
        ) as worker,
    ):
        source, check_source = _frames_of_stdin(args.in_form, args.max_item, tee)
        try:
            if args.out_form == "kv":
                worker.pipe_frames(args.mode, source, write)
            else:
                frames = (
                    worker.map_frames(source)
                    if args.mode == "map"
                    else worker.reduce_frames(source)
                )
                for piece in _written_as(args.out_form, frames, args.max_item):
                    write(piece)
        except WorkerError as e:
            try:
                check_source()
            except DataError as cause:  # which caused the worker's error
                raise cause from e
            raise
        check_source()


@contextmanager
def _written(path: str) -> Iterator[Callable[[bytes | memoryview], object]]:
    """What writes pieces to stdout at once, or to a file that appears at the end of the body."""
    if path == "-":
        yield lambda piece: write_all(1, piece)
        return
    from kvproto.cli.output import Output

    with Output(path) as out:
        yield out.write


def _frames_of_stdin(form: str, max_item: int, tee: Tee | None) -> tuple[int, Callable[[], None]]:
    """Return a descriptor with the frames of stdin, and a check that raises the error of stdin.

    For kv, the descriptor is stdin itself. A thread reads the other forms, so that the driver does
    not wait for stdin. The same thread passes the frames through `tee`.
    """
    if form == "kv" and tee is None:
        return 0, lambda: None
    from kvproto.driver.source import Pump
    from kvproto.forms import READERS
    from kvproto.inputs.unpacking import unpack_pieces

    pieces = iter(lambda: os.read(0, PIECE_BYTES), b"")
    if form != "kv":
        unpacked = unpack_pieces(pieces, "the input")
        pieces = iter(READERS[form](unpacked, max_item=max_item))
    pump = Pump(pieces if tee is None else tee(pieces))
    return pump.fileno, pump.check


def _written_as(form: str, frames: Iterable[bytes], max_item: int) -> Iterable[bytes]:
    if form == "kv":
        return frames
    from kvproto.forms import WRITERS

    return WRITERS[form](frames, max_item=max_item)
