"""The directory of a job: its paths, how it is made and completed, and whether its driver lives.

Each job has a directory below `kvproto.storage.home.home()`:

    jobs/NAME@DATE-TIME-XXXXXXXX/  created exclusively, so that two jobs never share one
        events.jsonl            what happened, a JSON object a line (see `kvproto.engine.events`)
        logs/                   what task processes wrote to stdout and stderr
        files/                  its required files
        bad.jsonl               what it has set aside, if anything (see `bad_records`)
        control                 while the job runs: a FIFO that its driver holds open
        store                   the address of its shared place, if that is elsewhere
        failed                  the job itself, if a task failed before any other had finished
        tmp/                    in use while the job runs, removed at its end

Its tasks read and write in the shared place: the same directory, or one of this name in the job's
store, which may be an object store:

        job                     the name of the job; not where the two are the same
        results/                the result files; there when the job is done, not before
        results.jsonl           their names, sizes and checksums (see `manifest`)
        map-results/            what the maps wrote, of a job that keeps it, and map-results.jsonl
        oob/                    out-of-band values of its tasks (see `oob`)
        profile/                what profiled tasks measured
        unfinished/ spool/ exchange/
                                in use while the job runs, removed at its end
        journal                 the job and its finished tasks (see `kvproto.engine.journal`)

The journal of a job that has not succeeded stays, with `unfinished` and `spool`: another driver can
resume the job from its finished tasks.

An object cannot be renamed. So result objects are written to results/, and they are results when
results.jsonl says so. A store of its own also has a copy of the journal (see `journal_copy`).

A directory whose name begins with a dot is no job: it is being made or removed.

"""

from __future__ import annotations

import glob
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

from kvproto.driver import proc
from kvproto.driver.supervisor import remove_tree
from kvproto.errors import JobError
from kvproto.storage.atomic import BLOCK, open_regular, private, sync, sync_all, write_file
from kvproto.storage.control import DriverEnd, has_driver, locked
from kvproto.storage.files import files_below, publish_files
from kvproto.storage.home import home, in_home, make_directory, make_home
from kvproto.storage.results import plain_name
from kvproto.storage.store import is_object, store_of

__all__ = ["CONTROL", "JobDirectory", "JobPaths", "machine", "tidy"]

CONTROL = "control"
"""What the directory of a job has until its driver removes it at the end."""

_MAX_ADDRESS = 1 << 14


