"""Reads a log of strace: which files that FILES-3 does not allow did a worker touch?

Every process that the worker started counts. Failed calls do not count, nor do questions whether a
file exists or where a link leads. A path is the one that the kernel opened, with links and `..`
resolved; for calls that open nothing, it is resolved against the directory of the process.

Not counted as writes: the null device and its like; /proc of the worker's own processes, which the
Java machine writes when it starts; compiled modules (`__pycache__`) in the worker's directory.

Not seen: io_uring, files that were open when the worker started, and the interpreter of a `#!`
line, which the kernel opens itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["CALLS", "WRITABLE", "Access", "accesses"]

WRITABLE = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")
"""The devices that a worker may write to, as in csrc/launch/confine.c."""

_PATH, _DIRECTORY_AND_PATH, _DESCRIPTOR = ((None, 0),), ((0, 1),), ((0, None),)
_CHANGES: dict[str, tuple[tuple[int | None, int | None], ...]] = {
    **dict.fromkeys(("mkdir", "mknod", "rmdir", "unlink", "truncate", "utime", "utimes"), _PATH),
    **dict.fromkeys(("chmod", "chown", "lchown", "setxattr", "lsetxattr"), _PATH),
    **dict.fromkeys(("removexattr", "lremovexattr"), _PATH),
    **dict.fromkeys(("mkdirat", "mknodat", "unlinkat", "futimesat"), _DIRECTORY_AND_PATH),
    **dict.fromkeys(("utimensat", "fchmodat", "fchmodat2", "fchownat"), _DIRECTORY_AND_PATH),
    **dict.fromkeys(("fchmod", "fchown", "fsetxattr", "fremovexattr"), _DESCRIPTOR),
    **dict.fromkeys(("link", "symlink", "bind"), ((None, 1),)),
    "linkat": ((2, 3),),
    "symlinkat": ((1, 2),),
    "rename": ((None, 0), (None, 1)),
    **dict.fromkeys(("renameat", "renameat2"), ((0, 1), (2, 3))),
}
"""Calls that write without opening: positions of the directory's descriptor and of the path."""

_OPENS = {"open": (None, 0), "openat": (0, 1), "openat2": (0, 1), "creat": (None, 0)}
_EXECUTES = {"execve": (None, 0), "execveat": (0, 1)}
_STARTS = ("clone", "clone3", "fork", "vfork")
CALLS = (*_CHANGES, *_OPENS, *_EXECUTES, *_STARTS, "chdir", "fchdir")
"""The system calls to log. Not every machine has all of them."""

_TO_WRITE = re.compile(r"\bO_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)\b")
_TEXT = r'"(?:[^"\\]|\\.)*"'
_LINE = re.compile(rf"(\d+) +(\w+)\(((?:{_TEXT}|<[^>]*>|\([^()]*\)|[^\"<()])*)\) += (-?\d+)(.*)")
_UNFINISHED = re.compile(r"(\d+) +((\w+)\(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_ARGUMENT = re.compile(
    rf"((?:{_TEXT}|<[^>]*>|\([^()]*\)|[{{\[](?:{_TEXT}|[^}}\]\"])*[}}\]]|[^\",<(\[{{])+)"
)
_NAME = re.compile(r'(?:\{sa_family=AF_UNIX, sun_path=)?"((?:[^"\\]|\\.)*)"')
_FILE = re.compile(r"[^<]*<([^>]*)>")
_ESCAPE = re.compile(r"\\([0-7]{1,3}|x[0-9a-f]{2}|.)")
_CACHE = re.compile(r"(.*/)?__pycache__(/[^/]+\.pyc(\.\d+)?)?")


class Access(NamedTuple):
    """What a worker did to a file: `kind` is "read" or "write", `call` the first such call.

    Reading the entries of a directory is a read, any change of the file system a write.
    """

    kind: str
    path: str
    call: str


def accesses(log: str, directory: str, readable: Sequence[str]) -> list[Access]:
    """List the forbidden accesses in order, each kind of access to a file once.

    log        of strace with -f and -y, of CALLS
    directory  where the worker started
    readable   paths that it may read besides its directory, with everything below them
    """
    directories = tuple(dict.fromkeys((directory, os.path.realpath(directory))))
    may_read = {path.rstrip("/") for path in (*directories, *readable)}
    forbidden: dict[tuple[str, str], Access] = {}
    pids: set[str] = set()
    for pid, access in _all(log, directory):
        pids.add(pid)
        if (access.kind == "read" and not _is_below(access.path, may_read)) or (
            access.kind == "write" and not _may_write(access.path, directories, pids)
        ):
            forbidden.setdefault(access[:2], access)
    return list(forbidden.values())


