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
        unfinished/ spool/ tmp/ in use while the job runs, removed at its end

A directory whose name begins with a dot is no job: it is being made or removed.

The kernel closes `control` when the driver ends, in whatever way: whoever opens it for writing then
finds no reader. Writing to it stops the job, as soon as the driver's pool sees that it is readable.
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
from kvproto.storage.store import LOCAL

__all__ = [
    "DriverEnd",
    "JobDirectory",
    "JobPaths",
    "has_driver",
    "machine",
    "tell_to_stop",
    "tidied",
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


class JobDirectory(JobPaths):
    """The directory of a new job. This process is its driver until `close()`.

    JobError that names the path and KVPROTO_HOME when it cannot be made.

    job      the unique name of the job
    stop_fd  a file descriptor that becomes readable when the job has to stop
    """

    def __init__(self, name: str) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".") or "job"
        super().__init__(f"{safe}@{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}")
        make_home()
        jobs, name = os.path.split(self.path)
        # It is renamed when it has its driver: no job seems to have lost the driver.
        aside = os.path.join(jobs, f".{name}")
        with in_home(self.path):
            make_directory(jobs)
            try:
                for path in (
                    self.logs,
                    self.oob,
                    self.profile,
                    self.files,
                    self.map_results,
                    self.unfinished,
                    self.spool,
                    self.tmp,
                ):
                    make_directory(os.path.join(aside, os.path.basename(path)))
                self._driver = DriverEnd(os.path.join(aside, os.path.basename(self.control)))
                os.rename(aside, self.path)
            except BaseException:  # Ctrl-C too
                with suppress(OSError):
                    remove_tree(aside)
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
        """Ask for the end of the job: `stop_fd` becomes readable."""
        self._driver.stop()

    def close(self) -> None:
        """Let others see that the job has ended. Nothing of it may run any more."""
        self._driver.close()

    def leave(self) -> None:
        """Close this fork's copy of the connection: only the original process is the driver."""
        self._driver.leave()

    def discard(self) -> None:
        """Remove the job."""
        self.close()
        with suppress(OSError):
            remove_tree(self.path)

    def publish(self, paths: list[str]) -> list[str]:
        """Make files in `unfinished` the results, at once and on the disk; return their paths.

        Other files there, which killed attempts were writing, are removed: `results` holds only
        whole files.
        """
        names = {os.path.basename(path) for path in paths}
        with in_home(self.results):
            for name in LOCAL.names(self.unfinished):
                if name not in names:
                    LOCAL.remove(os.path.join(self.unfinished, name))
            for path in (*paths, self.unfinished):
                sync(path)
            os.rename(self.unfinished, self.results)
            sync(os.path.dirname(self.path))
            sync(self.path)
        return [os.path.join(self.results, os.path.basename(path)) for path in paths]

    def tidy(self) -> list[str]:
        """Remove what only a running job needs; see `tidied`."""
        return tidied(self)


def tidied(paths: JobPaths) -> list[str]:
    """Remove what only a running job needs, and the unfinished files of killed tasks.

    Return what could not be removed.
    """
    begun = [paths.unfinished, paths.spool, paths.tmp]
    if not os.path.exists(f"{paths.map_results}.jsonl"):
        begun.append(paths.map_results)
    begun += [
        part
        for path in (paths.oob, paths.profile)
        for part in glob.glob(f"{glob.escape(path)}/*.part")
    ]
    left = []
    for path in begun:
        try:
            remove_tree(path)
        except OSError:
            left.append(path)
    return left


def machine() -> str:
    """Identify this machine, from its start to its end.

    A FIFO belongs to the kernel: only the machine of a driver knows whether it lives.
    """
    try:
        return proc.read("sys/kernel/random/boot_id").strip()
    except OSError:
        return os.uname().nodename


class DriverEnd:
    """The driver's end of a new FIFO, `path`; `fd` becomes readable by `stop()`.

    `stop` may be called from any thread, and does nothing after `close`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        os.mkfifo(path, 0o600)
        os.chmod(path, 0o600)  # whatever the umask
        # It is a writer too: otherwise it would become readable, for the end of file, when the
        # last other writer closes it.
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._is_open = True
        self._using = threading.Lock()  # a closed descriptor's number may be another file's

    def stop(self) -> None:
        """Ask this driver to stop."""
        with self._using:
            if self._is_open:
                _write(self.fd)

    def moved(self, path: str) -> None:
        """Note the new path of the FIFO."""
        self._path = path

    def leave(self) -> None:
        """Close the copy of a fork."""
        os.close(self.fd)

    def close(self) -> None:
        """Remove the FIFO: the job has no driver any more."""
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
    with suppress(BlockingIOError):  # full: it was asked often enough
        os.write(fd, b"stop\n")
