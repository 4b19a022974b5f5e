"""What /proc says: the only module that reads it."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = [
    "children",
    "descendants",
    "environment",
    "fd_path",
    "fds",
    "is_stopped",
    "name",
    "peak_memory",
    "pids",
    "read",
    "reset_peak",
    "status",
    "threads",
]


def read(path: str) -> str:
    """Read a file below /proc. Raises OSError when the process has ended."""
    with open(f"/proc/{path}", "rb", buffering=0) as file:
        return file.read().decode("utf-8", "replace")


def status(of: int | str) -> dict[str, str]:
    """Read the status of a process, or of a thread as PID/task/TID. Raises OSError.

    The name of a process may contain control characters.
    """
    return dict([line.split(":", 1) for line in read(f"{of}/status").split("\n") if line])


def reset_peak() -> bool:
    """Let the peak of the memory of this process begin anew; return whether that is possible."""
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as file:
            file.write(b"5")
    except OSError:
        return False
    return True


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had, or 0."""
    with suppress(OSError, ValueError):
        return int(read("self/status").partition("VmHWM:")[2].split(" kB")[0]) << 10
    return 0


def threads(pid: int) -> list[int]:
    """List the threads of a process. Raises OSError."""
    return sorted(map(int, os.listdir(f"/proc/{pid}/task")))


_LOOKS = 20  # at the threads of a process which starts and ends them all the time


def children(pid: int) -> list[int]:
    """List the children of all threads of a process."""
    child_pids: set[int] = set()
    with suppress(OSError):  # the process has ended
        # When a thread ends, its children move to another one, which may have been read before.
        tids: list[int] = []
        for _ in range(_LOOKS):
            before, tids = tids, threads(pid)
            if tids == before:
                break
            for tid in tids:
                with suppress(OSError):
                    child_pids.update(map(int, read(f"{pid}/task/{tid}/children").split()))
    return sorted(child_pids)


def descendants(pid: int) -> list[int]:
    """List the children of a process, their children, and so on."""
    tree = [pid]
    for parent in tree:  # which grows in the loop
        tree += children(parent)
    return sorted(tree[1:])


def fds(pid: int) -> list[int]:
    """List the descriptors of the open files of a process. Raises OSError."""
    return [int(fd) for fd in os.listdir(f"/proc/{pid}/fd")]


def fd_path(pid: int | str, fd: int) -> str:
    """Return the path of an open file of a process: a link to it, which can be opened too."""
    return f"/proc/{pid}/fd/{fd}"


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by a signal or by a debugger."""
    try:
        return read(f"{pid}/stat").rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


def name(pid: int) -> str:
    """Return the name of a process, or "?"."""
    try:
        return read(f"{pid}/comm").strip()
    except OSError:
        return "?"


def pids() -> list[int]:
    """List all processes; none where there is no /proc."""
    try:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    except FileNotFoundError:
        return []


def environment(pid: int) -> list[bytes]:
    """Read the environment that a process was started with. Raises OSError."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read().split(b"\0")
