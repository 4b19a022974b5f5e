"""Show the events of a job to a person: live lines on a terminal, plain lines elsewhere, or JSON lines.

Writes to stderr, so that results on stdout stay clean. What task processes say and the errors of failed attempts are
lines of their own, above the live ones. With `rich` installed the live lines have bars; it decides on colours and
characters, by NO_COLOR, TERM and the encoding.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from typing import TextIO

from kvproto._stdio import stderr
from kvproto.classic.figures import Stage, amount
from kvproto.classic.live import LiveLines
from kvproto._text import printable

__all__ = ["KINDS", "Progress", "amount"]

KINDS = ("auto", "bar", "plain", "jsonl", "none")

_OF_ONE_ATTEMPT = re.compile(r"(?<=/tmp/)[^\s/'\"]+|\(\d+\)|\b0x[0-9a-f]{6,}\b")
"""What differs between two attempts that fail in the same way: names of temporary files, process ids, addresses."""

_SECONDS_BETWEEN = {"bar": 0.1, "plain": 5.0}
LEAST_BAR = 10
"""Columns that figures leave to a bar; more than MOST_BAR it does not take."""
MOST_BAR = 40


class Progress:
    """A callable for `on_event` of `Job.run`.

    kind  "bar": live lines; "plain": a line every 5 seconds and at the end of a stage, and one for each status
          message; "jsonl": each event as a JSON line; "none": nothing; "auto": bar on a terminal, else plain
    file  where to; stderr unless given
    """

    def __init__(self, kind: str = "auto", file: TextIO | None = None) -> None:
        if kind not in KINDS:
            raise ValueError(f"progress is one of {', '.join(KINDS)}, not {kind!r}")
        self._file = file or sys.stderr or stderr()
        if kind == "auto":
            kind = "bar" if self._file.isatty() and os.environ.get("TERM") != "dumb" else "plain"
        self._kind = kind
        self._live = LiveLines(self._file) if kind == "bar" else None
        self._bar = _bars(self._file) if kind == "bar" else None
        self._stages: list[Stage] = []
        self._status = ""
        self._failures: dict[str, str] = {}
        self._shown = 0.0

    def __call__(self, event: dict) -> None:
        if self._kind == "jsonl":
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()
        elif self._kind != "none":
            show = getattr(self, f"_on_{event['event']}", None)
            if show is not None:
                show(event)

    def close(self) -> None:
        """Let the live lines stand, to write on below them: for who stops looking before the job's end."""
        if self._live is not None and self._stages:
            self._status = ""
            self._draw()
            self._live.leave()
            self._stages = []

    def _on_stage(self, event: dict) -> None:
        self._stages.append(Stage(event))
        self._status = ""
        self._shown = time.monotonic()
        if self._live is not None:
            self._draw()

    def _on_progress(self, event: dict) -> None:
        if not self._stages:  # a file of events that was damaged, or is followed from its middle on
            return
        stage = self._stages[-1]
        stage.update(event)
        if stage.is_done or time.monotonic() - self._shown >= _SECONDS_BETWEEN[self._kind]:
            self._shown = time.monotonic()
            if self._live is not None:
                self._draw()
            else:
                self._say(f"{stage.name:6} {stage.figures()}")

    def _on_status(self, event: dict) -> None:
        text = f"{event['stage']}:{event['task']}: {event['text']}"
        if self._live is None:
            self._say(text)
        else:
            self._status = printable(
                text
            )  # drawn with the next figures, which come as often as a reader can follow

    def _on_message(self, event: dict) -> None:
        self._say(f"{event['stage']}:{event['task']}: {event['text']}")

    def _on_note(self, event: dict) -> None:
        self._say(event["text"])

    def _on_retry(self, event: dict) -> None:
        task = f"{event['stage']}:{event['task']}"
        failure = _OF_ONE_ATTEMPT.sub("*", event["text"])
        if self._failures.get(task) == failure:
            self._say(f"{task}: attempt {event['attempt']} failed in the same way, trying again")
        else:
            self._say(f"{task}: attempt {event['attempt']} failed, trying again:\n{event['text']}")
        self._failures[task] = failure

    def _on_done(self, event: dict) -> None:
        self.close()

    _on_failed = _on_done  # its error is raised; it begins on a line of its own

    def _say(self, text: str) -> None:
        text = printable(text)
        if self._live is not None:
            self._live.say(text)
        else:
            self._file.write(text + "\n")
            self._file.flush()

    def _draw(self) -> None:
        n_columns = (
            self._live.n_columns() - 1
        )  # in the last column some terminals break the line already
        lines = [self._line(stage, n_columns) for stage in self._stages]
        if self._status:
            lines.append(self._status[:n_columns])
        self._live.draw(lines)

    def _line(self, stage: Stage, n_columns: int) -> str:
        name = f"{stage.name:6} "
        n_left = n_columns - len(name)
        figures = stage.figures(n_left - LEAST_BAR - 1)
        if self._bar is None or not figures:
            return (name + stage.figures(n_left))[:n_columns]
        return f"{name}{self._bar(stage.share, min(n_left - len(figures) - 1, MOST_BAR))} {figures}"


def _bars(file: TextIO) -> Callable[[float, int], str] | None:
    """What draws a bar of (share, columns) for `file`, as far as it shows colours and characters; None without rich."""
    try:
        from rich.console import Console
        from rich.progress_bar import ProgressBar
    except ModuleNotFoundError:
        return None
    console = Console(file=file)

    def bar(share: float, n_columns: int) -> str:
        with console.capture() as captured:
            console.print(ProgressBar(total=1.0, completed=share, width=n_columns), end="")
        return captured.get()

    return bar
