"""What went wrong: the failure of the job, failures that were tried again, and bad records."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from kvproto._page import safe
from kvproto._text import counted, shortened
from kvproto.engine.bad_limit import described
from kvproto.engine.commands import bad_command
from kvproto.report.course import Course

__all__ = ["as_bad_records", "as_command", "as_failure", "as_retries"]

MAX_TEXT = 20_000
"""The most characters of an error in the page."""


def as_failure(course: Course) -> str:
    """Return the part of the page about the failure of the job."""
    failure = course.failure
    if failure is None or course.outcome not in ("failed", "stopped"):
        return ""
    details: Mapping[str, str] = failure.get("details", {})
    task = details.get("task", "")
    title = f"Task {task} failed" if task else "The error"
    logs = safe(os.path.join(course.directory, "logs"))
    return (
        f"<section class=failure>\n<h2>{safe(title)}</h2>\n"
        f"{''.join(_parts(details, failure['text'], course.replay))}"
        f"<p class=soft>The logs are in <code>{logs}</code>.</p>\n</section>\n"
    )


def _parts(details: Mapping[str, str], text: str, replay: str) -> Iterator[str]:
    is_of_program = bool(details.get("what"))
    if is_of_program:
        program = safe(details.get("program", ""))
        yield f"<p class=what><code>{program}</code> {safe(details['what'])}</p>\n"
    else:
        yield _pre(text)
    if "record" in details:
        yield f"<h4>The record at which it fails</h4>\n{_record(details)}"
    if again := details.get("replay"):
        yield f"<p>Played again: {safe(again)}.</p>\n"
    for name, heading in _TEXTS.items():
        if name in details:
            yield f"<h4>{heading}</h4>\n{_pre(details[name])}"
    if advice := details.get("advice"):
        yield f"<h4>What to do</h4>\n<p>{safe(advice)}</p>\n"
    if replay:
        yield f"<h4>To run this task alone</h4>\n{as_command(replay)}"
    if is_of_program:
        yield f"<details class=others><summary>The whole error</summary>{_pre(text)}</details>\n"


def _record(details: Mapping[str, str]) -> str:
    place, _, items = details["record"].partition("\n")
    if not place.startswith("input: "):
        place, items = "", details["record"]
    facts = [place.removeprefix("input: ")] if place else []
    if "number" in details:
        facts.append(f"record {details['number']} of the task, counted from 0")
    return f"<p>{safe(', '.join(facts))}</p>\n{_pre(items)}"


_TEXTS = {"hexdump": "Its output there", "stderr": "The last lines of its stderr"}


def as_retries(course: Course) -> str:
    """Return the part of the page about failures that were tried again."""
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


def as_bad_records(course: Course) -> str:
    """Return the part of the page about what the job has set aside."""
    if course.set_aside_error:
        return f"<h2>Bad records</h2>\n<p>{safe(course.set_aside_error)}</p>\n"
    if not course.set_aside:
        return ""
    shown, n_all = len(course.set_aside), course.n_bad_records + course.n_bad_inputs
    which = f"The first {shown} are below. " if shown < n_all else ""
    items = "".join(
        f"<details><summary>{safe(shortened(str(one), 300))}</summary><div class=body>"
        f"{_pre(chr(10).join(described(one)))}</div></details>\n"
        for one in course.set_aside
    )
    return (
        f"<h2>Bad records</h2>\n<p>{counted(course.n_bad_records, 'record')} and "
        f"{counted(course.n_bad_inputs, 'input')} were set aside. <span class=soft>{which}"
        f"<code>{safe(bad_command(course.job))}</code> prints all.</span></p>\n{items}"
    )


def as_command(text: str) -> str:
    """Return a command for a shell, on a line of its own."""
    return f"<pre class=command>{safe(text)}</pre>\n"


def _pre(text: str) -> str:
    return f"<pre>{safe(shortened(text, MAX_TEXT))}</pre>\n"
