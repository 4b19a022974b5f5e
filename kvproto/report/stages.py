"""The table of the stages: how long each took, what it read and wrote, what its programs did."""

from __future__ import annotations

from kvproto._page import safe
from kvproto._text import amount, counted
from kvproto.report.course import Course, Stage
from kvproto.report.timeline import clock

__all__ = ["as_stages"]

_HEADINGS = ("tasks", "took", "read", "wrote", "CPU", "memory")
_ACTIVITIES = ("computing", "waiting for input", "waiting until output is taken")


def as_stages(course: Course) -> str:
    """Return the part of the page about the stages."""
    if not course.stages:
        return "<p>No stage has begun.</p>\n"
    has_programs = any(one.computing for one in course.attempts)
    rows = "".join(_row(course, stage, has_programs) for stage in course.stages.values())
    heads = "".join(f"<th scope=col class=n>{heading}</th>" for heading in _HEADINGS)
    programs = "<th scope=col>its programs</th>" if has_programs else ""
    unknown = (
        ""
        if course.has_attempts
        else "<p class=soft>The log is of a version that did not record the ends of attempts: CPU, "
        "memory, output, and where tasks ran are not known.</p>\n"
    )
    return (
        f"<h2>Stages</h2>\n{unknown}<table class=stages>\n<thead><tr><th scope=col>stage</th>"
        f"{heads}{programs}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )


def _row(course: Course, stage: Stage, has_programs: bool) -> str:
    attempts = [one for one in course.attempts if one.stage == stage.name]
    done = course.accepted(stage.name).values()
    ended = course.seconds if stage.ended is None else stage.ended
    memory = max((one.memory for one in attempts), default=0)
    cells = (
        f"{stage.n_done:,} of {stage.n_tasks:,}",
        clock(max(0.0, ended - stage.began)),
        _both(stage.bytes_in, stage.records_in),
        _both(sum(one.bytes_out for one in done), sum(one.records_out for one in done))
        if done
        else "?",
        clock(sum(one.cpu for one in attempts)) if attempts else "?",
        amount(memory) if memory else "?",
    )
    parts = "".join(
        f'<td class=n data-of="{heading}">{cell}</td>'
        for heading, cell in zip(_HEADINGS, cells, strict=True)
    )
    load = [
        sum(one.computing for one in attempts),
        sum(one.waiting_for_input for one in attempts),
        sum(one.waiting_for_output for one in attempts),
    ]
    programs = f'<td class=load data-of="its programs">{_shares(load)}</td>' if has_programs else ""
    return f"<tr><th scope=row>{safe(stage.name)}</th>{parts}{programs}</tr>\n"


def _both(n_bytes: int, n_records: int) -> str:
    return f"{amount(n_bytes)} <span class=second>{counted(n_records, 'record')}</span>"


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
    return f'<svg class=shares width="100%" height=8>{"".join(rects)}</svg>{words}'
