"""What a map task sets aside: the records on which its map fails, and inputs that cannot be read.

The output of a task has none of them: a record is set aside whole, with all that the map gave for
it, and an input with all its records. Both travel with the answer of the task, so that only those
of accepted attempts count.
"""

from __future__ import annotations

import collections
import os
from bdb import BdbQuit
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from kvproto._record import Place
from kvproto._text import shortened
from kvproto.engine.bad_limit import MAX_BYTES, BadLimit, too_many
from kvproto.engine.calls import Finished, MapCall
from kvproto.engine.meter import Meter
from kvproto.engine.plan import Split
from kvproto.engine.reading import InputReader, UnreadInput
from kvproto.engine.task_events import emit_message
from kvproto.errors import JobError, TooManyBadRecords, WorkerError, WorkerReported
from kvproto.storage.bad_records import MAX_KEPT, BadRecord

__all__ = ["BadRecords", "map_readable"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NOWHERE = Place("", 0)
_OVERHEAD = 500  # bytes of a bad record besides those of the record

Output = TypeVar("Output")


class BadRecords:
    """The bad records of one attempt of a map task.

    Parameters
    ----------
    limit : BadLimit
    task : int
        The number of the task.
    reader : InputReader
    meter : Meter
        Those of the attempt.
    """

    def __init__(self, limit: BadLimit, task: int, reader: InputReader, meter: Meter) -> None:
        self._limit = limit
        self._task = task
        self._reader = reader
        self._meter = meter
        self._bad: list[tuple[int, BadRecord]] = []  # with the number of the entry in the task
        self._n_bytes = 0

    def add_entry(self, entry: Any, error: Exception) -> None:
        """Set aside the last entry that was read, on which the map raised an error.

        Errors of kvproto about the whole job, such as too many counters, are no fault of an entry,
        and neither is the `q` of pdb.
        """
        if isinstance(error, (JobError, MemoryError, BdbQuit)):
            raise error
        if isinstance(entry, str):
            self.add(self._reader.last_number(), b"", _utf8(entry), _brief(error))
        elif isinstance(entry, bytes):
            self.add(self._reader.last_number(), b"", entry, _brief(error))
        else:
            value = _utf8(shortened(_shown(entry), MAX_KEPT))
            self.add(self._reader.last_number(), b"", value, _brief(error), is_object=True)

    def add_failure(self, error: WorkerError) -> None:
        """Set aside the record of an error of an external program."""
        assert error.record is not None
        key, value, text = error.record.key, error.record.value, error.what
        if isinstance(error, WorkerReported) and error.stderr_tail:
            text += f": {error.stderr_tail[-1]}"
        self.add(error.record.number + self._reader.n_of_init, key, value, text)

    def add(
        self, number: int, key: bytes, value: bytes, error: str, *, is_object: bool = False
    ) -> None:
        """Set aside the entry with this number in the task.

        Raises TooManyBadRecords when the limit is surely reached.
        """
        size = len(key) + len(value)
        key, value = key[:MAX_KEPT], value[:MAX_KEPT]
        one = BadRecord("record", self._task, _NOWHERE, error, key, value, size, is_object)
        self._bad.append((number, one))
        self._n_bytes += _OVERHEAD + len(error) + len(key) + len(value)
        n_bad, meter = len(self._bad), self._meter
        why = ""
        if self._limit.is_over_early(n_bad, meter.n_records, meter.n_bytes):
            why = self._limit.why(n_bad, meter.n_records, "this task has read")
        elif self._n_bytes > MAX_BYTES:
            why = f"the bad records of this task take more than {MAX_BYTES >> 20} MiB"
        if why:
            bad = tuple(self.placed())
            raise TooManyBadRecords(too_many(why, bad), bad)

    def placed(self) -> list[BadRecord]:
        """Return them in the order of the input, with their places."""
        self._bad.sort(key=lambda numbered: numbered[0])
        places = self._reader.locate([number for number, _ in self._bad])
        records = (one for _, one in self._bad)
        return [
            one._replace(place=place)
            for one, place in zip(records, places, strict=True)
            if place is not None
        ]


def _utf8(text: str) -> bytes:
    """The bytes that a text was made of."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _shown(entry: object) -> str:
    try:
        return repr(entry)
    except Exception:  # whatever the user's class raises
        return f"<{type(entry).__name__}>"


def _brief(error: Exception) -> str:
    """An error in one line, with the last line of the job's own code that it comes from."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # whatever the user's class raises
        text = ""
    where, traceback = "", error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            where = f" ({code.co_filename}, line {traceback.tb_lineno}, in {code.co_name})"
        traceback = traceback.tb_next
    return f"{type(error).__name__}{': ' if text else ''}{shortened(text, 1000)}{where}"


# --- inputs that cannot be read ----------------------------------------------------------------


def map_readable(
    run: Callable[[MapCall], Finished[Output]],
    unread: Callable[[MapCall], Iterable[UnreadInput]],
    call: MapCall,
    attempts: int,
) -> Finished[Output]:
    """Run a map task, and again without the inputs that cannot be read.

    Nothing that was read of such an input counts, because the output of the first run is dropped.
    An input gets `attempts` tries unless another one is useless. So that the task does not run
    again for each of many such inputs, unread(call) reads those after the first without the map.
    """
    bad: list[BadRecord] = []
    n_tries: collections.Counter[Split] = collections.Counter()
    while True:
        try:
            finished = run(call)
        except UnreadInput as e:
            after = call.splits[call.splits.index(e.split) + 1 :]
            for error in (e, *unread(call._replace(splits=after))):
                n_tries[error.split] += 1
                if error.is_final or n_tries[error.split] >= attempts:
                    bad.append(_left_out(call.number, error))
                    emit_message(f"left out: {bad[-1]}: {bad[-1].error}")
                    left = [split for split in call.splits if split != error.split]
                    call = call._replace(splits=left)
            continue
        return finished._replace(bad=[*bad, *finished.bad])


def _left_out(task: int, error: UnreadInput) -> BadRecord:
    split = error.split
    is_part = split.start > 0 or split.end is not None
    start, end = (split.start, split.end) if is_part else (None, None)
    place = Place(split.url, 0, split.start, start=start, end=end)
    text = str(error).removeprefix(f"input {split.url}: ")
    return BadRecord("input", task, place, text)
