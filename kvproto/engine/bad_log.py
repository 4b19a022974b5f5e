"""What the driver keeps of bad records: the file `bad.jsonl`, their number, and the limit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

from kvproto.engine.bad_limit import N_SHOWN, BadLimit, too_many
from kvproto.engine.calls import Finished
from kvproto.engine.events import OnEvent, SetAside
from kvproto.errors import JobError, TaskError, TooManyBadRecords
from kvproto.storage.bad_records import (
    BadRecord,
    append_bad_records,
    sort_bad_records,
    write_bad_records,
)
from kvproto.storage.job_directory import JobPaths

__all__ = ["BadLog", "resume_bad_records"]


class BadLog:
    """Writes what the accepted attempts of the maps have set aside, and enforces the limit.

    Parameters
    ----------
    paths : JobPaths
        Of the job.
    limit : BadLimit
    log : callable
        Gets an event each time that something was set aside.
    before : mapping of int to Finished
        Number of a task -> its accepted attempt, of a job that is resumed. The file has what they
        set aside.
    """

    def __init__(
        self, paths: JobPaths, limit: BadLimit, log: OnEvent, before: Mapping[int, Finished[Any]]
    ) -> None:
        self._path = paths.bad_records
        self._limit = limit
        self._log = log
        self._n_bad = self._n_inputs = self._n_records = self._n_bytes = 0
        self._first: list[BadRecord] = []  # of the first tasks
        self._last_task, self._is_sorted = max(before, default=-1), True
        for finished in before.values():
            self._count(finished)

    def accept(self, task: int, finished: Finished[Any]) -> None:
        """Write what an accepted attempt has set aside; TooManyBadRecords over the limit."""
        self._keep(task, finished.bad)
        self._count(finished)
        if self._limit.is_over_early(self._n_bad, self._n_records, self._n_bytes):
            raise self._too_many()

    def check(self) -> None:
        """Check the limit at the end of the maps.

        Raises
        ------
        TooManyBadRecords
        JobError
            None of the inputs could be read.
        """
        if self._n_bad and self._limit.is_over(self._n_bad, self._n_records):
            raise self._too_many()
        if self._n_inputs and not self._n_records:
            errors = "\n  ".join(f"{one}: {one.error}" for one in self._first)
            raise JobError(f"none of the inputs could be read; the first errors:\n  {errors}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: object, error: BaseException | None, traceback: object) -> None:
        cause = error.cause if isinstance(error, TaskError) else None
        if isinstance(cause, TooManyBadRecords) and isinstance(error, TaskError) and error.task:
            self._keep(error.task[1], cause.bad_records)
            self._add(cause.bad_records)
        if not self._is_sorted:
            sort_bad_records(self._path)

    def _too_many(self) -> TooManyBadRecords:
        bad = [one for one in self._first if one.kind == "record"]
        why = self._limit.why(self._n_bad, self._n_records, "the maps have read")
        return TooManyBadRecords(too_many(why, bad))

    def _keep(self, task: int, bad: Sequence[BadRecord]) -> None:
        if bad:
            append_bad_records(self._path, bad)
            self._is_sorted &= task > self._last_task
            self._last_task = task

    def _count(self, finished: Finished[Any]) -> None:
        self._n_records += finished.n_records
        self._n_bytes += finished.n_bytes
        self._add(finished.bad)

    def _add(self, bad: Sequence[BadRecord]) -> None:
        if bad:
            n_inputs = sum(one.kind == "input" for one in bad)
            self._n_inputs += n_inputs
            self._n_bad += len(bad) - n_inputs
            first = [*self._first, *bad[:N_SHOWN]]
            self._first = sorted(first, key=lambda one: one.task)[:N_SHOWN]
            self._log(SetAside(self._n_bad, self._n_inputs))


def resume_bad_records(paths: JobPaths, before: Mapping[int, Finished[Any]]) -> None:
    """Write the file again for a driver that resumes a job: what the finished tasks set aside.

    The driver before may have been killed as it wrote, or may have been one of another home.
    """
    records = [one for _, finished in sorted(before.items()) for one in finished.bad]
    if records or os.path.exists(paths.bad_records):
        write_bad_records(paths.bad_records, records)
