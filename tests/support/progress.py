"""The events of a job, and a terminal on which its progress is shown."""

import fcntl
import os
import re
import struct
import termios

MAP = {"event": "stage", "time": 100.0, "stage": "map", "tasks": 2, "bytes": 4_000_000}
HALF = {
    "event": "progress",
    "time": 101.0,
    "stage": "map",
    "done": 0,
    "total": 2,
    "bytes": 2_000_000,
    "records": 617,
}
HELLO = {
    "event": "message",
    "time": 101.0,
    "stage": "map",
    "task": 1,
    "kind": "MSG",
    "text": "hello",
}
STATUS = {
    "event": "status",
    "time": 101.0,
    "stage": "map",
    "task": 1,
    "text": "100000 items mapped",
}
RETRY = {
    "event": "retry",
    "time": 101.0,
    "stage": "map",
    "task": 1,
    "attempt": 1,
    "text": "DataError: bad\ninput: x",
}
WHOLE = {
    "event": "progress",
    "time": 102.0,
    "stage": "map",
    "done": 2,
    "total": 2,
    "bytes": 4_000_000,
    "records": 1234,
}
REDUCE = {"event": "stage", "time": 102.0, "stage": "reduce", "tasks": 1, "bytes": 0}
DONE = {"event": "done", "time": 103.0, "results": [], "seconds": 3.0}
FAILED = {"event": "failed", "time": 103.0, "text": "it failed", "seconds": 3.0}
SORTED = {**REDUCE, "bytes": 4_000_000, "sorted_records": 1000}
ENDED = "done: 1,234 items, 4.0 MB, 3.0 s"
MAPPED = "2/2 tasks  100 %  4.0 MB, 1,234 items  2.0 MB/s  617 items/s  0:02"


def at(seconds, n_bytes, n_records, done=0):
    return {
        **HALF,
        "stage": "reduce",
        "time": 102.0 + seconds,
        "total": 1,
        "done": done,
        "bytes": n_bytes,
        "records": n_records,
    }


class Screen:
    """A terminal as wide as it says, and what stands on it."""

    def __init__(self, n_columns):
        self.n_columns = n_columns
        self.said = ""
        self._main, terminal = os.openpty()
        self.file = open(terminal, "w", encoding="utf-8", newline="")  # noqa: SIM115
        self.resize(n_columns)

    def close(self):
        self.file.close()
        os.close(self._main)

    def resize(self, n_columns):
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("4H", 24, n_columns, 0, 0))

    def show(self, progress, *events):
        for event in events:
            progress(event)
            os.set_blocking(self._main, False)
            try:
                while data := os.read(self._main, 65536):
                    self.said += data.decode()
            except BlockingIOError:
                pass

    def rows(self):
        """What a person sees, after what was written has moved and erased what it does."""
        rows, row, column = [""], 0, 0
        for moved, control, text in re.findall(
            r"(\x1b\[[0-9;]*[A-Za-z])|([\r\n])|([^\x1b\r\n])", self.said
        ):
            if moved == "\x1b[A":
                row -= 1
            elif moved == "\x1b[J":
                rows[row:] = [rows[row][:column]]
            elif moved:
                assert moved.endswith("m"), moved
            elif control == "\r":
                column = 0
            elif control or column == self.n_columns:
                row, column = row + 1, 0
                rows += [""] * (row == len(rows))
            if text:
                rows[row] = rows[row][:column] + text + rows[row][column + 1 :]
                column += 1
        return [row.rstrip() for row in rows]
