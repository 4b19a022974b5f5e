"""The figures of a running stage, for a person: how much is done, how fast, how long it will take.

Pure: made of events (`kvproto.engine.events`), no clock of its own and no I/O.
"""

from __future__ import annotations

__all__ = ["Stage", "amount"]


def amount(n_bytes: float) -> str:
    """Bytes for a person: "1 byte", "999 bytes", "1.0 kB", "12.3 MB"; from 1,000 GB on still in GB."""
    if n_bytes < 999.5:
        n = round(n_bytes)
        return f"{n} byte{'s' * (n != 1)}"
    for unit, n in (("kB", 1e3), ("MB", 1e6)):
        if n_bytes / n < 999.95:
            return f"{n_bytes / n:.1f} {unit}"
    return f"{n_bytes / 1e9:.1f} GB"


class Stage:
    """A stage, from its "stage" event on.

    name     str, "map" or "reduce"
    is_done  bool, whether all tasks are
    share    float from 0 to 1: of the bytes where their number is known, else of the tasks; 1 only when it is done
    """

    def __init__(self, event: dict) -> None:
        self.name = event["stage"]
        self._n_tasks = event["tasks"]
        self._n_bytes_in_all = event["bytes"]
        self._began = self._now = event["time"]
        self._n_done = self._n_bytes = self._n_items = 0

    def update(self, event: dict) -> None:
        """Take over a "progress" event."""
        self._now = event["time"]
        self._n_done, self._n_bytes, self._n_items = event["done"], event["bytes"], event["records"]

    @property
    def is_done(self) -> bool:
        return self._n_done >= self._n_tasks

    @property
    def share(self) -> float:
        if self.is_done:
            return 1.0
        if self._n_bytes_in_all:
            return min(
                self._n_bytes / self._n_bytes_in_all, 0.99
            )  # what a failed attempt read counts twice
        return self._n_done / self._n_tasks

    def figures(self, n_columns: int | None = None) -> str:
        """One line without the name, of at most n_columns characters: what matters least is left out first."""
        figures = self._ranked()
        while n_columns is not None and len(_joined(figures)) > n_columns and figures:
            figures.remove(max(figures))
        return _joined(figures)

    def _ranked(self) -> list[tuple[int, str]]:
        """The figures as they are shown, each with its rank: the highest is left out first."""
        seconds = self._now - self._began
        figures = [
            (5, f"{self._n_done}/{self._n_tasks} tasks"),
            (0, f"{int(100 * self.share):3d} %"),
            (6, f"{amount(self._n_bytes)}, {self._n_items:,} item{'s' * (self._n_items != 1)}"),
        ]
        if seconds > 0:
            figures.append((4, f"{amount(self._n_bytes / seconds)}/s"))
            figures.append((3, f"{self._n_items / seconds:,.0f} items/s"))
            if self.is_done:
                figures.append((2, _clock(seconds)))
            elif self.share:
                figures.append((2, f"{_clock(seconds / self.share - seconds)} left"))
        return figures


def _joined(figures: list[tuple[int, str]]) -> str:
    return "  ".join(text for _, text in figures)


def _clock(seconds: float) -> str:
    """0:07, 12:34, 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
