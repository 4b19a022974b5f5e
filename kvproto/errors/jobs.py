"""Jobs that fail, and their inputs and tags."""

from __future__ import annotations

from typing import Any

from kvproto._record import Place, Record
from kvproto._text import printable, without_passwords
from kvproto.errors.base import KVProtoError
from kvproto.errors.workers import WorkerError

__all__ = [
    "Cancelled",
    "DamagedTag",
    "DataError",
    "InvalidTag",
    "JobError",
    "ModUtilImportError",
    "NoSuchTag",
    "TaskError",
    "TooManyBadRecords",
    "WaitTimeout",
]


class JobError(KVProtoError):
    """A job failed, or cannot be run. The message has the whole error of the failed task.

    Attributes
    ----------
    cause : BaseException or None
        The error of the task that failed, such as a WorkerError. None when no task failed, or
        when its process could not send the error.
    task : tuple of (str, int), or None
        The stage of that task, "map" or "reduce", and its number from 0.
    record : Record or None
        The record at which the program of that task fails.
    place : Place or None
        Where the record comes from, or the entry on which a function fails.
    input : str or None
        The URL or path of that input, or of the one that cannot be read.
    line : int or None
        The number of the line of the record or entry, from 1.
    """

    def __init__(
        self,
        *args: object,
        cause: BaseException | None = None,
        task: tuple[str, int] | None = None,
        brief: str = "",
        place: Place | None = None,
    ) -> None:
        super().__init__(*args)
        self.cause = cause
        self.task = task
        self._brief = printable(without_passwords(brief))
        self._place = place

    @property
    def record(self) -> Record | None:
        return self.cause.record if isinstance(self.cause, WorkerError) else None

    @property
    def place(self) -> Place | None:
        return self._place if self.record is None else self.record.place

    @property
    def input(self) -> str | None:
        if isinstance(self.cause, DataError):
            return self.cause.url
        return None if self.place is None else self.place.input

    @property
    def line(self) -> int | None:
        return None if self.place is None else self.place.line

    def report(self, with_stderr: bool = True) -> str:
        """Return the text of the error, with or without the lines of a worker's stderr."""
        return str(self) if with_stderr else self._brief or str(self)


class TaskError(JobError):
    """One task failed for good, after its retries."""


class Cancelled(TaskError):
    """The job was stopped from outside; none of its processes runs any more."""


class TooManyBadRecords(JobError):
    """The map failed on more records than `max_bad_records` allows.

    Attributes
    ----------
    bad_records : tuple of BadRecord
        Those of the task that has reached the limit by itself, or none.
    """

    def __init__(self, text: str, bad_records: tuple[Any, ...] = ()) -> None:
        super().__init__(text)
        self.bad_records = bad_records


class WaitTimeout(JobError, TimeoutError):
    """A wait for a job timed out; the job continues."""


class ModUtilImportError(JobError, ImportError):
    """A job function uses a module that cannot be found."""


class DataError(KVProtoError):
    """Input cannot be read, or is not what its reader expects.

    Attributes
    ----------
    msg, url : str
        The message, and the address of the input, or None when it is part of the message.
    code : int or None
        The status that a server answered with.
    is_final : bool
        Whether another attempt would not help, so that the job fails at once.
    """

    url: str | None = None
    code: int | None = None
    is_final: bool = False

    def __init__(
        self,
        msg: str = "",
        url: str | None = None,
        code: int | None = None,
        *,
        is_final: bool = False,
    ) -> None:
        self.msg = without_passwords(msg)
        self.url = self.url if url is None else url
        self.code = self.code if code is None else code
        self.is_final = self.is_final or is_final
        super().__init__(msg if url is None else f"{msg}: {url}")


class InvalidTag(DataError):
    """The name of a tag has invalid characters or is too long."""

    code = 403


class NoSuchTag(DataError):
    """There is no tag with that name."""

    code = 404


class DamagedTag(DataError):
    """The document of a tag cannot be read, or is malformed; the text names its file."""
