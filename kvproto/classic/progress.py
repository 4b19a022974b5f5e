"""Show the events of a job to a person: as live lines, plain lines or JSON lines.

Everything goes to stderr, so that stdout has only results. Messages of task processes and errors of
failed attempts have lines of their own, above the live ones. If `rich` is installed, the live lines
have bars; `rich` chooses colours and characters by NO_COLOR, TERM and the encoding.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from kvproto._stdio import stderr
from kvproto._text import amount, counted, printable
from kvproto.engine.commands import bad_command, report_command

__all__ = ["KINDS", "LiveLines", "Progress", "Stage", "stages_of"]

KINDS = ("auto", "bar", "plain", "jsonl", "none")

_OF_ONE_ATTEMPT = re.compile(r"(?<=/tmp/)[^\s/'\"]+|\(\d+\)|\b0x[0-9a-f]{6,}\b")
"""Matches temporary names and ids, which differ between attempts that fail in the same way."""

_SECONDS_BETWEEN = {"bar": 0.1, "plain": 5.0}
MIN_BAR = 10
MAX_BAR = 40
"""The width of a bar, in columns."""


class Progress:
    """Show events; an instance is a function for `on_event` of `Job.run`.

    Parameters
    ----------
    kind : {"auto", "bar", "plain", "jsonl", "none"}
        "bar": live lines. "plain": a line every 5 seconds and at the end of a stage, and one for
        each status message. "jsonl": each event as a JSON line. "none": nothing. "auto": "bar" on a
        terminal, otherwise "plain".
    file : text file, optional
        stderr unless given.
    """

    def __init__(self, kind: str = "auto", file: TextIO | None = None) -> None:
        if kind not in KINDS:
            raise ValueError(f"progress must be one of {', '.join(KINDS)}, not {kind!r}")
        self._file = file or sys.stderr or stderr()
        if kind == "auto":
            kind = "bar" if self._file.isatty() and os.environ.get("TERM") != "dumb" else "plain"
        self._kind = kind
        self._live = LiveLines(self._file) if kind == "bar" else None
        self._bar = _bars(self._file) if kind == "bar" else None
        self._stages: list[Stage] = []
        self._current: list[Stage] = []  # what the current events are about
        self._first: Stage | None = None  # which has read the inputs
        self._status = ""
        self._failures: dict[str, str] = {}
        self._set_aside: list[str] = []
        self._shown = 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        """Show an event."""
        if self._kind == "jsonl":
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()
        elif self._kind != "none":
            show = getattr(self, f"_on_{event['event']}", None)
            if show is not None:
                show(event)

    def close(self) -> None:
        """Leave the live lines as they are, and continue below them. The job may still run."""
        self._first = None
        if self._live is not None and self._stages:
            self._status = ""
            self._draw()
            self._live.leave()
            self._stages = self._current = []

    def _on_resumed(self, event: dict[str, Any]) -> None:
        skipped = ", ".join(event["skipped"])
        self._say(f"resumed; these tasks are done already: {skipped or 'none'}")

    def _on_stage(self, event: dict[str, Any]) -> None:
        self._current = stages_of(event)
        self._first = self._first or self._current[0]
        self._stages = [*self._stages, *self._current]
        self._status = ""
        self._shown = time.monotonic()
        if self._live is not None:
            self._draw()

    def _on_progress(self, event: dict[str, Any]) -> None:
        if not self._current:  # damaged events, or only the later ones
            return
        for stage in self._current:
            stage.update(event)
        if (
            self._current[-1].is_done
            or time.monotonic() - self._shown >= _SECONDS_BETWEEN[self._kind]
        ):
            self._shown = time.monotonic()
            if self._live is not None:
                self._draw()
            else:
                stage = next((one for one in self._current if not one.is_done), self._current[-1])
                self._say(f"{stage.name:6} {stage.figures()}")

    def _on_status(self, event: dict[str, Any]) -> None:
        text = f"{event['stage']}:{event['task']}: {event['text']}"
        if self._live is None:
            self._say(text)
        else:
            self._status = printable(text)  # drawn with the next figures

    def _on_message(self, event: dict[str, Any]) -> None:
        self._say(f"{event['stage']}:{event['task']}: {event['text']}")

    def _on_note(self, event: dict[str, Any]) -> None:
        self._say(event["text"])

    def _on_retry(self, event: dict[str, Any]) -> None:
        task = f"{event['stage']}:{event['task']}"
        failure = _OF_ONE_ATTEMPT.sub("*", event["text"])
        if self._failures.get(task) == failure:
            self._say(f"{task}: attempt {event['attempt']} failed in the same way, trying again")
        else:
            self._say(f"{task}: attempt {event['attempt']} failed, trying again:\n{event['text']}")
        self._failures[task] = failure

    def _on_set_aside(self, event: dict[str, Any]) -> None:
        kinds = (("records", "bad record"), ("inputs", "unread input"))
        self._set_aside = [counted(event[kind], name) for kind, name in kinds if event[kind]]

    def _on_done(self, event: dict[str, Any]) -> None:
        figures = [] if self._first is None else self._first.amounts()
        self.close()
        self._say(f"done: {', '.join([*figures, *self._set_aside, _seconds(event['seconds'])])}")
        if job := event.get("job"):
            if self._set_aside:
                self._say(f"what it has set aside: {bad_command(job)}")
            self._say(f"a page about it: {report_command(job)}")

    def _on_failed(self, event: dict[str, Any]) -> None:
        self.close()  # the error that follows begins on a line of its own

    def _say(self, text: str) -> None:
        text = printable(text)
        if self._live is not None:
            self._live.say(text)
        else:
            self._file.write(text + "\n")
            self._file.flush()

    def _draw(self) -> None:
        assert self._live is not None
        n_columns = self._live.n_columns() - 1  # some terminals break a line in the last column
        lines = [self._line(stage, n_columns) for stage in self._stages]
        if self._status:
            lines.append(self._status[:n_columns])
        self._live.draw(lines)

    def _line(self, stage: Stage, n_columns: int) -> str:
        name = f"{stage.name:6} "
        n_left = n_columns - len(name)
        figures = stage.figures(n_left - MIN_BAR - 1)
        if self._bar is None or not figures:
            return (name + stage.figures(n_left))[:n_columns]
        return f"{name}{self._bar(stage.share, min(n_left - len(figures) - 1, MAX_BAR))} {figures}"


def _bars(file: TextIO) -> Callable[[float, int], str] | None:
    """Return a function (share, columns) that draws a bar for `file`; None without rich."""
    try:
        from rich.console import Console  # noqa: PLC0415 (it is slow to load, and optional)
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    console = Console(file=file)

    def bar(share: float, n_columns: int) -> str:
        with console.capture() as captured:
            console.print(ProgressBar(total=1.0, completed=share, width=n_columns), end="")
        return captured.get()

    return bar


# --- the figures of a stage ---------------------------------------------------------------------


class Stage:
    """The figures of a stage, from its "stage" event and later "progress" events.

    Attributes
    ----------
    name : str
        "map" or "reduce".
    is_done : bool
        Whether all tasks are done.
    share : float
        How much is done, from 0 to 1: of the bytes, if their number is known, otherwise of the
        tasks. It is 1 only when the stage is done.
    """

    def __init__(self, event: dict[str, Any]) -> None:
        self.name = event["stage"]
        self._n_tasks = event["tasks"]
        self._n_bytes_in_all = event["bytes"]
        self._began = self._now = event["time"]
        self._n_done = self._n_bytes = self._n_items = 0

    def update(self, event: dict[str, Any]) -> None:
        """Take the figures of a "progress" event."""
        self._now = event["time"]
        self._n_done, self._n_bytes, self._n_items = event["done"], event["bytes"], event["records"]

    @property
    def is_done(self) -> bool:
        return bool(self._n_done >= self._n_tasks)

    @property
    def share(self) -> float:
        return self._share_of(self._n_bytes, self._n_bytes_in_all)

    def _share_of(self, n: int, n_in_all: int) -> float:
        if self.is_done:
            return 1.0
        # a failed attempt's bytes may count twice
        return min(n / n_in_all, 0.99) if n_in_all else self._n_done / self._n_tasks

    def amounts(self) -> list[str]:
        """Return how much was read: ["1,234 items", "4.0 MB"]."""
        return [self._items(), amount(self._n_bytes)]

    def _items(self) -> str:
        return f"{self._n_items:,} item{'s' * (self._n_items != 1)}"

    def figures(self, n_columns: int | None = None) -> str:
        """Return one line of at most n_columns characters, without the least important figures."""
        figures = self._ranked()
        while n_columns is not None and len(_joined(figures)) > n_columns and figures:
            figures.remove(max(figures))
        return _joined(figures)

    def _ranked(self) -> list[tuple[int, str]]:
        """The figures in their order, each with its rank; the highest rank is dropped first."""
        figures = [
            (5, self._tasks()),
            (0, self._percent()),
            (6, ", ".join(reversed(self.amounts()))),
        ]
        if (seconds := self._now - self._began) > 0:
            figures.append((4, f"{amount(self._n_bytes / seconds)}/s"))
            figures.append((3, f"{self._n_items / seconds:,.0f} items/s"))
            figures += self._time(self.share)
        return figures

    def _tasks(self) -> str:
        return f"{self._n_done}/{self._n_tasks} tasks"

    def _percent(self) -> str:
        return f"{int(100 * self.share):3d} %"

    def _time(self, share: float) -> list[tuple[int, str]]:
        """The time that the stage took, or what is left of it by the share that is done."""
        seconds = self._now - self._began
        if self.is_done:
            return [(2, _clock(seconds))]
        return [(2, f"{_clock(max(1, seconds / share - seconds))} left")] if share else []


class _Sort(Stage):
    """The sort of a reduce: the bytes that went into it."""

    def __init__(self, event: dict[str, Any]) -> None:
        super().__init__(event)
        self.name = "sort"

    @property
    def is_done(self) -> bool:
        """Whether all has gone in, and something has come out."""
        return super().is_done or (self._n_bytes >= self._n_bytes_in_all and self._n_items > 0)

    def _ranked(self) -> list[tuple[int, str]]:
        figures = [(0, self._percent()), (6, amount(self._n_bytes))]
        if (seconds := self._now - self._began) > 0 and not self.is_done:
            figures.append((4, f"{amount(self._n_bytes / seconds)}/s"))
        return figures


class _SortedReduce(Stage):
    """The reduce after a sort: the records that came out of that."""

    def __init__(self, event: dict[str, Any]) -> None:
        super().__init__(event)
        self._n_items_in_all = event["sorted_records"]

    @property
    def share(self) -> float:
        return self._share_of(self._n_items, self._n_items_in_all)

    def _ranked(self) -> list[tuple[int, str]]:
        figures = [(5, self._tasks()), (0, self._percent()), (6, self._items())]
        if (seconds := self._now - self._began) > 0:
            if self._n_items:
                figures.append((3, f"{self._n_items / seconds:,.0f} items/s"))
            # The sort is the one half of the work, and the reduce the other.
            figures += self._time((super().share + self.share) / 2)
        return figures


def stages_of(event: dict[str, Any]) -> list[Stage]:
    """Return what a "stage" event is the beginning of, each with a line of its own."""
    return [_Sort(event), _SortedReduce(event)] if event.get("sorted_records") else [Stage(event)]


def _joined(figures: list[tuple[int, str]]) -> str:
    return "  ".join(text for _, text in figures)


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s"


def _clock(seconds: float) -> str:
    """Format seconds as 0:07, 12:34 or 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


