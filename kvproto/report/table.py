"""The table of the attempts: of all as tab-separated values, of some in the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kvproto._page import safe
from kvproto._text import amount, counted
from kvproto.engine.commands import report_command
from kvproto.report.course import Attempt, Course

__all__ = ["MAX_ROWS", "as_table", "as_tsv"]

MAX_ROWS = 100
"""The most attempts that the page shows in its table."""


class _Column(NamedTuple):
    """A column: its name in the file, its heading in the page, its value, and how that is shown."""

    name: str
    heading: str
    value: Callable[[Attempt], str | float]
    show: Callable[[float], str] = str
    of_programs: bool = False

    @property
    def is_number(self) -> bool:
        return self.show is not str


def _share(seconds: Callable[[Attempt], float]) -> Callable[[Attempt], float]:
    def share(one: Attempt) -> float:
        in_all = one.computing + one.waiting_for_input + one.waiting_for_output
        return seconds(one) / in_all if in_all else 0.0

    return share


def _seconds(seconds: float) -> str:
    return f"{seconds:,.2f}" if seconds < 99.995 else f"{seconds:,.0f}"


def _count(n: float) -> str:
    return f"{n:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


_COLUMNS = (
    _Column("task", "task", lambda one: one.name),
    _Column("attempt", "attempt", lambda one: one.number),
    _Column("outcome", "outcome", lambda one: one.outcome),
    _Column("seconds", "took,\u00a0s", lambda one: one.seconds, _seconds),
    _Column("began", "began,\u00a0s", lambda one: one.began, _seconds),
    _Column("cpu", "CPU,\u00a0s", lambda one: one.cpu, _seconds),
    _Column("bytes_in", "read", lambda one: one.bytes_in, amount),
    _Column("records_in", "records in", lambda one: one.records_in, _count),
    _Column("bytes_out", "wrote", lambda one: one.bytes_out, amount),
    _Column("records_out", "records out", lambda one: one.records_out, _count),
    _Column("memory", "memory", lambda one: one.memory, amount),
    _Column(
        "program_memory", "of program", lambda one: one.program_memory, amount, of_programs=True
    ),
    _Column("computing", "computes", _share(lambda one: one.computing), _percent, of_programs=True),
    _Column(
        "waiting_for_input",
        "waits for input",
        _share(lambda one: one.waiting_for_input),
        _percent,
        of_programs=True,
    ),
    _Column(
        "waiting_for_output",
        "for output",
        _share(lambda one: one.waiting_for_output),
        _percent,
        of_programs=True,
    ),
    _Column("host", "host", lambda one: one.host or "?"),
    _Column("pid", "process", lambda one: one.pid),
)


def as_tsv(attempts: Iterable[Attempt]) -> str:
    """Return all attempts as tab-separated values, with a line of names first.

    Times are in seconds: `began` since the start of the job. The last columns of programs are
    shares from 0 to 1.
    """
    lines = ["\t".join(column.name for column in _COLUMNS)]
    lines += ["\t".join(_cell(column.value(one)) for column in _COLUMNS) for one in attempts]
    return "\n".join(lines) + "\n"


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if value < 1e6 else f"{value:.0f}"
    return " ".join(str(value).split()) or "?"


def as_table(course: Course) -> str:
    """Return the table of the page: of all attempts, or of those that matter most."""
    attempts = course.attempts
    if not attempts:
        return ""
    shown = _chosen(attempts)
    has_programs = any(one.computing or one.program_memory for one in attempts)
    has_hosts = len({one.host for one in attempts}) > 1
    columns = [
        column
        for column in _COLUMNS
        if (has_programs or not column.of_programs) and (has_hosts or column.name != "host")
    ]
    heads = "".join(
        f"<th scope=col{' class=n' * column.is_number}>{column.heading}</th>" for column in columns
    )
    rows = "".join(_row(one, columns) for one in shown)
    left_out = (
        f"{len(shown)} of {counted(len(attempts), 'attempt')}: all that are not done, as far as "
        "they fit, and the slowest. "
        if len(shown) < len(attempts)
        else f"{counted(len(attempts), 'attempt')}. "
    )
    command = report_command(course.job, "--tsv")
    whole = f"<code>{safe(command)}</code> prints all of them as a table."
    return (
        f"<h2 id=attempts>Attempts</h2>\n<p class=soft>{left_out}{whole}</p>\n"
        f"<div class=scroll><table class=attempts>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def _chosen(attempts: list[Attempt]) -> list[Attempt]:
    if len(attempts) <= MAX_ROWS:
        return attempts
    by_interest = sorted(attempts, key=lambda one: (one.is_done, -one.seconds))
    chosen = {id(one) for one in by_interest[:MAX_ROWS]}
    return [one for one in attempts if id(one) in chosen]


def _row(one: Attempt, columns: Iterable[_Column]) -> str:
    """A row; of an attempt that is not done, a 0 means that the figure is not known."""
    cells = []
    for column in columns:
        value = column.value(one)
        if column.name == "task":
            cells.append(f"<th scope=row>{safe(str(value))}</th>")
        elif column.name == "outcome":
            cells.append(f"<td><span class={_class(one)}>{safe(str(value))}</span></td>")
        elif isinstance(value, str) or not column.is_number:
            cells.append(f"<td>{safe(str(value))}</td>")
        else:
            is_known = value or one.is_done or column.name == "began"
            shown = column.show(value) if is_known else "&ndash;"
            cells.append(f'<td class=n data-v="{value:.9g}">{shown}</td>')
    return f"<tr>{''.join(cells)}</tr>\n"


def _class(one: Attempt) -> str:
    return {"done": "good", "failed": "bad", "lost": "bad"}.get(one.outcome, "none")
