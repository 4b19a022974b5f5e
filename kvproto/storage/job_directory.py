"""The directory of a job: its paths, how it is made and completed, and whether its driver lives.

Each job has a directory below `kvproto.storage.home.home()`:

    jobs/NAME@DATE-TIME-XXXXXXXX/  created exclusively, so that two jobs never share one
        events.jsonl            what happened, a JSON object a line (see `kvproto.engine.events`)
        logs/                   what task processes wrote to stdout and stderr
        results/                the result files; there when the job is done, not before
        results.jsonl           their names, sizes and checksums (see `manifest`)
        map-results/            what the maps wrote, of a job that keeps it, and map-results.jsonl
        oob/                    out-of-band values of its tasks (see `oob`)
        profile/                what profiled tasks measured
        files/                  its required files
        control                 while the job runs: a FIFO that its driver holds open
        unfinished/ spool/ tmp/ exchange/
                                in use while the job runs, removed at its end

A directory whose name begins with a dot is no job: it is being made or removed.

However the driver ends, the kernel closes its end of `control`: a process that then opens it for
writing finds no reader. Writing to it stops the job, as soon as the driver polls it.
"""

from __future__ import annotations

import errno
import glob
import math
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress

from kvproto._stdio import ready_fds
from kvproto.driver import proc
from kvproto.driver.supervisor import remove_tree
from kvproto.storage.atomic import private, sync
from kvproto.storage.home import home, in_home, make_directory, make_home
from kvproto.storage.results import plain_name
from kvproto.storage.store import store_of

__all__ = [
    "DriverEnd",
    "JobDirectory",
    "JobPaths",
    "has_driver",
    "machine",
    "tell_to_stop",
    "tidy",
    "wait_for_end",
]


