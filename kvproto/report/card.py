"""A card about a job for a notebook: a piece of HTML, in any colours that the notebook has."""

from __future__ import annotations

import time
from typing import Any

from kvproto._page import safe
from kvproto._text import counted, shortened
from kvproto.engine.commands import report_command
from kvproto.report.as_html import VERDICTS
from kvproto.report.course import Course, Stage
from kvproto.report.timeline import clock

__all__ = ["as_card", "as_plain_card"]

MAX_COUNTERS, MAX_ERROR = 8, 300
"""The most counters, and characters of an error, that a card shows."""

_COLOURS = {"good": "#2e9e5b", "bad": "#e05252", "other": "#c79a1e", "none": "#888888"}
"""Of verdicts and bars, on light and on dark ground."""


def as_card(course: Course) -> str:
    """Return the card about a job."""
    words, kind = VERDICTS[course.outcome]
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(course.started))
    facts = [f"started {started}"] if course.started else []
    facts.append(clock(course.seconds))
    if course.n_bad_records or course.n_bad_inputs:
        facts.append(f"{counted(course.n_bad_records, 'bad record')}")
        facts.append(f"{counted(course.n_bad_inputs, 'input')} left out")
    parts = [f'<div style="opacity:.75">{safe(", ".join(facts))}</div>']
    parts += [_progress(stage, kind) for stage in course.stages.values()]
    if course.failure is not None and course.outcome == "failed":
        parts.append(f'<div style="margin-top:.4em">{safe(_error(course.failure))}</div>')
    parts += _counters(course)
    parts.append(
        f'<div style="margin-top:.5em;opacity:.75">a page about it: '
        f"<code>{safe(report_command(course.job))}</code></div>"
    )
    return _card(course.job, words, kind, "".join(parts))


def as_plain_card(job: str, words: str, text: str = "") -> str:
    """Return a card about a job of which no more is known."""
    return _card(job, words, "none", f'<div style="opacity:.75">{safe(text)}</div>' if text else "")


def _error(failure: dict[str, Any]) -> str:
    details = failure.get("details", {})
    if "what" in details:
        words = [details.get(name, "") for name in ("task", "program", "what")]
        return shortened("{}: {} {}".format(*words), MAX_ERROR)
    return shortened(" ".join(failure["text"].strip().splitlines()[:2]), MAX_ERROR)


def _card(job: str, words: str, kind: str, body: str) -> str:
    colour = _COLOURS[kind]
    return (
        '<div style="display:inline-block;box-sizing:border-box;width:100%;max-width:44em;'
        "padding:.6em 1em;border:1px solid rgba(128,128,128,.4);border-radius:6px;"
        f'border-left:5px solid {colour};overflow-wrap:anywhere">'
        f"<div><b>{safe(job)}</b> "
        f'<span style="color:{colour};font-weight:600">{safe(words)}</span></div>{body}</div>'
    )


def _progress(stage: Stage, kind: str) -> str:
    share = min(1.0, stage.n_done / stage.n_tasks) if stage.n_tasks else 1.0
    colour = _COLOURS["good" if share == 1 else kind]
    return (
        '<div style="display:flex;align-items:center;gap:.7em;margin-top:.35em">'
        f'<span style="min-width:4em">{safe(stage.name)}</span>'
        '<span style="flex:1;height:.5em;border-radius:.25em;background:rgba(128,128,128,.25)">'
        f'<span style="display:block;width:{100 * share:.1f}%;height:100%;border-radius:.25em;'
        f'background:{colour}"></span></span>'
        f"<span>{stage.n_done:,} of {counted(stage.n_tasks, 'task')}</span></div>"
    )


def _counters(course: Course) -> list[str]:
    if not course.counters:
        return []
    shown = sorted(course.counters.items())[:MAX_COUNTERS]
    n_more = len(course.counters) - len(shown)
    texts = [f"{safe(name)}: <b>{n:,}</b>" for name, n in shown]
    texts += [f"and {counted(n_more, 'more counter')}"] if n_more else []
    return [f'<div style="margin-top:.4em">{", ".join(texts)}</div>']
