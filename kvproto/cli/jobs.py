"""`kvproto jobs`, and the other commands that take the name of a job, running or not."""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kvproto._text import amount, printable
from kvproto.cli.shared import (
    FORMS,
    Commands,
    Run,
    add_command,
    add_output,
    days,
    print_error,
    seconds,
    write_all,
)

if TYPE_CHECKING:
    from kvproto.classic.core import Disco

__all__ = ["add"]

TIMED_OUT = 124
"""The exit status of `kvproto wait` after its timeout, as for timeout(1)."""

NAME = (
    "NAME is the name of a job, as `kvproto jobs` lists it, or a prefix that only one job has.\n"
    "@ is the last job."
)
STATUS = "exit status: 0 success, 1 an error, such as an unknown name, 2 wrong usage"
STATUS_OF_WAIT = (
    "exit status: 0 the job is done, 1 it failed or was killed, 2 wrong usage, "
    f"{TIMED_OUT} the timeout expired"
)


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    summary = (
        "list all jobs: "
        "name, status (active, ready or dead), start time, seconds, number of result files, "
        "size of all its files, which does not include objects in an object store"
    )
    parser = _add(
        commands,
        "jobs",
        summary,
        _list,
        "kvproto jobs | grep dead",
        about_names="The newest job comes last.",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object on a line for each job: name, status, started (seconds since "
        "the epoch), seconds (or null), results (paths), bytes (of all its files but the objects "
        "of a store), result_bytes, "
        "spool_bytes (output of its maps that is still there), resumable_bytes (what a dead job "
        "keeps to be resumed), directory, store (where its tasks read and write: a directory or a "
        "URL, or null)",
    )

    summary = "print the URLs of a job's result files, or the results themselves"
    parser = _add_named(commands, "results", summary, _results, "--out text @ | sort")
    parser.add_argument(
        "--out",
        dest="form",
        choices=FORMS,
        help="print the pairs in this form, as `kvproto run` does",
    )
    add_output(parser, "the pairs")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="read pickled objects even if they belong to another user or come from the network",
    )

    summary = "print the events of a job, one JSON object on a line"
    parser = _add_named(commands, "events", summary, _events, "-f @")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="continue until the job has ended"
    )

    summary = (
        "wait for the end of a job, show progress on stderr, and print the URLs of its results"
    )
    parser = _add_named(
        commands, "wait", summary, _wait, "--timeout 3600 WordCount", status=STATUS_OF_WAIT
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        help="how long to wait at most; the job continues",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="show errors only, no progress and no messages"
    )

    summary = "list the keys of a job's out-of-band values, or print one value"
    parser = _add_named(commands, "oob", summary, _oob, "@ model > model")
    parser.add_argument(
        "key",
        metavar="KEY",
        nargs="?",
        help="the key of the value to write to stdout, byte for byte",
    )

    summary = "print what the tasks of an ended job have counted: a name, a tab and a sum on a line"
    _add_named(commands, "counters", summary, _counters, "@")

    _add_named(
        commands, "kill", "stop running jobs; their events and logs stay", _kill, "@", several="+"
    )

    summary = "remove all files of ended jobs; results that are saved under a tag stay"
    parser = _add_named(commands, "purge", summary, _purge, "--older-than 30", several="*")
    parser.add_argument(
        "--older-than",
        metavar="DAYS",
        type=days,
        help="purge all ended jobs that were started more than DAYS days ago",
    )

    summary = "show where a job that ran with --profile spent its time"
    parser = _add_named(commands, "pstats", summary, _pstats, "--sort time -n 10 @")
    orders = ("cumulative", "time", "calls", "name")
    parser.add_argument("--sort", choices=orders, default="cumulative", help="default: cumulative")
    parser.add_argument(
        "-n",
        dest="n_lines",
        metavar="LINES",
        type=int,
        default=30,
        help="how many functions to show; default: 30",
    )


def _add(
    commands: Commands,
    name: str,
    summary: str,
    run: Run,
    example: str,
    about_names: str = NAME,
    status: str = STATUS,
) -> argparse.ArgumentParser:
    return add_command(
        commands,
        name,
        summary,
        run,
        epilog=f"{about_names}\n\n{status}\n\nexample:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_named(
    commands: Commands,
    name: str,
    summary: str,
    run: Run,
    example: str,
    several: str | None = None,
    **details: str,
) -> argparse.ArgumentParser:
    """Add a command that takes the name of a job, or several: "+" or "*"."""
    parser = _add(commands, name, summary, run, f"kvproto {name} {example}", **details)
    if several:
        parser.add_argument("names", metavar="NAME", nargs=several, help="the jobs")
    else:
        parser.add_argument("name", metavar="NAME", help="the job")
    return parser


def _job(name: str) -> tuple[Disco, str]:
    """Return a Disco, and the full name of the job."""
    from kvproto.classic.core import Disco
    from kvproto.engine.registry import resolve_job

    return Disco(), resolve_job(name)


def _print(line: str) -> None:
    write_all(1, os.fsencode(line + "\n"))