class JobPaths:
    """The paths in the directory of the job `job`, whether or not they exist."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.path = os.path.join(home(), "jobs", job)
        self.events = os.path.join(self.path, "events.jsonl")
        self.control = os.path.join(self.path, "control")
        self.logs = os.path.join(self.path, "logs")
        self.results = os.path.join(self.path, "results")
        self.map_results = os.path.join(self.path, "map-results")
        self.oob = os.path.join(self.path, "oob")
        self.profile = os.path.join(self.path, "profile")
        self.files = os.path.join(self.path, "files")
        self.unfinished = os.path.join(self.path, "unfinished")
        self.spool = os.path.join(self.path, "spool")
        self.tmp = os.path.join(self.path, "tmp")
        self.exchange = os.path.join(self.path, "exchange")


class JobDirectory(JobPaths):
    """The directory of a new job. This process is its driver until `close()`.

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

    def __init__(self, name: str) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".") or "job"
        super().__init__(f"{safe}@{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}")
        make_home()
        jobs, name = os.path.split(self.path)
        # Renamed once the driver is there, so that the job never seems to have lost its driver.
        temporary = os.path.join(jobs, f".{name}")
        with in_home(self.path):
            make_directory(jobs)
            try:
                lasting = (self.logs, self.oob, self.profile, self.files, self.map_results)
                for path in (*lasting, self.unfinished, self.spool, self.tmp):
                    make_directory(os.path.join(temporary, os.path.basename(path)))
                self._driver = DriverEnd(os.path.join(temporary, os.path.basename(self.control)))
                try:
                    os.rename(temporary, self.path)
                except BaseException:  # Ctrl-C too
                    self._driver.close()
                    raise
            except BaseException:  # Ctrl-C too
                with suppress(OSError):
                    remove_tree(temporary)
                raise
        self._driver.moved(self.control)
        self.stop_fd = self._driver.fd

    def place_files(self, files: Mapping[str, str | bytes]) -> None:
        """Put the job's required files into `files`, where its tasks work.

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
        with suppress(OSError):
            remove_tree(self.path)

    def publish(self, paths: list[str]) -> list[str]:
        """Make files in `unfinished` the results, atomically, and return their new paths.

        They are flushed to the disk, and lose the ending of their attempt. Other files there, of
        attempts that do not count, are removed: `results` has complete files only.
        """
        names = {os.path.basename(path): plain_name(path) for path in paths}
        with in_home(self.results):
            store = store_of(self.unfinished)
            for name in store.names(self.unfinished):
                path = os.path.join(self.unfinished, name)
                if name in names:
                    sync(path)
                    os.rename(path, os.path.join(self.unfinished, names[name]))
                else:
                    with suppress(FileNotFoundError):  # of an attempt that is being ended
                        store.remove(path)
            sync(self.unfinished)
            os.rename(self.unfinished, self.results)
            sync(os.path.dirname(self.path))
            sync(self.path)
        return [os.path.join(self.results, name) for name in names.values()]


def tidy(paths: JobPaths) -> list[str]:
    """Remove the files that only a running job needs, and the unfinished ones of killed tasks.

    Returns the paths that could not be removed.
    """
    leftovers = [paths.unfinished, paths.spool, paths.tmp]
    if not os.path.exists(f"{paths.map_results}.jsonl"):
        leftovers.append(paths.map_results)
    leftovers += [
        part
        for path in (paths.oob, paths.profile)
        for part in glob.glob(f"{glob.escape(path)}/*.part")
    ]
    left = []
    for path in leftovers:
        try:
            remove_tree(path)
        except OSError:
            left.append(path)
    return left


def machine() -> str:
    """Identify this machine, from its start to its end.

    A FIFO is local to a kernel: only the machine of a driver can tell whether the driver lives.
    """
    try:
        return proc.read("sys/kernel/random/boot_id").strip()
    except OSError:
        return os.uname().nodename


class DriverEnd:
    """The driver's end of a new FIFO, `path`; `fd` becomes readable after `stop()`.

    `stop` may be called from any thread, and does nothing after `close`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        os.mkfifo(path, 0o600)
        os.chmod(path, 0o600)  # whatever the umask
        # A writer too: a mere reader would become readable, at end of file, when the last writer
        # closes it.
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._is_open = True
        # `stop` must not write to a closed descriptor, whose number may be reused.
        self._using = threading.Lock()

    def stop(self) -> None:
        """Ask this driver to stop."""
        with self._using:
            if self._is_open:
                _write(self.fd)

    def moved(self, path: str) -> None:
        """Note the new path of the FIFO."""
        self._path = path

    def leave(self) -> None:
        """Close this fork's copy."""
        os.close(self.fd)

    def close(self) -> None:
        """Remove the FIFO: the job then has no driver."""
        with self._using:
            self._is_open = False
            os.close(self.fd)
        with suppress(OSError):
            os.unlink(self._path)


def has_driver(path: str) -> bool:
    """Whether a process holds the driver's end open."""
    fd = _open(path)
    if fd is None:
        return False
    os.close(fd)
    return True


def wait_for_end(paths: Iterable[str], seconds: float) -> bool:
    """Wait until no process holds one of the drivers' ends open; False when time is up."""
    with ExitStack() as opened:
        fds = []
        for path in paths:
            fd = _open(path)
            if fd is None:
                return True
            opened.callback(os.close, fd)
            fds.append(fd)
        return bool(ready_fds(left=fds, seconds=None if seconds == math.inf else seconds))


def tell_to_stop(path: str) -> bool:
    """Ask the driver to stop; False when there is none."""
    fd = _open(path)
    if fd is None:
        return False
    try:
        _write(fd)
    except BrokenPipeError:
        return False
    finally:
        os.close(fd)
    return True


def _open(path: str) -> int | None:
    """Open the FIFO for writing; None when nobody reads it, or it is no FIFO."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as e:
        if e.errno in (errno.ENXIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
            return None
        raise
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _write(fd: int) -> None:
    with suppress(BlockingIOError):  # full of earlier requests
        os.write(fd, b"stop\n")
