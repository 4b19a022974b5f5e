"""What processes do, from /proc: the proof of a hang, their memory, and their open files.

`look` sees every thread of the worker and of all processes that it started. If `proof` says that
they wait forever, they do, however loaded the machine is. There is no proof if a thread sleeps,
runs, or waits with a time limit, if a wait includes a timer or a socket, or if the kernel does not
say enough. Linux on x86_64 and aarch64 only.

Why it is a proof: the kernel counts a context switch each time a thread leaves the processor. If
two looks, one after the other, show the same threads with the same counts in the same waits, there
was an instant between them at which all threads waited at once. Only a byte, a wake-up or a signal
can end such a wait. Each would have to come from one of those threads, or from the kit, which does
nothing in the meantime.

Without a proof, `readers` may still show that the worker waits for input. No more can be known
about a program whose run-time sets timers (all Go programs catch SIGALRM) or has a thread that
wakes up now and then.
"""

from __future__ import annotations

import os
import platform
import stat
import threading
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from kvproto.driver import proc

__all__ = [
    "STARTING",
    "Thread",
    "can_look",
    "has_open",
    "is_still",
    "look",
    "memory",
    "peak",
    "proof",
    "readers",
]


STARTING = threading.Lock()
"""Hold this to start a process, or to look for a proof.

Until its exec, a new process has copies of all pipes of the kit, among them the end of a worker's
stdin that the kit has closed."""


class Thread(NamedTuple):
    """A thread at one look.

    does   in words: "read of stdin", "nanosleep", "runs"
    waits  whether only the worker's processes or the kit can end its wait, and no time limit
    idles  the same, whatever its time limits and timers
    reads  whether it waits for input, on stdin alone or on several files at once
    """

    pid: int
    tid: int
    name: str
    call: str
    n_switches: str
    does: str
    waits: bool
    idles: bool
    reads: bool

    def __str__(self) -> str:
        thread = "" if self.tid == self.pid else f", thread {self.tid}"
        return f"{self.name} ({self.pid}{thread}): {self.does}"


class _Doing(NamedTuple):
    """The last four fields of Thread."""

    does: str
    waits: bool = False
    idles: bool = False
    reads: bool = False


_STOPPED = _Doing("stopped by a signal", waits=True, idles=True)

