"""`kvproto run` and `kvproto demo`: whole jobs."""

from __future__ import annotations

import argparse

from kvproto._stdio import stdout
from kvproto.cli.shared import (
    FORMS,
    Commands,
    add_command,
    add_output,
    find_modules_in_current_directory,
    key_value,
)

__all__ = ["add", "join_parameters"]

PROGRESS = ("auto", "bar", "plain", "jsonl", "none")

RUN_DETAILS = """
In -P KEY=VALUE the key is the name of a parameter. If its default is a number or a flag, the value
is a number, True, False or None. A function is written module.function. Any other value is passed
on as a str, including that of params. `help(kvproto.classic.Job.run)` in Python lists the
parameters.

forms of the results:
  text    key, tab, value, newline; str() converts keys and values, which must not contain tabs
          or newlines
  jsonl   one pair on a line, [key, value]; bytes that are not UTF-8 as {"base64": "..."},
          NaN as {"float": "nan"}
  kv      the frames that a worker reads and writes; only for bytes and str

exit status: 0 the job is done and its results are written, 1 it failed, 2 wrong usage;
Ctrl-C stops the job

--resume goes on from the finished tasks of a job that failed, was stopped or lost its driver. Give
the beginning of its name, or @ for the last job, and no inputs or parameters: it has those with
which it was run. With --store, JOB may be the full name of a job of another machine.

examples:
  kvproto run grep.Grep -P params='err|warn' /var/log/syslog
  kvproto run kvproto.classic.Job -m ./words -r ./words --partitions 4 -o counts.tsv texts/
  kvproto run --resume @ -o counts.tsv
"""


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_run(commands)
    _add_demo(commands)


def _add_run(commands: Commands) -> None:
    parser = add_command(
        commands,
        "run",
        "run a job and print its results",
        _run_job,
        usage="kvproto run [option ...] MODULE.CLASS [option ...] [INPUT ...]\n"
        "       kvproto run [option ...] --resume JOB",
        epilog=RUN_DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parameters=[])
    parser.add_argument(
        "job",
        metavar="MODULE.CLASS",
        help="a job class or instance, from a module in the working directory or on sys.path",
    )
    parser.add_argument(
        "input",
        nargs="*",
        default=[],
        metavar="INPUT",
        help="files or URLs; default: the input of the job itself",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the finished tasks of the job JOB",
    )
    parser.add_argument(
        "-P",
        dest="parameters",
        type=key_value,
        action="append",
        metavar="KEY=VALUE",
        help="a parameter of the job; may be repeated",
    )
    program = "module.function, or the path of a program"
    for flags, metavar, help in (
        (("-m", "--map"), "FUNCTION", f"the map: {program}"),
        (("-r", "--reduce"), "FUNCTION", f"the reduce: {program}"),
        (("-n", "--name"), "NAME", "the beginning of the job's name; default: the class's name"),
        (("--partitions",), "N", "the number of reduce tasks, each with one result file"),
        (
            ("--max-bad-records",),
            "N|SHARE",
            "how many records the map may fail on, as 10 or 0.01%%; they are set aside, and "
            "`kvproto bad` shows them",
        ),
        (
            ("--bad-inputs",),
            "fail|skip",
            "whether inputs that cannot be read fail the job or are left out; default: fail",
        ),
    ):
        parser.add_argument(
            *flags,
            dest="parameters",
            metavar=metavar,
            action=_Parameter,
            const=flags[-1].removeprefix("--").replace("-", "_"),
            help=help,
        )
    for name, help in (
        ("save", "keep the results under a tag"),
        (
            "trust",
            "read pickled inputs even if they belong to another user or come from the network; "
            "such inputs can run any code",
        ),
        (
            "profile",
            "profile the tasks; `kvproto pstats` shows where they spend their time",
        ),
    ):
        parser.add_argument(
            f"--{name}", dest="parameters", action="append_const", const=(name, "True"), help=help
        )
    parser.add_argument(
        "-j",
        "--processes",
        type=_number_of_processes,
        metavar="N",
        help="how many tasks run at a time; default: one for each core. 0: they run in this "
        "process, one after the other, so that breakpoints and print work in job functions",
    )
    parser.add_argument(
        "--engine",
        default="local",
        metavar="ENGINE",
        help="what runs the tasks: local (this machine), dask://HOST:PORT, ray (a Ray cluster on "
        "this machine) or ray://HOST:PORT; default: local",
    )
    parser.add_argument(
        "--store",
        metavar="DIR|URL",
        help="where the tasks keep their files and the job its results: a directory that all "
        "machines of the job see, or a URL of an object store, as s3://bucket/path; default: the "
        "directory of the job",
    )
    add_output(parser, "the results")
    parser.add_argument(
        "--out",
        dest="form",
        choices=FORMS,
        default="text",
        help="the form of the results; default: text",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--progress",
        choices=PROGRESS,
        default="auto",
        help="how to show progress on stderr; default: auto, which is bar on a terminal and plain "
        "otherwise",
    )
    shown.add_argument(
        "-q",
        "--quiet",
        dest="progress",
        action="store_const",
        const="none",
        help="show errors only, no progress and no messages",
    )


class _Parameter(argparse.Action):
    """An option for one parameter; appends (`const`, value) to the values of -P."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), (self.const, values)])


def join_parameters(argv: list[str]) -> list[str]:
    """Write each `-P KEY VALUE`, the old spelling, as `-PKEY=VALUE`."""
    if argv[:1] != ["run"]:
        return argv
    joined, rest = [], list(argv)
    while rest:
        is_two_words = rest[0] == "-P" and len(rest) >= 3 and "=" not in rest[1]
        joined.append(f"-P{rest[1]}={rest[2]}" if is_two_words else rest[0])
        del rest[: 3 if is_two_words else 1]
    return joined


def _number_of_processes(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes: give 0 or more")
    return int(text)


def _run_job(args: argparse.Namespace) -> int:
    from bdb import BdbQuit

    try:
        return _run_or_resume(args)
    except BdbQuit:  # a line says already that the job was stopped
        return 1


def _run_or_resume(args: argparse.Namespace) -> int:
    from kvproto.engine import prepared

    if args.engine == "local" and not args.resume:  # whose directory may be another
        find_modules_in_current_directory()
        if args.processes != 0:
            prepared.begin()  # it starts during the imports here

    from kvproto.cli.run_job import resume, run

    # live lines would overwrite the prompt of a debugger
    is_plain = args.processes == 0 and args.progress == "auto"
    progress = "plain" if is_plain else args.progress
    if args.resume:
        if args.input or args.parameters:
            args.parser.error(
                "--resume takes a job and no INPUT or parameter: it has those of its start"
            )
        return resume(
            args.job,
            processes=args.processes,
            engine=args.engine,
            store=args.store,
            progress=progress,
            output=args.output,
            form=args.form,
        )
    return run(
        args.job,
        args.input,
        args.parameters,
        processes=args.processes,
        engine=args.engine,
        store=args.store,
        progress=progress,
        output=args.output,
        form=args.form,
    )


def _add_demo(commands: Commands) -> None:
    parser = add_command(
        commands, "demo", "count the words of real text with a C program", _run_demo
    )
    parser.add_argument(
        "input", nargs="*", metavar="INPUT", help="files or URLs; default: Python's own library"
    )


def _run_demo(args: argparse.Namespace) -> int:
    from contextlib import redirect_stdout

    from kvproto.examples import demo

    with stdout() as out, redirect_stdout(out):
        return demo.main(args.input)