def _list(args: argparse.Namespace) -> int:
    from kvproto.classic.core import Disco
    from kvproto.engine.job_handle import JobHandle
    from kvproto.engine.sweep import sweep
    from kvproto.errors import JobError

    sweep()
    listed = []
    for name, status, started in Disco().joblist():
        job = JobHandle(name)
        if damage := job.damage():
            print_error(JobError(f"job {name}: {damage}"))
        sizes = job.sizes()
        listed.append(
            {
                "name": name,
                "status": status,
                "started": started,
                "seconds": job.seconds(),
                "results": job.results(),
                "bytes": sum(sizes.values()),
                "result_bytes": sizes.get("results", 0),
                "spool_bytes": sizes.get("spool", 0) + sizes.get("unfinished", 0),
                "resumable_bytes": job.paths.resumable_bytes() if status == "dead" else 0,
                "directory": job.paths.path,
                "store": job.paths.shared if job.paths.has_store else None,
            }
        )
    if args.json:
        _print_json(listed)
    else:
        _print_table(listed)
    return 0


def _print_json(objects: Iterable[object]) -> None:
    import json

    for one in objects:
        _print(json.dumps(one))


def _print_table(jobs: list[dict[str, Any]]) -> None:
    rows = [("NAME", "STATUS", "STARTED", "SECONDS", "RESULTS", "SIZE", "")]
    rows += [
        (
            printable(job["name"]),
            job["status"],
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job["started"])),
            "-" if job["seconds"] is None else f"{job['seconds']:.1f}",
            str(len(job["results"])) if job["status"] == "ready" else "-",
            amount(job["bytes"]),
            _about_files(job),
        )
        for job in jobs
    ]
    n_name = max(len(row[0]) for row in rows)
    for row in rows:
        line = f"{row[0]:{n_name}}  {row[1]:6}  {row[2]:19}  {row[3]:>9}  {row[4]:>7}  {row[5]:>9}"
        _print(f"{line}  {row[6]}".rstrip())


def _about_files(job: dict[str, Any]) -> str:
    """What the size of a job does not say."""
    from kvproto.storage.store import is_object

    kept, store = job["resumable_bytes"], job["store"]
    parts = [f"keeps {amount(kept)} to resume"] if kept else []
    if store is not None:
        parts.append(f"{'and objects' if is_object(store) else 'files'} in {printable(store)}")
    return ", ".join(parts)


def _results(args: argparse.Namespace) -> int:
    disco, name = _job(args.name)
    urls = disco.wait(name, timeout=0, show=False)
    if args.form is None:
        if args.output != "-":
            args.parser.error("-o needs --out, the form of the pairs to write")
        _print_urls(urls)
        return 0
    from kvproto.classic.core import result_iterator
    from kvproto.cli.output import Output

    with Output(args.output) as out:
        out.write_pairs(result_iterator(urls, trust=args.trust), args.form)
    return 0


def _print_urls(urls: list[str]) -> None:
    for url in urls:
        _print(url)


def _events(args: argparse.Namespace) -> int:
    disco, name = _job(args.name)
    _print_json(event for _, event in disco.events(name, follow=args.follow))
    return 0


def _wait(args: argparse.Namespace) -> int:
    from kvproto.classic.core import WaitTimeout

    disco, name = _job(args.name)
    try:
        _print_urls(disco.wait(name, timeout=args.timeout, show=not args.quiet))
    except WaitTimeout as e:
        print_error(e)
        return TIMED_OUT
    return 0


def _oob(args: argparse.Namespace) -> int:
    disco, name = _job(args.name)
    if args.key is None:
        for key in disco.oob_list(name):
            _print(key)
    else:
        try:
            value = disco.oob_get(name, args.key)
        except ValueError as e:
            args.parser.error(str(e))
        write_all(1, value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value)
    return 0


def _counters(args: argparse.Namespace) -> int:
    disco, name = _job(args.name)
    for counter, n in sorted(disco.counters(name).items()):
        _print(f"{counter}\t{n}")
    return 0


def _kill(args: argparse.Namespace) -> int:
    for disco, name in [_job(name) for name in args.names]:  # checks all names first
        disco.kill(name)
    return 0


def _purge(args: argparse.Namespace) -> int:
    from kvproto.errors import JobError

    if bool(args.names) == (args.older_than is not None):
        args.parser.error("name the jobs, or give --older-than DAYS")
    jobs = [_job(name) for name in args.names] or _ended_jobs(args.older_than)
    for disco, name in jobs:  # checks all jobs before it removes any
        if disco.results(name, 0)[0] == "active":
            raise JobError(
                f"job {name} is active: stop it with `kvproto kill {name}`, or wait for its end"
            )
    for disco, name in jobs:
        disco.purge(name)
    return 0


def _ended_jobs(n_days: float) -> list[tuple[Disco, str]]:
    from kvproto.classic.core import Disco

    disco, latest = Disco(), time.time() - n_days * 86400
    return [
        (disco, name)
        for name, status, started in disco.joblist()
        if status != "active" and started <= latest
    ]


def _pstats(args: argparse.Namespace) -> int:
    disco, name = _job(args.name)
    text = io.StringIO()
    stats = disco.profile_stats(name, stream=text).sort_stats(args.sort)
    vars(stats)["files"] = []  # otherwise print_stats lists the file of each task
    stats.print_stats(args.n_lines)
    _print(text.getvalue())
    return 0