class JobPaths:
    """The paths of the job `job`, whether or not they exist; `path` is its directory."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.path = os.path.join(home(), "jobs", job)
        self.events = os.path.join(self.path, "events.jsonl")
        self.control = os.path.join(self.path, CONTROL)
        self.logs = os.path.join(self.path, "logs")
        self.files = os.path.join(self.path, "files")
        self.tmp = os.path.join(self.path, "tmp")
        self.journal = os.path.join(self.path, "journal")
        self.failed = os.path.join(self.path, "failed")
        self.bad_records = os.path.join(self.path, "bad.jsonl")
        self._set_shared(self._address() or self.path)

    def _address(self) -> str:
        """The address of the shared place, if the job has one of its own."""
        with suppress(OSError, UnicodeDecodeError), open_regular(f"{self.path}/store") as file:
            address = file.read(_MAX_ADDRESS).decode("utf-8", "surrogateescape")
            if os.path.basename(address) == self.job:
                return address
        return ""

    def _set_shared(self, shared: str) -> None:
        self.shared = shared
        self.results = os.path.join(shared, "results")
        self.map_results = os.path.join(shared, "map-results")
        self.oob = os.path.join(shared, "oob")
        self.profile = os.path.join(shared, "profile")
        self.unfinished = self.results if is_object(shared) else os.path.join(shared, "unfinished")
        self.spool = os.path.join(shared, "spool")
        self.exchange = os.path.join(shared, "exchange")
        self.journal_copy = os.path.join(shared, "journal") if self.has_store else None

    @property
    def has_store(self) -> bool:
        """Whether the shared place is not the directory of the job."""
        return self.shared != self.path

    def is_resumable(self) -> bool:
        """Whether it keeps what its finished tasks wrote."""
        with suppress(OSError):
            # The driver may have been killed after it created the file, before it wrote to it.
            return os.stat(self.journal).st_size > 0
        return False

    def is_replayable(self) -> bool:
        """Whether it keeps what one of its tasks needs to run again."""
        return self.is_resumable() or os.path.exists(self.failed)

    def resumable_bytes(self) -> int:
        """The size of what it keeps only to be resumed, in bytes; without objects of a store."""
        sizes = [0]
        for path in (self.unfinished, self.spool):
            with suppress(OSError):
                sizes += [entry.stat(follow_symlinks=False).st_size for entry in os.scandir(path)]
        with suppress(OSError):
            sizes.append(os.stat(self.journal).st_size)
        return sum(sizes)


class JobDirectory(JobPaths):
    """The directory of a new job. This process is its driver until `close()`.

    Parameters
    ----------
    name : str
        The beginning of the job's name.
    store : str or None
        The place for what its tasks read and write, as `kvproto.storage.store.store_address`
        returns it. None: the directory of the job.

    Attributes
    ----------
    job : str
        The unique name of the job.
    stop_fd : int
        A descriptor that becomes readable when the job has to stop.

    Raises
    ------
    JobError
        The directory cannot be made. The text has its path and names KVPROTO_HOME.
    """

    def __init__(self, name: str, store: str | None = None) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".-") or "job"
        super().__init__(f"{safe}@{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}")
        make_home()
        jobs, name = os.path.split(self.path)
        # Renamed once the driver is there, so that the job never seems to have lost its driver.
        temporary = os.path.join(jobs, f".{name}")
        with in_home(self.path):
            make_directory(jobs)
            try:
                for path in (self.logs, self.files, self.tmp):
                    make_directory(os.path.join(temporary, os.path.basename(path)))
                if store is None:
                    self._make_shared(temporary)
                else:
                    self._set_shared(os.path.join(store, self.job))
                    write_file(os.path.join(temporary, "store"), os.fsencode(self.shared))
                    self._make_shared(self.shared)
                self._driver = DriverEnd(os.path.join(temporary, CONTROL))
                try:
                    os.rename(temporary, self.path)
                except BaseException:  # Ctrl-C too
                    self._driver.close()
                    raise
            except BaseException:  # Ctrl-C too
                self._remove_shared()
                with suppress(OSError):
                    remove_tree(temporary)
                raise
        self._driver.moved(self.control)
        self.stop_fd = self._driver.fd

    @classmethod
    def reopen(cls, job: str) -> JobDirectory:
        """Return the directory of a job that has ended; this process becomes its driver.

        JobError if the job has a driver already, or has no events.
        """
        directory = cls.__new__(cls)
        JobPaths.__init__(directory, job)
        with in_home(directory.path), locked(directory.events) as is_there:
            if not is_there:
                raise JobError(
                    f"job {job} cannot be resumed, because none of its tasks had finished: run it "
                    f"again ({directory.events} cannot be read)"
                )
            if has_driver(directory.control):
                raise JobError(f"job {job} is active: its driver is running it")
            for path in (directory.logs, directory.files, directory.tmp):
                make_directory(path)
            directory._make_shared(directory.shared)
            with suppress(FileNotFoundError):
                os.unlink(directory.control)
            _cut_last_line(directory.events)
            directory._driver = DriverEnd(directory.control)
        directory.stop_fd = directory._driver.fd
        return directory

    def _make_shared(self, shared: str) -> None:
        """Make the directories of the shared place, and mark it as that of a job."""
        if not is_object(shared):
            make_directory(shared)
            for path in (self.oob, self.profile, self.map_results, self.unfinished, self.spool):
                make_directory(os.path.join(shared, os.path.basename(path)))
            if self.journal_copy is not None:
                make_directory(self.journal_copy)
        if self.has_store:
            path = os.path.join(shared, "job")
            store_of(path).put(path, self.job.encode())

    def _remove_shared(self) -> None:
        with suppress(OSError):
            if self.has_store:
                store_of(self.shared).remove_tree(self.shared)

    def place_files(self, files: Mapping[str, str | bytes]) -> None:
        """Put the job's required files into `files`, and an archive of them in the shared place.

        Parameters
        ----------
        files : mapping of str to str or bytes
            Name -> path of a file, which is copied with its permissions for the owner, or content.
            A name may have directories, which are made; it must not lead out of the directory.

        Raises
        ------
        JobError
            When a file cannot be copied; it names the file.
        """
        for name, source in files.items():
            path = os.path.join(self.files, name)
            with in_home(path):
                make_directory(os.path.dirname(path))
                if isinstance(source, bytes):
                    with open(path, "xb", opener=private) as file:
                        file.write(source)
                else:
                    shutil.copy(source, path)
                    os.chmod(path, os.stat(path).st_mode & 0o700)
        if files and self.has_store:
            publish_files(files_below(self.files), self.shared)

    def stop(self) -> None:
        """Ask the job to stop: `stop_fd` becomes readable."""
        self._driver.stop()

    def close(self) -> None:
        """Mark the job as ended. None of its processes may run any more."""
        self._driver.close()

    def leave(self) -> None:
        """Close this fork's copy of `control`: only the original process is the driver."""
        self._driver.leave()

    def discard(self) -> None:
        """Remove the job."""
        self.close()
        self._remove_shared()
        with suppress(OSError):
            remove_tree(self.path)

    def publish(self, paths: list[str]) -> list[str]:
        """Make files in `unfinished` the results, atomically, and return their new paths.

        They are flushed to the disk, and lose the ending of their attempt. Other files there, of
        attempts that do not count, are removed: `results` has complete files only.
        """
        names = {os.path.basename(path): plain_name(path) for path in paths}
        store = store_of(self.unfinished)
        with in_home(self.results):
            for name in store.names(self.unfinished):
                if name not in names:
                    with suppress(FileNotFoundError):  # of an attempt that is being ended
                        store.remove(os.path.join(self.unfinished, name))
            if is_object(self.results):
                return paths
            sync_all([os.path.join(self.unfinished, name) for name in names])
            for old, new in names.items():
                os.rename(os.path.join(self.unfinished, old), os.path.join(self.unfinished, new))
            sync(self.unfinished)
            os.rename(self.unfinished, self.results)
            sync_all([os.path.dirname(self.shared), self.shared])
        return [os.path.join(self.results, name) for name in names.values()]