def _is_below(path: str, roots: set[str]) -> bool:
    while path not in roots and path.strip("/"):
        path = os.path.dirname(path)
    return path in roots


def _may_write(path: str, directories: tuple[str, ...], pids: set[str]) -> bool:
    if path in WRITABLE or (path.startswith("/proc/") and path.split("/")[2] in pids):
        return True
    return any(
        path.startswith(f"{each}/") and _CACHE.fullmatch(path[len(each) + 1 :])
        for each in directories
    )


def _all(log: str, directory: str) -> Iterator[tuple[str, Access]]:
    """Iterate over all accesses to files, with the process of each."""
    places = _Places(directory)
    for pid, call, arguments, result, rest in _calls(log, places):
        if call in _STARTS:
            places.start(pid, str(result), shares=any("CLONE_FS" in each for each in arguments))
        elif call == "chdir":
            places.move(pid, places.path(pid, None, arguments[0]))
        elif call == "fchdir":
            places.move(pid, _file(arguments[0]))
        else:
            for access in _of_call(pid, call, arguments, rest, places):
                if access.path.startswith("/"):  # not a pipe or a socket
                    yield pid, access


def _of_call(
    pid: str, call: str, arguments: list[str], rest: str, places: _Places
) -> Iterator[Access]:
    def path(descriptor: int | None, name: int | None) -> str:
        where = None if descriptor is None else arguments[descriptor]
        return places.path(pid, where, None if name is None else arguments[name])

    if call in _OPENS:
        flags = ",".join(arguments[_OPENS[call][1] + 1 :])
        kind = "write" if call == "creat" or _TO_WRITE.search(flags) else "read"
        if "O_PATH" not in flags:
            yield Access(kind, _file(rest) or path(*_OPENS[call]), call)
    elif call in _EXECUTES:
        yield Access("read", path(*_EXECUTES[call]), call)
    else:
        for which in _CHANGES.get(call, ()):
            yield Access("write", path(*which), call)


def _calls(log: str, places: _Places) -> Iterator[tuple[str, str, list[str], int, str]]:
    """Iterate over successful calls: process, name, arguments, result and rest of the line."""
    begun: dict[str, str] = {}
    for line in log.split("\n"):
        if match := _UNFINISHED.match(line):
            begun[match[1]] = match[2]
            if match[3] in _STARTS:
                places.last_parent = match[1]
            continue
        if match := _RESUMED.match(line):
            whole = f"{match[1]} {begun.pop(match[1], '')}{match[2]}"
        else:
            whole = line
        if (match := _LINE.match(whole)) and int(match[4]) >= 0:
            pid, call, arguments, result, rest = match.groups()
            yield (
                pid,
                call,
                [each.strip() for each in _ARGUMENT.findall(arguments)] or [""],
                int(result),
                rest,
            )


class _Places:
    """The current directory of each process; processes may share one."""

    def __init__(self, directory: str) -> None:
        self._start = directory
        self._places: dict[str, list[str]] = {}
        self.last_parent = ""

    def of(self, pid: str) -> list[str]:
        if pid not in self._places:  # the parent's call has not returned yet
            self._places[pid] = list(self._places.get(self.last_parent, [self._start]))
        return self._places[pid]

    def move(self, pid: str, path: str) -> None:
        if path:
            self.of(pid)[0] = path

    def start(self, parent: str, child: str, shares: bool) -> None:
        if shares:
            self._places[child] = self.of(parent)
        elif child not in self._places:
            self._places[child] = list(self.of(parent))

    def path(self, pid: str, descriptor: str | None, name: str | None) -> str:
        """Return the path that the arguments of a call name, or ""."""
        where = (_file(descriptor) if descriptor else "") or self.of(pid)[0]
        if name is None or name == "NULL":
            return _file(descriptor or "")
        match = _NAME.match(name)  # no match for the address of a socket that is no file
        return os.path.abspath(os.path.join(where, _unescaped(match[1]))) if match else ""


def _file(text: str) -> str:
    """Extract the path from a descriptor as strace shows it, `3</a/path>`."""
    match = _FILE.match(text)
    return _unescaped(match[1]).removesuffix(" (deleted)") if match else ""


def _unescaped(text: str) -> str:
    letters = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f"}

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "01234567":
            return chr(int(code, 8))
        return chr(int(code[1:], 16)) if len(code) == 3 else letters.get(code, code)

    return os.fsdecode(_ESCAPE.sub(one, text).encode("latin-1", "replace"))
