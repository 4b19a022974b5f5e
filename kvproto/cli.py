"""The command `kvproto`: argument parsing and printing, nothing else.

Promises: stdout carries data alone, stderr the worker's messages and the error; exit status 0 after success,
1 after an error, 2 for wrong usage; a reader that goes away (`| head`) or Ctrl-C ends it as it ends any Unix
tool, the worker killed. Each command imports what it needs when it runs, so that `kvproto map` starts quickly.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable

import kvproto
from kvproto.errors import KVProtoError

__all__ = ["main"]

PIECE_BYTES = 1 << 20
"""The most that is read from stdin at once."""

LIMITS = ("start", "idle", "total", "grace")


def main(argv: list[str] | None = None) -> int:
    """Run the command; argv without the program's name, by default sys.argv's. Returns the exit status."""
    _hold_standard_descriptors()
    options, worker = _cut_at_dashes(sys.argv[1:] if argv is None else argv)
    args, strays = _parser().parse_known_args(options)
    if strays:
        hint = "; the worker goes behind `--`, as in `kvproto map -- ./worker`" if "mode" in args else ""
        args.parser.error(f"unrecognized arguments: {' '.join(strays)}{hint}")
    if "mode" in args:
        args.worker = worker
        if not worker:
            args.parser.error("no worker: put it behind `--`, as in `kvproto map -- ./worker`")
    elif worker is not None:
        args.parser.error("`--` and a worker belong to `kvproto map` and `kvproto reduce`")
    try:
        return args.run(args)
    except BrokenPipeError:
        return _end_by(signal.SIGPIPE)
    except KeyboardInterrupt:
        return _end_by(signal.SIGINT)
    except (KVProtoError, OSError) as e:
        _write_all(2, f"kvproto: {_told(e)}\n".encode("utf-8", "backslashreplace"))
        return 1


def _told(error: Exception) -> str:
    """An error for the person at the terminal: its text and its notes; of an OSError the file and what is wrong with it."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    return "\n  ".join([text, *getattr(error, "__notes__", ())])


def _hold_standard_descriptors() -> None:
    """Where a standard descriptor is closed, put /dev/null opened so that its use fails; stderr's does not.

    Otherwise a pipe of the driver would take its number, and be read as the input or get the output.
    """
    for fd, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest number that is free: this one


