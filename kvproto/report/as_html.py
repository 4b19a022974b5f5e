"""The report as one HTML page: it needs no network, and no script to be read.

The verdict comes first, then the failure, then where the time and the bytes went. A script, the
only one that the page allows to run, sorts the table of attempts.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

from kvproto._page import page, safe
from kvproto._text import amount, shortened
from kvproto.report.course import Course
from kvproto.report.failures import as_bad_records, as_command, as_failure, as_retries
from kvproto.report.sizes import as_sizes
from kvproto.report.stages import as_stages
from kvproto.report.style import SCRIPT, STYLE
from kvproto.report.table import as_table
from kvproto.report.timeline import as_timeline, clock

__all__ = ["VERDICTS", "as_html"]

VERDICTS = {
    "done": ("is done", "good"),
    "running": ("is running", "other"),
    "failed": ("failed", "bad"),
    "stopped": ("was stopped", "other"),
    "lost": ("lost its driver", "bad"),
}
"""What the page says of each outcome, and its CSS class."""

_RESULTS = 3  # files that the page names


def as_html(course: Course) -> str:
    """Make the page."""
    parts = [
        _head(course),
        as_failure(course),
        as_stages(course),
        as_timeline(course),
        as_sizes(course),
        as_table(course),
        _counters(course),
        as_bad_records(course),
        as_retries(course),
        _notes(course),
        _about(course),
    ]
    digest = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
        f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'\">\n"
    )
    body = f"{''.join(parts)}<script>{SCRIPT}</script>\n"
    return page(f"{course.job} {VERDICTS[course.outcome][0]}", body, STYLE, policy)


# --- the verdict --------------------------------------------------------------------------------


def _head(course: Course) -> str:
    words, kind = VERDICTS[course.outcome]
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(course.started))
    ran = "runs" if course.outcome == "running" else "ran"
    when = (
        f"It was started on {started} and {ran} for {clock(course.seconds)}."
        if course.started
        else ""
    )
    tiles = "".join(f"<li><b>{number}</b> {words}</li>" for number, words in _figures(course))
    return (
        f'<header>\n<div class="verdict {kind}-side">\n'
        f"<h1><code>{safe(course.job)}</code> {words}</h1>\n"
        f"<p>{when * bool(course.started)} {safe(_why(course))}</p>\n"
        f"<ul class=counts>{tiles}</ul>\n</div>\n{_resume(course)}</header>\n"
    )


def _resume(course: Course) -> str:
    about, _, command = course.resume.partition(": ")
    if not command:
        return ""
    return f"<p class=soft>{safe(about[:1].upper() + about[1:])}:</p>\n{as_command(command)}"


def _why(course: Course) -> str:
    if course.outcome == "lost":
        return "The process that ran it ended before the job did."
    if course.outcome == "stopped":
        return "A kill or Ctrl-C ended it."
    if course.outcome == "running":
        return "This page shows how far it was when the page was made."
    return ""


def _figures(course: Course) -> list[tuple[str, str]]:
    """The figures below the verdict: a number, and what it is."""
    figures, stages = [], [*course.stages.values()]
    if stages:
        first = stages[0]
        figures += [_counted(first.records_in, "record", "read"), (amount(first.bytes_in), "read")]
    for stage in stages:
        of_all = f" of {stage.n_tasks:,}" if stage.n_done < stage.n_tasks else ""
        tasks = f"{safe(stage.name)} task{'s' * (stage.n_tasks != 1)}"
        figures.append((f"{stage.n_done:,}{of_all}", tasks))
    written = course.accepted(stages[-1].name).values() if stages else ()
    if course.outcome == "done" and written:
        figures.append(_counted(sum(one.records_out for one in written), "result record"))
    if cpu := sum(one.cpu for one in course.attempts):
        figures.append((clock(cpu), "CPU"))
    if memory := max((one.memory + one.program_memory for one in course.attempts), default=0):
        figures.append((amount(memory), "most memory of a task"))
    if course.n_bad_records:
        figures.append(_counted(course.n_bad_records, "bad record"))
    if course.n_bad_inputs:
        figures.append(_counted(course.n_bad_inputs, "input", "left out"))
    if course.n_retries:
        figures.append((f"{course.n_retries:,}", "tried again"))
    return figures


def _counted(n: int, unit: str, what: str = "") -> tuple[str, str]:
    return f"{n:,}", f"{unit}{'s' * (n != 1)} {what}".rstrip()


# --- the rest -----------------------------------------------------------------------------------


def _counters(course: Course) -> str:
    if not course.counters:
        return ""
    rows = "".join(
        f"<tr><th scope=row><code>{safe(name)}</code></th><td class=n>{n:,}</td></tr>\n"
        for name, n in sorted(course.counters.items())
    )
    return f"<h2>Counters</h2>\n<table class=counters><tbody>\n{rows}</tbody></table>\n"


def _notes(course: Course) -> str:
    if not course.notes:
        return ""
    items = "".join(f"<li>{safe(shortened(text, 2000))}</li>\n" for text in course.notes)
    return f"<h2>Notes</h2>\n<ul class=notes>\n{items}</ul>\n"


def _about(course: Course) -> str:
    first, results = course.first, course.results
    fields = {**first.get("parameters", {}), "directory": course.directory}
    if first:
        fields["inputs"] = f"{first['inputs']:,}, {amount(first['bytes'])}"
    if first.get("engine"):
        fields["engine"] = first["engine"]
    if results:
        more = f", and {len(results) - _RESULTS:,} more" if len(results) > _RESULTS else ""
        fields["results"] = ", ".join(results[:_RESULTS]) + more
    if course.n_messages:
        fields["messages"] = f"{course.n_messages:,}; the logs have all of them"
    fields |= {f"program of the {name}": text for name, text in first.get("programs", {}).items()}
    fields |= first.get("versions", {})
    unknown = (
        ""
        if first.get("versions")
        else "<p class=soft>The log does not have the parameters, versions and programs of the job."
        "</p>\n"
    )
    return f"<h2>What was run</h2>\n{unknown}{_list(fields)}"


def _list(fields: Mapping[str, str]) -> str:
    items = "".join(
        f"<dt>{safe(name)}</dt><dd>{safe(shortened(text, 1000))}</dd>\n"
        for name, text in fields.items()
    )
    return f"<dl>\n{items}</dl>\n"
