"""The report files of `kvproto check`: --junit, --json, --tap, --html."""

from __future__ import annotations

import argparse
import errno
import os
import stat
from typing import TYPE_CHECKING

from kvproto.storage.atomic import OutputFile

if TYPE_CHECKING:
    from kvproto.conformance.runner import Result

__all__ = ["REPORTS", "check_reports", "write_reports"]

REPORTS = {
    "junit": "as JUnit XML, for CI",
    "json": "as JSON, for programs",
    "tap": "as TAP 14",
    "html": "as an HTML page, with the bytes of each fault",
}


def check_reports(args: argparse.Namespace) -> None:
    """Raise OSError for a report that cannot be written, ValueError for two in one file."""
    paths = [path for name in REPORTS if (path := getattr(args, name)) is not None]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(f"{path}: two reports cannot go into one file")
        _check_writable(path)


def write_reports(
    args: argparse.Namespace,
    argv: list[str],
    results: list[Result],
    directories: dict[str, str],
    contract: str = "",
) -> None:
    """Write the report files.

    Parameters
    ----------
    argv : list of str
        The worker, or the adapter of a driver.
    directories : dict of str to str
        ID.mode -> directory with the evidence of a failure.
    contract : str
        The contract that the worker follows.
    """
    from kvproto.conformance.report.as_html import as_html
    from kvproto.conformance.report.machine import as_json, junit, tap

    def page(subject: str, results: list[Result], directories: dict[str, str]) -> str:
        return as_html(subject, results, directories, _about(args, argv, results, contract))

    subject = argv[0] if contract else " ".join(argv)
    for name, form in {"junit": junit, "json": as_json, "tap": tap, "html": page}.items():
        if (path := getattr(args, name)) is not None:
            _write(path, form(subject, results, directories))


def _check_writable(path: str) -> None:
    """Raise the OSError that `_write` would raise, with the path in it, and change nothing."""
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        if not os.access(path, os.W_OK):  # opening a pipe would wait for its reader
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return
    with OutputFile(path):
        pass


def _write(path: str, text: str) -> None:
    with OutputFile(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
        file.publish()


def _about(
    args: argparse.Namespace, argv: list[str], results: list[Result], contract: str
) -> dict[str, str]:
    """What was run, in words."""
    import shlex

    import kvproto
    from kvproto.conformance.player import VARIABLES

    modes = " and ".join(dict.fromkeys(result.mode for result in results))
    how = {
        "level": args.level.upper() + " and above" * (args.level != "must"),
        "cases": args.pattern,
    }
    if contract:
        how |= {
            "contract": contract,
            "random schedules": f"{args.examples} for each case that uses them, seed {args.seed}",
            "environment": ", ".join((*VARIABLES, *args.env)),
        }
    if args.replay is not None:
        how = {"played again": args.replay, "contract": contract}
    return {"program": shlex.join(argv), "modes": modes, **how, "kvproto": kvproto.__version__}