def _cut_at_dashes(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """Split at the first `--`: argparse itself treats what stands behind it differently in each Python."""
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _end_by(number: signal.Signals) -> int:
    """End as the signal ends a program that does not handle it, so that a shell sees what happened."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


# --- arguments ---------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kvproto", description="Programs in any language as map and reduce functions.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"kvproto {kvproto.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_worker_command(commands, "map", "each pair of stdin through a worker's map, the pairs of its lists to stdout")
    _add_worker_command(commands, "reduce", "all pairs of stdin through a worker's reduce, its pairs to stdout")
    _add_run(commands)
    _add_demo(commands)
    _add_config(commands)
    return parser


def _add_command(commands, name: str, summary: str, run, **details) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False, **details)
    parser.set_defaults(run=run, parser=parser)
    return parser


FORMS = """
forms of the input and the output:
  lines   each line, its newline included, as the value of an empty key
  text    key, tab, value, newline; what holds tabs or newlines of its own needs jsonl or kv
  jsonl   one pair a line, [key, value]; what is not UTF-8 as {"base64": "..."}
  kv      pairs as the worker itself reads and writes them, one behind the other

examples:
  kvproto map -- ./wordcount < text | sort | kvproto reduce -- ./wordcount
  kvproto map --out kv -- ./wordcount < text | kvproto reduce --in kv --out jsonl -- ./wordcount
"""


def _add_worker_command(commands, mode: str, summary: str) -> None:
    parser = _add_command(
        commands,
        mode,
        summary,
        _run_worker,
        usage=f"kvproto {mode} [option ...] -- worker [argument ...]",
        epilog=FORMS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(mode=mode)
    form = "lines" if mode == "map" else "text"  # what map prints, reduce reads
    forms = ("lines", "text", "jsonl", "kv")
    parser.add_argument("--in", dest="in_form", choices=forms, default=form, help=f"default: {form}")
    parser.add_argument("--out", dest="out_form", choices=("text", "jsonl", "kv"), default="text", help="default: text")
    params = parser.add_mutually_exclusive_group()
    params.add_argument(
        "-p", "--param", dest="params", metavar="KEY=VALUE", type=_param, action="append", default=[],
        help="a parameter for the worker; as often as you like; without any, the set is empty",
    )
    params.add_argument("--raw-params", metavar="FILE", help="send the worker the bytes of FILE as its parameters")
    params.add_argument("--no-params", action="store_true", help="send the worker nothing before the first pair")
    parser.add_argument(
        "-f", "--file", dest="files", metavar="FILE", action="append", default=[],
        help="a supporting file, put beside the worker; as often as you like",
    )
    for name, help in (
        ("start", "until the worker runs (default: 30)"),
        ("idle", "without a byte moving (default: 300)"),
        ("total", "for all of it (default: no limit)"),
        ("grace", "from the last answer until the worker has exited (default: 10)"),
    ):
        parser.add_argument(f"--{name}", metavar="SECONDS", type=_seconds, default=argparse.SUPPRESS, help=help)
    parser.add_argument(
        "--max-item", metavar="BYTES", type=_n_bytes, default=kvproto.MAX_ITEM,
        help="the longest key or value (default: 1 GiB)",
    )


def _param(text: str) -> tuple[bytes, bytes]:
    key, equals, value = os.fsencode(text).partition(b"=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _n_bytes(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 0xFFFFFFFF):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 0 to 4294967295")
    return int(text)


# --- kvproto map, kvproto reduce -----------------------------------------------------------------


def _run_worker(args: argparse.Namespace) -> int:
    from kvproto.external import ExternalProgram

    limits = {name: getattr(args, name) for name in LIMITS if name in args}
    path, *arguments = args.worker
    with ExternalProgram(
        [path, *args.files],
        params=_params(args),
        args=arguments,
        on_message=_show_message,
        max_item=args.max_item,
        **limits,
    ) as worker:
        source, check_source = _frames_of_stdin(args.in_form, args.max_item)
        if args.out_form == "kv":
            worker.pipe_frames(args.mode, source, lambda piece: _write_all(1, piece))
        else:
            frames = worker.map_frames(source) if args.mode == "map" else worker.reduce_frames(source)
            for piece in _written_as(args.out_form, frames, args.max_item):
                _write_all(1, piece)
        check_source()
    return 0


def _params(args: argparse.Namespace) -> dict | bytes | None:
    if args.no_params:
        return None
    if args.raw_params is not None:
        with open(args.raw_params, "rb") as f:
            return f.read()
    return dict(args.params)


def _frames_of_stdin(form: str, max_item: int) -> tuple[int, Callable[[], None]]:
    """A descriptor that gives the pairs of stdin, and what to call at the end: it raises what was wrong with them.

    kv is stdin itself; another form is read ahead of the driver, which must not stand still while stdin does.
    """
    if form == "kv":
        return 0, lambda: None
    from kvproto._pump import Pump

    if form == "lines":
        from kvproto.forms import frames_from_lines as read
    elif form == "text":
        from kvproto.forms import frames_from_text as read
    else:
        from kvproto.jsonl import frames_from_jsonl as read
    pump = Pump(read(iter(lambda: os.read(0, PIECE_BYTES), b""), max_item=max_item))
    return pump.fileno, pump.check


def _written_as(form: str, frames: Iterable[bytes], max_item: int) -> Iterable[bytes]:
    if form == "kv":
        return frames
    if form == "text":
        from kvproto.forms import text_from_frames as write
    else:
        from kvproto.jsonl import jsonl_from_frames as write
    return write(frames, max_item=max_item)


def _show_message(message) -> None:
    """Put a line of the worker's stderr on ours, without its tag."""
    cut = b" [%d more bytes cut]" % message.n_cut if message.n_cut else b""
    _write_all(2, b"%b%b\n" % (message.text, cut))


def _write_all(fd: int, data) -> None:
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(fd, left) :]
    except OSError as e:
        raise OSError(e.errno, e.strerror, "stdout" if fd == 1 else "stderr") from None


# --- kvproto run, kvproto demo -------------------------------------------------------------------


def _add_run(commands) -> None:
    parser = _add_command(commands, "run", "run a job class on this machine and print its results", _run_job)
    parser.add_argument("job", metavar="MODULE.CLASS", help="the job, from the working directory or sys.path")
    parser.add_argument("input", nargs="*", metavar="INPUT", help="files or URLs; default: the job's own")


def _run_job(args: argparse.Namespace) -> int:
    from kvproto.classic import command

    return command.run(args.job, args.input)


def _add_demo(commands) -> None:
    parser = _add_command(commands, "demo", "count the words of real text with a C program", _run_demo)
    parser.add_argument("input", nargs="*", metavar="INPUT", help="files, directories or URLs; default: Python's library")


def _run_demo(args: argparse.Namespace) -> int:
    from kvproto.examples import demo

    return demo.main(args.input)


# --- kvproto config ------------------------------------------------------------------------------


def _add_config(commands) -> None:
    parser = _add_command(
        commands,
        "config",
        "print the flags that build a C worker: cc worker.c $(kvproto config --cflags --libs) -o worker",
        _print_config,
        epilog="--libs names the static library by its path, so that the worker runs without kvproto; where the "
        "compiler ($CC or cc) has libJudy, it is offered to the linker in a way that only programs which call "
        "read_parameters() come to depend on it.",
    )
    parser.add_argument("--cflags", action="store_true", help="flags for the compiler")
    parser.add_argument("--libs", action="store_true", help="flags for the linker, behind the sources")
    parser.add_argument("--prefix", action="store_true", help="the directory that holds include/ and lib/")
    parser.add_argument("--version", action="store_true", help="the version of libdisco")


def _print_config(args: argparse.Namespace) -> int:
    from kvproto import config

    parts = {
        "version": lambda: kvproto.__version__,
        "prefix": config.prefix,
        "cflags": config.cflags,
        "libs": config.libs,
    }
    asked = [part for name, part in parts.items() if getattr(args, name)]
    if not asked:
        args.parser.error("say what to print: --cflags, --libs, --prefix, --version")
    print(*(part() for part in asked))
    return 0
