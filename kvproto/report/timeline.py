"""The timeline of a job: a row for each task process, with its attempts, as one SVG image.

Positions along the line are shares of the width, so that text keeps its size on any screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kvproto._page import safe
from kvproto._text import counted
from kvproto.report.course import Attempt, Course, Stage

__all__ = ["as_timeline", "clock"]

MAX_PROCESSES = 24
"""The most rows."""

_ROW, _BAR, _TOP = 36, 14, 42
_TINY = 0.3  # percent of the width: attempts that take less are drawn together
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_MAX_TICKS = 5

OUTCOMES = {
    "done": "done",
    "failed": "failed",
    "lost": "lost with its process",
    "cancelled": "cancelled",
}


class _Bar(NamedTuple):
    """Attempts of one outcome and stage that are drawn together, in percent of the width."""

    attempts: list[Attempt]
    start: float
    end: float

    @property
    def kind(self) -> tuple[str, str]:
        return self.attempts[0].outcome, self.attempts[0].stage


def as_timeline(course: Course) -> str:
    """Return the part of the page with the timeline."""
    placed = [one for one in course.attempts if one.host or one.pid]
    if not placed:
        return ""
    rows: dict[tuple[str, int], list[Attempt]] = {}
    for one in placed:
        rows.setdefault((one.host, one.pid), []).append(one)
    busiest = sorted(
        rows, key=lambda row: (all(one.is_done for one in rows[row]), -_busy(rows[row]))
    )
    shown = sorted(busiest[:MAX_PROCESSES], key=lambda row: (row[0], rows[row][0].began))
    length = max(course.seconds, *(one.began + one.seconds for one in placed), 1e-3)
    height = _TOP + _ROW * len(shown) + 4
    parts = [_PATTERNS, *_ticks(length, height)]
    parts += [_stage(stage, length, course.seconds) for stage in course.stages.values()]
    parts += [_cut(at, length, height) for at in course.clock.resumed]
    for number, row in enumerate(shown):
        parts += _row(row, rows[row], _TOP + _ROW * number, length, course)
    return (
        "<h2>Timeline</h2>\n"
        f"<p class=soft>{_about(course, placed, rows, shown)}</p>\n{_legend(placed)}"
        f'<svg class=timeline width="100%" height={height} role=img '
        f'aria-label="Attempts over time, a row for each process">{"".join(parts)}</svg>\n'
    )


def _about(
    course: Course,
    placed: list[Attempt],
    rows: dict[tuple[str, int], list[Attempt]],
    shown: list[tuple[str, int]],
) -> str:
    texts = ["Each row is a task process, and each bar an attempt of a task."]
    if len(shown) < len(rows):
        n_left = sum(len(rows[row]) for row in rows if row not in shown)
        texts.append(
            f"{len(shown)} of {counted(len(rows), 'process')} are shown, those with failures and "
            f"the busiest; the others ran {counted(n_left, 'attempt')}."
        )
    if len(placed) < len(course.attempts):
        n = len(course.attempts) - len(placed)
        texts.append(f"Where {counted(n, 'attempt')} ran is not known.")
    if course.status == "active":
        texts.append("Attempts that run now appear when they end.")
    elif course.outcome == "lost":
        texts.append("What ran when the driver was lost is not known.")
    return " ".join(texts)


def _busy(attempts: Iterable[Attempt]) -> float:
    return sum(one.seconds for one in attempts)


def _legend(placed: list[Attempt]) -> str:
    outcomes = [outcome for outcome in OUTCOMES if any(one.outcome == outcome for one in placed)]
    stages = list(dict.fromkeys(one.stage for one in placed if one.is_done))
    items = [(f"done {_stage_class(stage)}", f"{stage}, done") for stage in stages] + [
        (outcome, OUTCOMES[outcome]) for outcome in outcomes if outcome != "done"
    ]
    return (
        "<ul class=legend>"
        + "".join(
            f'<li><svg width=16 height=12><rect class="{kind}" width=16 height=12 rx=2 /></svg> '
            f"{safe(words)}</li>"
            for kind, words in items
        )
        + "</ul>\n"
    )


def _stage_class(stage: str) -> str:
    return stage if stage in ("map", "merge", "reduce") else "map"


# --- a row --------------------------------------------------------------------------------------


def _row(
    row: tuple[str, int], attempts: list[Attempt], top: int, length: float, course: Course
) -> Iterator[str]:
    host, pid = row
    process = f"process {pid}" if pid else "process not known"
    one_host = len({one.host for one in course.attempts}) <= 1
    name = process if one_host else f"{host or '?'}, {process}"
    yield (
        f"<text x=0 y={top + 13}>{safe(name)}<tspan class=soft dx=6>"
        f"{counted(len(attempts), 'attempt')}, busy {clock(_busy(attempts))}</tspan></text>"
        f'<rect class=track x=0 y={top + 18} width="100%" height={_BAR} rx=2 />'
    )
    for bar in _bars(attempts, length):
        outcome, stage = bar.kind
        width = max(0.25, min(bar.end - bar.start, 100 - bar.start))
        kind = outcome if outcome in OUTCOMES else "cancelled"
        yield (
            f'<rect class="{kind} {_stage_class(stage)}" x="{bar.start:.2f}%" y={top + 18} '
            f'width="{width:.2f}%" height={_BAR} rx=1><title>{safe(_title(bar))}</title></rect>'
        )


def _bars(attempts: list[Attempt], length: float) -> list[_Bar]:
    bars: list[_Bar] = []
    for one in sorted(attempts, key=lambda one: one.began):
        start = min(100.0, 100 * one.began / length)
        bar = _Bar([one], start, min(100.0, start + 100 * one.seconds / length))
        last = bars[-1] if bars else None
        is_near = last is not None and bar.start - last.end < _TINY
        is_tiny = (
            last is not None
            and max(bar.end - bar.start, (last.end - last.start) / len(last.attempts)) < _TINY
        )
        if last is not None and is_near and is_tiny and last.kind == bar.kind:
            bars[-1] = _Bar([*last.attempts, one], last.start, max(last.end, bar.end))
        else:
            bars.append(bar)
    return bars


def _title(bar: _Bar) -> str:
    first = bar.attempts[0]
    if len(bar.attempts) > 1:
        return (
            f"{first.name} to {bar.attempts[-1].name}: {len(bar.attempts)} attempts, "
            f"{first.outcome}, {_busy(bar.attempts):,.2f} s"
        )
    return (
        f"{first.name}, attempt {first.number}: {first.outcome}, {first.seconds:,.2f} s from "
        f"{clock(first.began)}"
    )


# --- the scale ----------------------------------------------------------------------------------


def _ticks(length: float, height: int) -> Iterator[str]:
    step = next((step for step in _STEPS if length / step <= _MAX_TICKS), length / _MAX_TICKS)
    if length < 1:
        step = length / 2
    at = 0.0
    while at <= length * 1.0001:
        x = 100 * at / length
        anchor = "start" if x < 5 else "end" if x > 95 else "middle"
        yield (
            f'<line class=tick x1="{x:.2f}%" x2="{x:.2f}%" y1=16 y2={height} />'
            f'<text class=soft x="{x:.2f}%" y=11 text-anchor={anchor}>{clock(at)}</text>'
        )
        at += step


def _stage(stage: Stage, length: float, now: float) -> str:
    start = 100 * stage.began / length
    end = 100 * (now if stage.ended is None else stage.ended) / length
    name = safe(stage.name) if end - start > 9 else ""
    return (
        f'<rect class="stage {_stage_class(stage.name)}" x="{start:.2f}%" y=20 '
        f'width="{max(0.25, end - start):.2f}%" height=16 rx=2><title>{safe(stage.name)}</title>'
        f'</rect><text x="{start:.2f}%" y=32 dx=5>{name}</text>'
    )


def _cut(at: float, length: float, height: int) -> str:
    x = f"{100 * at / length:.2f}%"
    return (
        f'<line class=cut x1="{x}" x2="{x}" y1=16 y2={height}><title>resumed by another driver'
        "</title></line>"
    )


def clock(seconds: float) -> str:
    """Format seconds as "0.25 s", "7.1 s", "12:34" or "1:02:03"."""
    if seconds < 1:
        return f"{seconds:.2g} s" if seconds else "0"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


_PATTERNS = (
    "<defs><pattern id=stripes width=6 height=6 patternUnits=userSpaceOnUse "
    "patternTransform=rotate(45)><rect width=6 height=6 class=ground /><rect width=2 height=6 "
    "class=stripe /></pattern><pattern id=dots width=5 height=5 patternUnits=userSpaceOnUse>"
    "<rect width=5 height=5 class=ground2 /><circle cx=2.5 cy=2.5 r=1.2 class=stripe /></pattern>"
    "</defs>"
)
