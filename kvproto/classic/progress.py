"""Show the events of a job to a person: one live line on a terminal, plain lines elsewhere, or JSON lines.

Writes to stderr, so that results on stdout stay clean. No colours and no cursor tricks but the return to the
line's start; a failed attempt's error and the messages of worker programs are lines of their own.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TextIO

__all__ = ["KINDS", "Progress", "amount"]

KINDS = ("auto", "bar", "plain", "jsonl", "none")

_SECONDS_BETWEEN = {"bar": 0.1, "plain": 5.0}


def amount(n_bytes: float) -> str:
    """Bytes for a person: "1 byte", "999 bytes", "1.0 kB", "12.3 MB"; from 1,000 GB on still in GB."""
    if n_bytes < 999.5:
        n = round(n_bytes)
        return f"{n} byte{'s' * (n != 1)}"
    for unit, n in (("kB", 1e3), ("MB", 1e6)):
        if n_bytes / n < 999.95:
            return f"{n_bytes / n:.1f} {unit}"
    return f"{n_bytes / 1e9:.1f} GB"


class Progress:
    """A callable for `on_event` of `Job.run`.

    kind  "bar": a live line; "plain": a line every 5 seconds and at the end of a stage; "jsonl": each event as
          a JSON line; "none": nothing; "auto": bar on a terminal, else plain
    file  where to; stderr unless given
    """

    def __init__(self, kind: str = "auto", file: TextIO | None = None) -> None:
        if kind not in KINDS:
            raise ValueError(f"progress is one of {', '.join(KINDS)}, not {kind!r}")
        self._file = sys.stderr if file is None else file
        self._kind = ("bar" if self._file.isatty() else "plain") if kind == "auto" else kind
        self._n_bytes = 0
        self._began = self._shown = 0.0
        self._is_line_open = False

    def __call__(self, event: dict) -> None:
        if self._kind == "none":
            return
        if self._kind == "jsonl":
            self._print(json.dumps(event))
            return
        show = getattr(self, f"_on_{event['event']}", None)
        if show is not None:
            show(event)

    def _on_stage(self, event: dict) -> None:
        self._n_bytes = event["bytes"]
        self._began = event["time"]
        self._shown = 0.0 if self._kind == "bar" else time.monotonic()  # a live line at once, others when it takes long

    def _on_progress(self, event: dict) -> None:
        is_last = event["done"] == event["total"]
        if is_last or time.monotonic() - self._shown >= _SECONDS_BETWEEN[self._kind]:
            self._shown = time.monotonic()
            self._show(self._line(event), is_last)

    def _on_message(self, event: dict) -> None:
        self._print(f"{event['stage']}:{event['task']}: {event['text']}")

    def _on_retry(self, event: dict) -> None:
        self._print(f"{event['stage']}:{event['task']}: attempt {event['attempt']} failed, trying again:\n{event['text']}")

    def _on_failed(self, event: dict) -> None:
        if self._is_line_open:
            self._print("")  # the error itself is raised; it begins on a line of its own

    def _line(self, event: dict) -> str:
        seconds = event["time"] - self._began
        parts = [f"{event['stage']:6} {event['done']}/{event['total']} tasks"]
        done, total = (event["bytes"], self._n_bytes) if self._n_bytes else (event["done"], event["total"])
        parts.append(f"{min(100, 100 * done // total):3d} %")
        parts.append(f"{amount(event['bytes'])}, {event['records']:,} records")
        if seconds > 0:
            parts.append(f"{amount(event['bytes'] / seconds)}/s")
        return "  ".join(parts)

    def _show(self, line: str, is_last: bool) -> None:
        if self._kind == "plain":
            self._print(line)
            return
        width = shutil.get_terminal_size().columns - 1
        self._file.write(f"\r{line[:width]:<{width}}" + "\n" * is_last)
        self._file.flush()
        self._is_line_open = not is_last

    def _print(self, text: str) -> None:
        self._file.write("\n" * self._is_line_open + text + "\n" * bool(text))
        self._file.flush()
        self._is_line_open = False