def tidy(paths: JobPaths, *, is_done: bool = False) -> list[str]:
    """Remove the files that only a running job needs, and the unfinished ones of killed tasks.

    Empty directories for what tasks leave are removed too. What the finished tasks wrote stays,
    unless the job is done or cannot be resumed. Returns the paths that could not be removed.
    """
    left = []
    for path in _leftovers(paths, is_done):
        try:
            store_of(path).remove_tree(path)
        except OSError:
            left.append(path)
    if not is_object(paths.shared):
        for path in (paths.oob, paths.profile):
            with suppress(OSError):  # it has files, or is gone
                os.rmdir(path)
    return left


def _leftovers(paths: JobPaths, is_done: bool) -> Iterator[str]:
    keeps = paths.is_resumable() and not is_done
    yield paths.tmp
    if not keeps:
        yield paths.spool
        if paths.journal_copy is not None:
            yield paths.journal_copy
    if is_object(paths.shared):
        try:
            names = store_of(paths.shared).names(paths.shared)
        except OSError:  # whether there are results is not known: they stay
            return
        if "results.jsonl" not in names and not keeps:
            yield paths.results
    else:
        names = os.listdir(paths.shared) if os.path.isdir(paths.shared) else []
        if not keeps:
            yield paths.unfinished
        places = (paths.shared, paths.oob, paths.profile, paths.unfinished, paths.spool)
        for path in places:
            yield from glob.glob(f"{glob.escape(path)}/*.part")
    if "map-results.jsonl" not in names:
        yield paths.map_results


def _cut_last_line(path: str) -> None:
    """Remove the line at the end of a file that a killed process has not completed."""
    with open(path, "r+b") as file:
        end = at = file.seek(0, os.SEEK_END)
        while at:
            start = max(0, at - BLOCK)
            file.seek(start)
            newline = file.read(at - start).rfind(b"\n")
            if newline >= 0:
                at = start + newline + 1
                break
            at = start
        if at < end:
            file.truncate(at)


def machine() -> str:
    """Identify this machine, from its start to its end.

    A FIFO is local to a kernel: only the machine of a driver can tell whether the driver lives.
    """
    try:
        return proc.read("sys/kernel/random/boot_id").strip()
    except OSError:
        return os.uname().nodename
