"""The main program of a task process: run the driver's calls one by one, send events and results.

A thread reads the connection, so that the process ends when the driver closes it or dies, even in
the middle of a task. Each line that a job function prints becomes a message; descriptors 1 and 2
are the log. An error becomes a text for the author of the job: it has the frames of the job's code,
but not kvproto's.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import pickle
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, TextIO

from kvproto._record import Place, place_of
from kvproto._text import without_passwords
from kvproto.driver import proc
from kvproto.driver.files import read_later
from kvproto.engine.connection import Connection
from kvproto.engine.task_events import begin_task, emit_message, end_task, set_sink
from kvproto.engine.usage import Watch
from kvproto.errors import (
    DataError,
    JobError,
    KVProtoError,
    WorkerError,
    WorkerNotStarted,
    WorkerReported,
)

__all__ = ["Failure", "Surroundings", "failure_of", "is_own_error", "main"]

_MAX_LINE = 1 << 16
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Failure(NamedTuple):
    """How an attempt failed.

    Parameters
    ----------
    report : str
        The whole error.
    brief : str
        The error without a worker's stderr, which was sent as messages already.
    error : bytes, BaseException or None
        The error. It is pickled if it comes from another process, because the driver may not know
        its class; None if it cannot be pickled.
    may_retry : bool
        Whether another attempt may succeed.
    place : Place or None
        Where the entry comes from on which a function failed.
    """

    report: str
    brief: str
    error: bytes | BaseException | None
    may_retry: bool
    place: Place | None = None


def main(fd: int) -> None:
    """Run the calls that come over the socket `fd`, until it is closed.

    The driver sends ("stage", name, prepare as pickle or None, fn as cloudpickle bytes) and
    ("call", index, attempt, call as bytes). This process sends ("event", Event), ("result", index,
    value, TaskEnded) and ("error", index, Failure, TaskEnded).
    """
    faulthandler.enable(2, all_threads=False)  # a crash leaves its stack in the log
    os.set_inheritable(fd, False)
    read_later()
    connection = Connection(fd)
    calls: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, calls), daemon=True).start()
    sending = threading.Lock()  # a job function may have threads that print
    os.register_at_fork(
        before=sending.acquire, after_in_parent=sending.release, after_in_child=sending.release
    )

    def send(message: tuple[Any, ...]) -> None:
        data = pickle.dumps(message)
        with sending:
            connection.send(data)

    set_sink(lambda event: send(("event", event)))
    prints, surroundings = _Prints(), Surroundings()
    pid, stage, data, log = os.getpid(), "", b"", _log_name()
    while True:
        kind, *details = calls.get()
        if kind == "stage":
            stage, prepare, data = details
            if prepare is not None:
                pickle.loads(prepare)()
            continue
        index, attempt, call = details
        watch = Watch()
        answer: tuple[Any, ...]
        try:
            sys.stdout = prints
            begin_task(stage, index, log)
            surroundings.restore()
            # Unpickled again for each task, which starts with fresh params.
            answer = ("result", index, _function(data)(pickle.loads(call)))
        except BaseException as e:  # the task has failed, whatever it is: SystemExit too
            answer = ("error", index, failure_of(e, sys.__stderr__))
        if os.getpid() != pid:
            os._exit(1)  # a fork that returned from the job function: only its parent answers
        prints.flush()
        outcome = "done" if answer[0] == "result" else "failed"
        send((*answer, end_task(attempt, outcome, watch.usage())))


def _log_name() -> str:
    """The path of the file that is the stderr of this process."""
    try:
        return os.readlink(proc.fd_path("self", 2))
    except OSError:
        return "the log of the task process"


def _function(data: bytes) -> Callable[[Any], Any]:
    try:
        function: Callable[[Any], Any] = pickle.loads(data)
    except ImportError as e:
        raise JobError(
            "the job's functions or params need a module that its tasks cannot import: "
            f"{e}; put it on sys.path before you run the job, or give required_modules its name "
            "and the path of its file"
        ) from e
    return function


def _receive(connection: Connection, calls: queue.SimpleQueue[tuple[Any, ...]]) -> None:
    while True:
        try:
            calls.put(pickle.loads(connection.receive()))
        except (EOFError, OSError):
            # The driver is gone or needs no more results.
            os._exit(0)
        except BaseException:
            # For example a MemoryError. Without this thread the driver would wait forever.
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)


class Surroundings:
    """The working directory and the environment, which are restored before each task."""

    def __init__(self) -> None:
        try:
            self._directory: str | None = os.getcwd()
        except FileNotFoundError:  # somebody removed it
            self._directory = None
        self._environment = dict(os.environ)

    def restore(self) -> None:
        if self._directory is not None:
            os.chdir(self._directory)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)


class _Prints(io.TextIOBase):
    """sys.stdout of a job function: each line becomes a message, cut at 64 Ki characters."""

    def __init__(self) -> None:
        self._line, self._n_characters = "", 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "\n" not in text:  # print() writes each of its arguments
            self._add(text)
        elif text == "\n":
            self._send()
        else:
            *lines, rest = text.split("\n")
            for line in lines:
                self._add(line)
                self._send()
            self._add(rest)
        return len(text)

    def flush(self) -> None:
        if self._n_characters:
            self._send()

    def _add(self, text: str) -> None:
        self._n_characters += len(text)
        self._line += text[: _MAX_LINE - len(self._line)]

    def _send(self) -> None:
        line, n_characters = self._line, self._n_characters
        self._line, self._n_characters = "", 0
        if n_characters > _MAX_LINE:
            line += f" [cut: the line has {n_characters} characters]"
        emit_message(line)


# --- errors ------------------------------------------------------------------------------------


def failure_of(error: BaseException, log: TextIO | None) -> Failure:
    """How an attempt failed that raised this error; the log gets a traceback that nobody sees."""
    report = without_passwords(_report(error, log))
    brief = report
    if isinstance(error, WorkerError):
        brief = without_passwords(_of_kvproto(error, error.report(with_stderr=False)))
    return Failure(report, brief, _portable(error), _may_retry(error), place_of(error))


def _may_retry(error: BaseException) -> bool:
    """Whether another attempt may succeed: not after an ERR, a final DataError or a bug."""
    if isinstance(error, DataError):
        return not error.is_final
    is_final = isinstance(error, (WorkerReported, WorkerNotStarted))
    return isinstance(error, WorkerError) and not is_final


def _portable(error: BaseException) -> bytes | None:
    """The pickled error; None if it does not survive that."""
    try:
        data = pickle.dumps(error)
        return data if type(pickle.loads(data)) is type(error) else None
    except Exception:  # anything that the job's own class raises
        return None


def _report(error: BaseException, log: TextIO | None) -> str:
    """The whole error: kvproto's own text, or the traceback without kvproto's frames.

    If all frames are kvproto's, the traceback goes to the log. A TypeError or ValueError is then
    about a job function, and needs no frames.
    """
    if isinstance(error, KVProtoError):
        return _of_kvproto(error, str(error))
    error = _raised_by_the_user(error)
    shown = traceback.TracebackException.from_exception(error, compact=True)
    has_frames = [_without_ours(part) for part in _parts(shown)]
    if any(has_frames):
        return "".join(shown.format()).rstrip()
    print(without_passwords("".join(traceback.format_exception(error))), file=log)
    if isinstance(error, (TypeError, ValueError)):
        return "".join(traceback.format_exception_only(error)).rstrip()
    # A bug in kvproto: show its frames, because there are no others.
    return "".join(traceback.format_exception(error)).rstrip()


def _of_kvproto(error: KVProtoError, text: str) -> str:
    return "\n".join([f"{type(error).__name__}: {text}", *getattr(error, "__notes__", ())])


def _raised_by_the_user(error: BaseException) -> BaseException:
    """The StopIteration of a job function if a generator turned it into this RuntimeError."""
    cause = error.__cause__
    if (
        not isinstance(error, RuntimeError)
        or not isinstance(cause, StopIteration)
        or "StopIteration" not in str(error)
    ):
        return error
    frames = traceback.walk_tb(error.__traceback__)
    if not all(_is_ours(frame.f_code.co_filename) for frame, _ in frames):
        return error
    for note in getattr(error, "__notes__", ()):
        cause.add_note(note)
    return cause


def _parts(shown: traceback.TracebackException | None) -> list[traceback.TracebackException]:
    """An error, its causes and contexts, and those of the errors in a group."""
    if shown is None:
        return []
    inner = [shown.__cause__, shown.__context__, *(getattr(shown, "exceptions", None) or ())]
    return [shown, *(part for other in inner for part in _parts(other))]


def _without_ours(shown: traceback.TracebackException) -> bool:
    """Remove the frames of kvproto, and of contextlib below them; return whether any are left."""
    others, is_below_ours = [], True
    for frame in shown.stack:
        if _is_ours(frame.filename):
            is_below_ours = True
        elif not (is_below_ours and frame.filename == contextlib.__file__):
            is_below_ours = False
            others.append(frame)
    shown.stack[:] = others
    return bool(others)


def is_own_error(error: BaseException) -> bool:
    """Whether the line that raised an error is one of kvproto."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return _is_ours(frame.f_code.co_filename)


def _is_ours(file: str) -> bool:
    return file.startswith(_PACKAGE)
