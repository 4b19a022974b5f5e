"""The main of a task process: takes calls from the driver one at a time, and sends back events and results.

Ends when the driver closes the connection or dies, in the middle of a task too: the connection is read by a
thread of its own for that. What a job function prints becomes messages; descriptors 1 and 2 are the log.
"""

from __future__ import annotations

import io
import os
import pickle
import queue
import sys
import threading
import traceback
from multiprocessing.connection import Connection

from kvproto.engine.events import begin_task, emit, end_task, set_sink
from kvproto.engine.report import report
from kvproto._text import without_passwords
from kvproto.errors import DataError, JobError, WorkerError, WorkerNotStarted, WorkerReported

__all__ = ["main"]

_MAX_LINE = 1 << 16


def main(fd: int) -> None:
    """Serve calls that come over the socket `fd` until it is closed.

    In: ("stage", name, prepare as pickle or None, fn as cloudpickle bytes), ("call", index, call as bytes). Out: ("event", dict),
    ("result", index, value), ("error", index, report, error as pickle or None, worth another try).
    """
    os.set_inheritable(fd, False)
    connection = Connection(fd)
    calls: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, calls), daemon=True).start()
    sending = threading.Lock()  # a job function may have threads of its own that print
    os.register_at_fork(
        before=sending.acquire, after_in_parent=sending.release, after_in_child=sending.release
    )

    def send(message: tuple) -> None:
        with sending:
            connection.send(message)

    set_sink(lambda event: send(("event", event)))
    prints, surroundings = _Prints(), _Surroundings()
    own, data, log = os.getpid(), b"", _log_name()
    while True:
        kind, *details = calls.get()
        if kind == "stage":
            _, prepare, data = details
            if prepare is not None:
                pickle.loads(prepare)()
            continue
        index, call = details
        try:
            sys.stdout = prints
            begin_task()
            surroundings.restore()
            fn = _functions(
                data
            )  # anew for each task: what one keeps in params is not there for the next
            answer = ("result", index, fn(pickle.loads(call)))
        except BaseException as e:  # whatever it is, SystemExit too, it is this task's failure
            answer = (
                "error",
                index,
                without_passwords(report(e)),
                _portable(e),
                _worth_another_try(e),
            )
        if os.getpid() != own:
            os._exit(
                1
            )  # a fork that came back from a job function: the task's answer is not its to give
        prints.flush()
        end_task(log)
        send(answer)


def _log_name() -> str:
    """The file that this process has as its stderr."""
    try:
        return os.readlink("/proc/self/fd/2")
    except OSError:
        return "the log of the task's process"


def _functions(data: bytes):
    try:
        return pickle.loads(data)
    except ImportError as e:
        raise JobError(
            f"the job's functions or params need a module that its tasks cannot import: {e}; have it on sys.path when "
            "the job is run, or give required_modules its name and the path of its file"
        ) from e


def _receive(connection: Connection, calls: queue.SimpleQueue) -> None:
    while True:
        try:
            calls.put(pickle.loads(connection.recv_bytes()))
        except (EOFError, OSError):
            os._exit(
                0
            )  # the driver is gone or wants no more: nobody is left to read what the task would give
        except (
            BaseException
        ):  # no memory for it, say: without this thread the driver would wait for ever
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)


class _Surroundings:
    """The working directory and the environment as they are now: what a task does to them is not there for the next."""

    def __init__(self) -> None:
        try:
            self._directory: str | None = os.getcwd()
        except FileNotFoundError:  # it was removed under the driver
            self._directory = None
        self._environment = dict(os.environ)

    def restore(self) -> None:
        if self._directory is not None:
            os.chdir(self._directory)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)


class _Prints(io.TextIOBase):
    """sys.stdout of a job function: each line becomes a message; one of more than 64 Ki characters is cut, and says so."""

    def __init__(self) -> None:
        self._line, self._n_characters = "", 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, begun = text.split("\n")
        for line in lines:
            self._add(line)
            self._tell()
        self._add(begun)
        return len(text)

    def flush(self) -> None:
        if self._n_characters:
            self._tell()

    def _add(self, text: str) -> None:
        self._n_characters += len(text)
        self._line += text[: _MAX_LINE - len(self._line)]

    def _tell(self) -> None:
        cut = (
            f" [cut: the line has {self._n_characters} characters]"
            if self._n_characters > _MAX_LINE
            else ""
        )
        line, self._line, self._n_characters = self._line + cut, "", 0
        emit("message", kind="MSG", text=line)


def _worth_another_try(error: BaseException) -> bool:
    """A worker program or an input may do better next time; an ERR, a final DataError or a bug in a job function will not."""
    if isinstance(error, DataError):
        return not error.is_final
    return isinstance(error, WorkerError) and not isinstance(
        error, (WorkerReported, WorkerNotStarted)
    )


def _portable(error: BaseException) -> bytes | None:
    """The error as pickle where it survives that, for the driver's `__cause__`; bytes, as the driver may not know its class."""
    try:
        data = pickle.dumps(error)
        return data if type(pickle.loads(data)) is type(error) else None
    except Exception:
        return None
