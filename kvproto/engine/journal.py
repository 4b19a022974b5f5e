"""What the driver of a job keeps, so that another one can resume it: the job, and finished tasks.

The first record of the journal is the job itself, and each later one is an attempt that the driver
has accepted. The journal begins with the first of these: a job without any finished task leaves
nothing. Files of attempts that were not accepted are of no use to another driver.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import kvproto
from kvproto.engine.bad_log import resume_bad_records
from kvproto.engine.calls import Finished
from kvproto.engine.counters import Counters
from kvproto.engine.event_log import EventLog
from kvproto.engine.events import Note, Resumed
from kvproto.engine.job_handle import JobHandle
from kvproto.engine.sources import Source
from kvproto.engine.spec import JobSpec
from kvproto.engine.starts import last_machine
from kvproto.errors import DataError, JobError, KVProtoError
from kvproto.inputs.schemes import Input
from kvproto.storage.job_directory import JobDirectory, JobPaths, machine
from kvproto.storage.journal import JournalFile, read_journal
from kvproto.storage.journal_copy import JournalCopy, read_copy
from kvproto.storage.manifest import names_of
from kvproto.storage.results import Result, plain_name
from kvproto.storage.spool_index import SpoolFile
from kvproto.storage.store import is_object, store_of
from kvproto.storage.whole import first_damaged

__all__ = ["Journal", "Planned", "Saved", "load", "log_resumed", "published", "versions"]

Accepted: TypeAlias = dict[str, dict[int, Finished[Any]]]
"""Stage -> index of a task -> the attempt that was accepted."""

_DRIVER = b"driver "
"""The beginning of a record with which a driver takes a job over; others are pickles."""


class Planned(NamedTuple):
    """A job as it was at its start.

    Attributes
    ----------
    n_processes : int
        For how many tasks at a time its tasks are planned.
    n_allowed : int
        How many tasks may run at a time.
    speculate : bool
        Whether a slow task may get a second attempt.
    """

    spec: JobSpec
    inputs: Sequence[Input]
    n_processes: int
    n_allowed: int
    speculate: bool


class Saved(NamedTuple):
    """A job as its journal has it, and where it ran.

    Attributes
    ----------
    kvproto, python : str
        The versions.
    directory : str
        The working directory of the driver.
    path : list of str
        Its sys.path.
    with_old_names : bool
        Whether the names of Disco could be imported.
    sources : list of Source
        The files that the job comes from.
    scripts : dict
        The files of functions that are pickled with their code, by their qualified names.
    job : bytes
        The rest, pickled.
    """

    kvproto: str
    python: str
    directory: str
    path: list[str]
    with_old_names: bool
    sources: list[Source]
    scripts: dict[str, str]
    job: bytes


class Journal:
    """The journal of a job that runs.

    Parameters
    ----------
    paths : JobPaths
        Of the job.
    saved : Saved or None
        The job, for a new journal. None: the job cannot be resumed, and nothing is written.
    finished : dict, optional
        Stage -> index of a task -> its `Finished`, of a job that is resumed.
    n_bytes : int
        The bytes of the complete records of a journal that continues.
    n_copied : int
        The number of files of its copy, if the job has a store of its own.
    uncopied : list of bytes
        Its records that the copy does not have.

    Attributes
    ----------
    is_resumed : bool
    """

    def __init__(
        self,
        paths: JobPaths,
        saved: Saved | None = None,
        finished: Accepted | None = None,
        n_bytes: int = 0,
        n_copied: int = 0,
        uncopied: Sequence[bytes] = (),
    ) -> None:
        self.path = paths.journal
        self._copy = (
            None if paths.journal_copy is None else JournalCopy(paths.journal_copy, n_copied)
        )
        self._uncopied = list(uncopied)
        self.is_resumed = finished is not None
        self._finished = finished or {}
        self._counters = Counters()  # of the attempts that were accepted since
        self._paths = {
            file.path
            for of_stage in self._finished.values()
            for one in of_stage.values()
            for file in _files(one)
        }
        self._file = JournalFile(self.path, n_bytes)
        self._failed_path = paths.failed
        self._is_kept = self.is_resumed or saved is not None
        self._first = [] if saved is None else [_pickled(saved)]

    def finished(self, stage: str) -> dict[int, Finished[Any]]:
        """The tasks of a stage that do not have to run, by their indexes."""
        return self._finished.get(stage, {})

    def versions(self) -> dict[str, str]:
        """The versions of inputs that these tasks have read: URL -> version."""
        of_tasks = (one.versions for tasks in self._finished.values() for one in tasks.values())
        return {url: read for versions in of_tasks for url, read in versions.items()}

    def counters(self) -> dict[str, int]:
        """What all accepted attempts have counted: name -> sum. JobError for too many counters."""
        sums = Counters()
        for of_stage in self._finished.values():
            for finished in of_stage.values():
                sums.update(finished.counters)
        sums.update(self._counters)
        return dict(sums)

    def accept(self, stage: str, index: int, finished: Finished[Any]) -> None:
        """Record an attempt that succeeded."""
        self._counters.update(finished.counters)
        if self._is_kept:
            self._paths.update(file.path for file in _files(finished))
            # The driver has stored its values already.
            records = [*self._first, pickle.dumps((stage, index, finished._replace(put={})))]
            self._file.append(records)
            self._first = []
            if self._copy is not None:
                self._copy.append(records)

    def keep_failed(self) -> None:
        """Keep the job for a replay of the task that failed, though none has finished."""
        if self._first:
            with closing(JournalFile(self._failed_path)) as file:
                file.append(self._first)

    def take_over(self) -> None:
        """Become the only driver of the job, on all machines that see its store.

        JobError if another driver was faster.
        """
        if self._copy is not None:
            record = _DRIVER + os.urandom(8).hex().encode()
            self._copy.append([*self._uncopied, record])
            self._file.append([record])

    def flush(self) -> None:
        """Write what the copy does not have yet."""
        if self._copy is not None:
            self._copy.flush()

    def remove_others(self, directories: Iterable[str]) -> None:
        """Remove the files in these directories that no accepted attempt wrote."""
        for directory in directories:
            store = store_of(directory)
            with suppress(OSError):  # they are removed together with the job
                for name in store.names(directory):
                    path = os.path.join(directory, name)
                    if path not in self._paths:
                        store.remove(path)

    def remove(self) -> None:
        """Remove the journal: the job is done."""
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if os.path.exists(self.path):
            with suppress(KVProtoError):  # the error with which the job failed counts
                self.flush()

    def skipped(self) -> list[str]:
        """The tasks that do not have to run, such as "map:0-7"."""
        return [
            f"{stage}:{first}-{last}" if last > first else f"{stage}:{first}"
            for stage, of_stage in self._finished.items()
            for first, last in _ranges(sorted(of_stage))
        ]

    def undo_renames(self) -> None:
        """Give result files their names back, if a driver ended while it was publishing them."""
        for path in self._paths:
            plain = os.path.join(os.path.dirname(path), plain_name(path))
            if os.path.exists(plain) and not os.path.exists(path):
                os.rename(plain, path)

    def drop_damaged(self, *, with_content: bool) -> Iterator[str]:
        """Forget each task whose files are not complete; yields what is wrong with it."""
        for stage, of_stage in self._finished.items():
            for index, finished in sorted(of_stage.items()):
                path = first_damaged(_files(finished), with_content=with_content)
                if path is not None:
                    del of_stage[index]
                    yield f"{path} is missing or damaged: task {stage}:{index} runs again"


def _files(finished: Finished[Any]) -> Sequence[SpoolFile | Result]:
    output = finished.output
    return [output] if isinstance(output, SpoolFile) else output


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """The first and the last number of each range of successive numbers."""
    for _, numbered in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in numbered]
        yield run[0], run[-1]


def _pickled(saved: Saved) -> bytes:
    """Pickle only builtins: another version has to read which one wrote them."""
    return pickle.dumps({**saved._asdict(), "sources": [tuple(one) for one in saved.sources]})


def load(paths: JobPaths, *, to_resume: bool = True) -> tuple[Saved, Journal]:
    """Read the journal of a job. JobError if it is damaged, or if other versions wrote it.

    It must have a finished task, unless it is read `to_resume` nothing, but to replay a task.
    """
    try:
        records, n_bytes, copied, n_copied = _read(paths)
        if not records and not to_resume:
            records, n_bytes = read_journal(paths.failed)
    except DataError as e:
        raise JobError(f"{e}; run the job again from its start") from e
    if len(records) < 2 and to_resume:
        raise JobError(
            f"job {paths.job} cannot be resumed, because none of its tasks had finished: "
            "run it again"
        )
    saved: dict[str, Any] = pickle.loads(records[0])
    for part, now in versions().items():
        if saved[part] != now:
            name = part.capitalize() if part == "python" else part
            raise JobError(
                f"this is {name} {now}, and the job ran with {name} {saved[part]}: "
                f"use {name} {saved[part]}, or run it again from its start"
            )
    sources = [Source(*source) for source in saved["sources"]]
    accepted: Accepted = {}
    for record in records[1:]:
        if record.startswith(_DRIVER):
            continue
        stage, index, finished = pickle.loads(record)
        accepted.setdefault(stage, {})[index] = finished
    journal = Journal(paths, None, accepted, n_bytes, n_copied, records[len(copied) :])
    return Saved(**{**saved, "sources": sources}), journal


def _read(paths: JobPaths) -> tuple[list[bytes], int, list[bytes], int]:
    """The records of a journal, their bytes, those of its copy, and the number of its files.

    If a driver on another machine went on with the copy, the journal becomes what the copy is.
    """
    records, n_bytes = read_journal(paths.journal) if paths.is_resumable() else ([], 0)
    if paths.journal_copy is None:
        return records, n_bytes, records, 0
    copied, n_copied = read_copy(paths.journal_copy)
    if _drivers(copied) - _drivers(records):
        with closing(JournalFile(paths.journal)) as file:
            file.append(copied)
        records, n_bytes = read_journal(paths.journal)
    return records, n_bytes, copied, n_copied


def _drivers(records: list[bytes]) -> set[bytes]:
    return {record for record in records if record.startswith(_DRIVER)}


def versions() -> dict[str, str]:
    """The versions on which the files of a job depend: fields of `Saved`."""
    return {
        "kvproto": kvproto.__version__,
        "python": ".".join(map(str, sys.version_info[:2])),
    }


# --- a driver that resumes a job ---------------------------------------------------------------


def log_resumed(directory: JobDirectory, journal: Journal, log: EventLog, engine: str) -> float:
    """Check what the finished tasks wrote, log the start, and return how long the job has run."""
    notes: list[str] = []
    if published(directory) is None:
        # The kernel of a machine that has stopped may not have written what it had in memory.
        is_in_doubt = last_machine(directory) != machine() and not directory.has_store
        journal.undo_renames()
        notes += journal.drop_damaged(with_content=is_in_doubt)
        journal.remove_others((directory.unfinished, directory.spool))
    resume_bad_records(directory, journal.finished("map"))
    seconds = JobHandle(directory.job).seconds_so_far()
    log(Resumed(journal.skipped(), seconds, machine(), engine))
    for note in notes:
        log(Note(note))
    return seconds


def published(directory: JobDirectory) -> list[str] | None:
    """The paths of the results, if a driver has published them before it ended."""
    names = names_of(directory.results)
    if names is None or not (is_object(directory.results) or os.path.isdir(directory.results)):
        return None
    return [os.path.join(directory.results, name) for name in names]