_NUMBERS: dict[str, tuple[int, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "futex": (202, 98),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "pause": (34, None),
    "rt_sigsuspend": (130, 133),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "restart_syscall": (219, 128),
}
"""The numbers of system calls on x86_64 and on aarch64."""

_MACHINES = {"x86_64": 0, "aarch64": 1}
_NAMES = {
    numbers[_MACHINES[platform.machine()]]: name
    for name, numbers in _NUMBERS.items()
    if platform.machine() in _MACHINES
}

_ON_ONE_FILE = ("read", "write", "readv", "writev")
_ON_MANY_FILES = (
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
)
_NO_FILE = ("wait4", "waitid", "pause", "rt_sigsuspend")
_TIMEOUT_POINTER = {"ppoll": 2, "select": 4, "pselect6": 4, "epoll_pwait2": 3, "futex": 3}
_TIMEOUT_NUMBER = {"poll": 2, "epoll_wait": 3, "epoll_pwait": 3}
_FUTEX_WAITS = (0, 6, 9, 11)  # WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI
_SIGALRM_BIT = 1 << 13
_MEMORY_DEVICES = 1  # major number of /dev/null, /dev/zero, /dev/urandom, ...


def look(supervisor: int, stdin: int) -> tuple[Thread, ...]:
    """List the threads of all descendants of `supervisor` that have not exited, in a fixed order.

    stdin  the inode of the worker's stdin pipe, for `does`
    """
    threads: list[Thread] = []
    for pid in proc.descendants(supervisor) if can_look() else ():
        with suppress(OSError):  # it has just ended
            threads += filter(None, [_thread(pid, tid, stdin) for tid in proc.threads(pid)])
    return tuple(threads)


def is_still(before: tuple[Thread, ...], after: tuple[Thread, ...]) -> bool:
    """Whether no thread did anything between two looks, though one may still go on by itself."""
    return before == after and all(thread.does != "runs" for thread in after)


def proof(before: tuple[Thread, ...], after: tuple[Thread, ...]) -> bool:
    """Whether two looks prove that the worker does nothing more unless the kit does something."""
    return bool(after) and before == after and all(thread.waits for thread in after)


def readers(threads: tuple[Thread, ...]) -> tuple[Thread, ...]:
    """List the threads that wait for input; none if any thread is not idle."""
    are_idle = all(thread.idles for thread in threads)
    return tuple(thread for thread in threads if thread.reads and are_idle)


@cache
def can_look() -> bool:
    """Whether /proc shows what processes do, and which ones a process has started."""
    try:
        proc.read(f"self/task/{os.getpid()}/children")
        return "voluntary_ctxt_switches" in proc.status("self")
    except OSError:
        return False


def has_open(pid: int, pipe: int) -> bool:
    """Whether a process holds an end of the pipe with this inode."""
    try:
        return any(_file(pid, fd) == f"pipe:[{pipe}]" for fd in proc.fds(pid))
    except OSError:
        return False  # it has just ended


def memory(supervisor: int) -> tuple[int, int]:
    """Sum the peaks of all descendants of `supervisor`: bytes requested, and bytes touched."""
    peaks = [_peaks(pid) for pid in proc.descendants(supervisor)]
    return sum(asked for asked, _ in peaks), sum(touched for _, touched in peaks)


def peak(pid: int) -> int:
    """Return the most memory that a process has touched, in bytes; 0 if it has ended."""
    return _peaks(pid)[1]


def _peaks(pid: int) -> tuple[int, int]:
    try:
        status = proc.status(pid)
        asked, touched = (int(status[name].split()[0]) * 1024 for name in ("VmPeak", "VmHWM"))
    except (OSError, KeyError):  # it has just ended
        return 0, 0
    return asked, touched


def _thread(pid: int, tid: int, stdin: int) -> Thread | None:
    try:
        status = proc.status(f"{pid}/task/{tid}")
    except OSError:
        return None
    state = status["State"].split()[0]
    if state in "ZX":
        return None
    call = _call(pid, tid)
    doing = _STOPPED if state == "T" else _in_call(pid, call, stdin)
    if (
        doing.waits
        and state != "T"
        and (int(status["SigCgt"], 16) & _SIGALRM_BIT or _has_timers(pid))
    ):
        doing = doing._replace(does=f"{doing.does}, which a timer may end", waits=False)
    switches = status["voluntary_ctxt_switches"] + status["nonvoluntary_ctxt_switches"]
    return Thread(pid, tid, status["Name"].strip(), call, switches, *doing)


def _call(pid: int, tid: int) -> str:
    """Read the system call of a thread, with its arguments; "?" when the kernel hides it."""
    try:
        return proc.read(f"{pid}/task/{tid}/syscall").strip() or "?"
    except OSError:
        return "?"


def _in_call(pid: int, call: str, stdin: int) -> _Doing:
    """Interpret a system call, without regard to timers of the process."""
    if call == "running":
        return _Doing("runs")
    number, *rest = call.split()
    name = _NAMES.get(int(number) if number.isdigit() else -1, "")
    if not name:
        return _Doing(f"waits in system call {number}")
    arguments = [int(argument, 16) for argument in rest[:6]]
    if name in _NO_FILE:
        return _Doing(name, waits=True, idles=True)
    if name in _ON_ONE_FILE:
        file = _file(pid, arguments[0])
        is_stdin, is_pipe = file == f"pipe:[{stdin}]", file.startswith("pipe:[")
        words = f"{name} of {'stdin' if is_stdin else file}"
        return _Doing(words, is_pipe, is_pipe, reads=is_stdin and name.startswith("read"))
    idles = name == "futex" or (name in _ON_MANY_FILES and _waits_for_nothing_else(pid))
    if not _is_without_limit(name, arguments):
        words = name if "sleep" in name else f"{name}, with a time limit"
        return _Doing(words, idles=idles, reads=name in _ON_MANY_FILES)
    return _Doing(name, idles, idles, reads=name in _ON_MANY_FILES)


def _is_without_limit(name: str, arguments: list[int]) -> bool:
    if name == "futex" and arguments[1] & 0x7F not in _FUTEX_WAITS:
        return False
    if name in _TIMEOUT_POINTER:
        return arguments[_TIMEOUT_POINTER[name]] == 0
    # A negative number, as a C int, means no limit.
    return name in _TIMEOUT_NUMBER and bool(arguments[_TIMEOUT_NUMBER[name]] & 0x80000000)


def _waits_for_nothing_else(pid: int) -> bool:
    """Whether only the worker's processes, or the kit, can make open files of a process ready."""
    try:
        return all(_is_inside(pid, fd) for fd in proc.fds(pid))
    except OSError:
        return False


def _is_inside(pid: int, fd: int) -> bool:
    path = proc.fd_path(pid, fd)
    link, mode = os.readlink(path), os.stat(path)
    if link == "anon_inode:[pidfd]" or link.startswith("pidfd:"):
        return _process_of(pid, fd) in (-1, *proc.descendants(pid))
    if stat.S_ISCHR(mode.st_mode):
        return os.major(mode.st_rdev) == _MEMORY_DEVICES
    return (
        stat.S_ISREG(mode.st_mode)
        or stat.S_ISDIR(mode.st_mode)
        or link.startswith("pipe:[")
        or link in ("anon_inode:[eventfd]", "anon_inode:[eventpoll]")
    )


def _process_of(pid: int, pidfd: int) -> int:
    """Read which process a pidfd refers to; -1 if that one has been waited for."""
    lines = proc.read(f"{pid}/fdinfo/{pidfd}").split("\n")
    return int(next(line for line in lines if line.startswith("Pid:")).split()[1])


def _has_timers(pid: int) -> bool:
    try:
        return bool(proc.read(f"{pid}/timers"))
    except OSError:
        return False  # a kernel without them in /proc


def _file(pid: int, fd: int) -> str:
    try:
        return os.readlink(proc.fd_path(pid, fd))
    except OSError:
        return f"descriptor {fd}"
