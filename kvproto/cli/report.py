"""`kvproto report`: a page about a job, or the table of its attempts."""

from __future__ import annotations

import argparse
import os

from kvproto.cli.shared import Commands, add_command, write_all

__all__ = ["add"]

EPILOG = """\
NAME is the name of a job, as `kvproto jobs` lists it, or a prefix that only one job has.
@ is the last job. The job may run, or have ended in any way.

exit status: 0 success, 1 an error, such as an unknown name, 2 wrong usage

examples:
  kvproto report --open @
  kvproto report -o report.html WordCount
  kvproto report --tsv @ | sort -t "$(printf '\\t')" -k 5,5nr | head
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "report",
        "write a page about a job, and print its path: the verdict, the failure, a timeline, sizes "
        "of partitions, attempts, counters and parameters",
        _report,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the job")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        help="write to FILE, or to stdout if it is -; default: report.html in the directory of the "
        "job, or stdout with --tsv",
    )
    parser.add_argument("--open", action="store_true", help="show the page in a browser")
    parser.add_argument(
        "--tsv",
        action="store_true",
        help="write the table of all attempts instead, as tab-separated values",
    )


def _report(args: argparse.Namespace) -> int:
    from kvproto.cli.output import Output
    from kvproto.engine.job_handle import JobHandle
    from kvproto.engine.registry import resolve_job
    from kvproto.report.as_html import as_html
    from kvproto.report.course import read_course
    from kvproto.report.table import as_tsv

    if args.open and (args.tsv or args.output == "-"):
        args.parser.error("--open shows a page that is in a file")
    course = read_course(JobHandle(resolve_job(args.name)))
    text = as_tsv(course.attempts) if args.tsv else as_html(course)
    by_default = "-" if args.tsv else os.path.join(course.directory, "report.html")
    path = args.output or by_default
    with Output(path) as out:
        out.write(text.encode())
    if path != "-" and not args.tsv:
        write_all(1, os.fsencode(f"{path}\n"))
    if args.open:
        import webbrowser
        from pathlib import Path

        webbrowser.open(Path(path).resolve().as_uri())
    return 0