# --- live lines ---------------------------------------------------------------------------------


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class LiveLines:
    """Lines that stay at the bottom of a terminal while messages scroll above them.

    The only control sequences are return, cursor up and clear to the end. The cursor stays visible,
    so that a killed process leaves a working terminal.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: list[str] = []

    def n_columns(self) -> int:
        """Return the width of the terminal, or 80 if it is unknown."""
        try:
            return os.get_terminal_size(self._file.fileno()).columns or 80
        except (OSError, ValueError):  # no terminal; no descriptor
            return 80

    def draw(self, lines: list[str]) -> None:
        """Replace the lines. Each must be narrower than the terminal; it may have colours."""
        self._write(self._erased() + "\n".join(lines))
        self._lines = lines

    def say(self, text: str) -> None:
        """Write text above the lines."""
        self._write(f"{self._erased()}{text}\n" + "\n".join(self._lines))

    def leave(self) -> None:
        """Leave the lines where they are and continue below them."""
        if self._lines:
            self._write("\n")
            self._lines = []

    def _erased(self) -> str:
        """What clears the lines, which take more rows if the terminal became narrower."""
        if not self._lines:
            return ""
        n_columns = self.n_columns()
        n_rows = sum(max(1, -(-len(_COLOUR.sub("", line)) // n_columns)) for line in self._lines)
        return "\r" + "\x1b[A" * (n_rows - 1) + "\x1b[J"

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
