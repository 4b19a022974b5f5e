"""The report as one HTML page: it needs no network, and no script to be read.

The verdict comes first, then the failure, then where the time and the bytes went. A script, the
only one that the page allows to run, sorts the table of attempts.
"""

from __future__ import annotations

import os
import time
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

from kvproto._page import page, safe
from kvproto._text import amount, counted, shortened
from kvproto.report.course import Course, Stage
from kvproto.report.sizes import as_sizes
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

MAX_TEXT = 20_000
"""The most characters of an error in the page."""


def as_html(course: Course) -> str:
    """Make the page."""
    parts = [
        _head(course),
        _failure(course),
        _stages(course),
        as_timeline(course),
        as_sizes(course),
        as_table(course),
        _counters(course),
        _retries(course),
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
    return f"<p class=soft>{safe(about[:1].upper() + about[1:])}:</p>\n{_command(command)}"


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
    figures = []
    first = next(iter(course.stages.values()), None)
    if first is not None:
        figures += [(f"{first.records_in:,}", "records read"), (amount(first.bytes_in), "read")]
    for stage in course.stages.values():
        done = f"{stage.n_done:,}" + (
            f" of {stage.n_tasks:,}" if stage.n_done < stage.n_tasks else ""
        )
        figures.append((done, f"{safe(stage.name)} task{'s' * (stage.n_tasks != 1)}"))
    last = [*course.stages][-1:]
    written = [one for stage in last for one in course.accepted(stage).values()]
    if course.outcome == "done" and written:
        figures.append((f"{sum(one.records_out for one in written):,}", "result records"))
    cpu = sum(one.cpu for one in course.attempts)
    if cpu:
        figures.append((clock(cpu), "CPU"))
    if memory := max((one.memory + one.program_memory for one in course.attempts), default=0):
        figures.append((amount(memory), "most memory of a task"))
    if course.n_retries:
        figures.append((f"{course.n_retries:,}", "tried again"))
    return figures


def _counted(n: int, unit: str, what: str = "") -> tuple[str, str]:
    return f"{n:,}", f"{unit}{'s' * (n != 1)} {what}".rstrip()


# --- the failure --------------------------------------------------------------------------------


def _failure(course: Course) -> str:
    failure = course.failure
    if failure is None or course.outcome not in ("failed", "stopped"):
        return ""
    details: Mapping[str, str] = failure.get("details", {})
    task, what = details.get("task", ""), details.get("what", "")
    title = f"Task {task}" if task else "The failure"
    parts = (
        [f"<p class=what><code>{safe(details['program'])}</code> {safe(what)}</p>"] if what else []
    )
    if record := details.get("record"):
        number = (
            f"number {details['number']} of the run, counted from 0" if "number" in details else ""
        )
        parts.append(f"<h4>The record at which it fails: {safe(number)}</h4>\n{_pre(record)}")
    if replay := details.get("replay"):
        parts.append(f"<p>Played again: {safe(replay)}.</p>")
    if hexdump := details.get("hexdump"):
        parts.append(f"<h4>Its output there</h4>\n{_pre(hexdump)}")
    if stderr := details.get("stderr"):
        parts.append(f"<h4>The last lines of its stderr</h4>\n{_pre(stderr)}")
    if advice := details.get("advice"):
        parts.append(f"<h4>What to do</h4>\n<p>{safe(advice)}</p>")
    if course.replay:
        parts.append(f"<h4>To run this task alone</h4>\n{_command(course.replay)}")
    if what:
        parts.append(
            "<details class=others><summary>The whole error</summary>"
            f"{_pre(failure['text'])}</details>"
        )
    else:
        parts.append(_pre(failure["text"]))
    logs = safe(os.path.join(course.directory, "logs"))
    return (
        f"<section class=failure>\n<h2>{safe(title)}</h2>\n{''.join(parts)}\n"
        f"<p class=soft>The logs are in <code>{logs}</code>.</p>\n</section>\n"
    )


def _command(text: str) -> str:
    return f"<pre class=command>{safe(text)}</pre>\n"


def _pre(text: str) -> str:
    return f"<pre>{safe(shortened(text, MAX_TEXT))}</pre>\n"


# --- the stages ---------------------------------------------------------------------------------


def _stages(course: Course) -> str:
    if not course.stages:
        return "<p>No stage has begun.</p>\n"
    has_programs = any(one.computing for one in course.attempts)
    rows = "".join(_stage(course, stage, has_programs) for stage in course.stages.values())
    programs = "<th scope=col>its programs</th>" if has_programs else ""
    unknown = (
        ""
        if course.has_attempts
        else "<p class=soft>The log is of a version that did not record the ends of attempts: CPU, "
        "memory, output, and where tasks ran are not known.</p>\n"
    )
    return (
        "<h2>Stages</h2>\n"
        f"{unknown}<div class=scroll><table class=stages>\n<thead><tr><th scope=col>stage</th>"
        "<th scope=col class=n>tasks</th><th scope=col class=n>took</th><th scope=col class=n>read"
        "</th><th scope=col class=n>wrote</th><th scope=col class=n>CPU</th><th scope=col class=n>"
        f"memory</th>{programs}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def _stage(course: Course, stage: Stage, has_programs: bool) -> str:
    attempts = [one for one in course.attempts if one.stage == stage.name]
    done = course.accepted(stage.name).values()
    ended = course.seconds if stage.ended is None else stage.ended
    n_bytes, n_records = sum(one.bytes_out for one in done), sum(one.records_out for one in done)
    wrote = f"{amount(n_bytes)}<br><span class=soft>{n_records:,} records</span>" if done else "?"
    cpu = clock(sum(one.cpu for one in attempts)) if attempts else "?"
    memory = max((one.memory for one in attempts), default=0)
    load = [
        sum(one.computing for one in attempts),
        sum(one.waiting_for_input for one in attempts),
        sum(one.waiting_for_output for one in attempts),
    ]
    programs = f"<td>{_shares(load)}</td>" if has_programs else ""
    return (
        f"<tr><th scope=row>{safe(stage.name)}</th>"
        f"<td class=n>{stage.n_done:,} of {stage.n_tasks:,}</td>"
        f"<td class=n>{clock(max(0.0, ended - stage.began))}</td>"
        f"<td class=n>{amount(stage.bytes_in)}<br><span class=soft>{stage.records_in:,} records"
        f"</span></td><td class=n>{wrote}</td><td class=n>{cpu}</td>"
        f"<td class=n>{amount(memory) if memory else '?'}</td>{programs}</tr>\n"
    )


_ACTIVITIES = ("computing", "waiting for input", "waiting until output is taken")


def _shares(seconds: list[float]) -> str:
    """A bar with the shares of what programs did, and the same in words."""
    in_all = sum(seconds)
    if not in_all:
        return "<span class=soft>none</span>"
    shares = [100 * one / in_all for one in seconds]
    x, rects = 0.0, []
    for number, share in enumerate(shares):
        rects.append(f'<rect class=a{number} x="{x:.1f}%" width="{share:.1f}%" height=8 />')
        x += share
    words = ", ".join(
        f"{share:.0f} % {activity}"
        for share, activity in zip(shares, _ACTIVITIES, strict=True)
        if share >= 0.5
    )
    return f'<svg class=shares width="100%" height=8>{"".join(rects)}</svg><br>{words}'


# --- the rest -----------------------------------------------------------------------------------


def _counters(course: Course) -> str:
    if not course.counters:
        return ""
    rows = "".join(
        f"<tr><th scope=row><code>{safe(name)}</code></th><td class=n>{n:,}</td></tr>\n"
        for name, n in sorted(course.counters.items())
    )
    return f"<h2>Counters</h2>\n<table class=counters><tbody>\n{rows}</tbody></table>\n"


def _retries(course: Course) -> str:
    if not course.retries:
        return ""
    shown = len(course.retries)
    some = f"The last {shown} of " if shown < course.n_retries else ""
    items = "".join(
        f"<details><summary>{safe(event['stage'])}:{event['task']}, failure {event['attempt']}"
        f"</summary><div class=body>{_pre(event['text'])}</div></details>\n"
        for event in course.retries
    )
    return (
        f"<h2>Failures that were tried again</h2>\n<p class=soft>{some}"
        f"{counted(course.n_retries, 'failure')}.</p>\n{items}"
    )


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
