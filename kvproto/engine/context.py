"""The task of this process: its inputs, out-of-band values, and the free names of its functions.

`in_task` makes a task the current one; job functions reach it through `kvproto.classic.task`. The
values that a task puts travel with its answer, and the driver stores them when it accepts that, so
that a failed or late attempt leaves none. The task itself sees them at once.
"""

from __future__ import annotations

import importlib
import marshal
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from kvproto.engine.counters import Counters
from kvproto.engine.spec import TaskSpec
from kvproto.errors import JobError
from kvproto.storage import oob
from kvproto.storage.atomic import writing
from kvproto.storage.job_directory import JobPaths
from kvproto.storage.store import store_of
from kvproto.storage.trust import trusting

__all__ = [
    "TaskContext",
    "current",
    "in_task",
    "pass_str_as_bytes",
    "read_profile",
    "sealed",
    "unwrapped",
]


@dataclass
class TaskContext:
    """A task.

    Parameters
    ----------
    shared : str
        The address of the job's shared place, which ends with the name of the job.
    stage : str
        "map" or "reduce".
    number : int
        The number of the map task, or the partition of the reduce task; both count from 0.
    inputs : list of str
        In a map, the URL of the input that is being read, because small inputs share a task. In a
        reduce, all its URLs; after a map, the paths of the files that the maps wrote.
    values : dict
        The out-of-band values that it has put, by their keys.
    counters : Counters
        What it and its programs have counted.
    """

    shared: str
    stage: str
    number: int
    inputs: list[str]
    values: dict[str, bytes | str] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)

    @property
    def job(self) -> str:
        """The name of the job."""
        return os.path.basename(self.shared)

    @property
    def host(self) -> str:
        """The name of this machine."""
        return socket.gethostname()

    def reads(self, url: str) -> None:
        """Record that the task now reads this input."""
        self.inputs = [url]

    def put(self, key: str, value: bytes | str) -> None:
        """Keep an out-of-band value; `kvproto.storage.oob` says what it and its key may be."""
        oob.check_key(key)
        oob.check_value(key, value)
        self.values[key] = value

    def get(self, key: str, job: str | None = None) -> bytes | str:
        """Return an out-of-band value of this job or of another one; JobError if there is none."""
        if job is not None and job != self.job:
            return oob.get(self._values_of(job), key)
        if key in self.values:
            return self.values[key]
        return oob.get(os.path.join(self.shared, "oob"), key)

    def _values_of(self, job: str) -> str:
        """Where the values of another job are: of this home, else of the same store."""
        paths = JobPaths(job)
        if os.path.isdir(paths.path):
            return paths.oob
        return os.path.join(os.path.dirname(self.shared), job, "oob")


class _Process:
    """This process."""

    task: TaskContext | None = None


def current() -> TaskContext:
    """Return the task of this process; JobError outside of a task."""
    if _Process.task is None:
        raise JobError("this works only in a job function, while its task runs")
    return _Process.task


@contextmanager
def in_task(task: TaskContext, spec: TaskSpec) -> Iterator[None]:
    """Make `task` the current one for the body, with its free names and, if asked, a profile.

    If the body ends without an error, the profile of the task is published.
    """
    _Process.task = task
    try:
        _bind_free_names(spec)
        for function in spec.functions:
            pass_str_as_bytes(getattr(function, "__globals__", {}).values())
        profile = os.path.join(task.shared, "profile", f"{task.stage}-{task.number:05d}")
        store = os.path.dirname(task.shared)
        with trusting(spec.trust, store), _profiled(profile) if spec.profile else nullcontext():
            yield
    finally:
        _Process.task = None


# --- free names --------------------------------------------------------------------------------


def _import_required(modules: Iterable[str]) -> dict[str, Any]:
    """Import modules by their dotted names; each is found under the last part of its name."""
    imported = {}
    for name in modules:
        try:
            imported[name.rpartition(".")[2]] = importlib.import_module(name)
        except ModuleNotFoundError as e:
            raise JobError(f"required_modules: importing {name} failed: {e}") from e
    return imported


def _bind_free_names(spec: TaskSpec) -> None:
    """Add names to the globals of functions, where other functions of the module find them too.

    Names that exist already do not change, and neither do kvproto's own modules.
    """
    required = _import_required(spec.required_modules)
    globals_: list[dict[str, Any] | None] = [
        getattr(unwrapped(function), "__globals__", None) for function in spec.functions
    ]
    spaces = [space for space in globals_ if space is not None and not _is_of_kvproto(space)]
    names = {**spec.free_names(), **required} if spaces else {}  # free_names() may take long
    for space in spaces:
        for name, value in names.items():
            space.setdefault(name, value)


def _is_of_kvproto(space: dict[str, Any]) -> bool:
    return str(space.get("__name__")).startswith(("kvproto.classic.", "kvproto.engine."))


def unwrapped(function: Any) -> Any:
    """The function inside partials, methods, and decorators that set `__wrapped__`."""
    while True:
        inner = (
            getattr(function, "func", None)
            or getattr(function, "__func__", None)
            or getattr(function, "__wrapped__", None)
        )
        if inner is None:
            return function
        function = inner


# --- C libraries -------------------------------------------------------------------------------


def pass_str_as_bytes(values: Iterable[Any]) -> None:
    """Let the C libraries (ctypes) among values take a str as its bytes.

    ctypes passes a str as wchar_t *, which a function that takes char * reads as one character,
    without an error. After this call, a function without `argtypes` gets the UTF-8 bytes, and lone
    surrogates as the bytes that they stand for. For a function with `argtypes`, those decide;
    ctypes.c_wchar_p takes a str.
    """
    ctypes = sys.modules.get("ctypes")
    for value in values if ctypes is not None else ():
        if ctypes is not None and isinstance(value, ctypes.CDLL):
            value._FuncPtr.__call__ = _call  # each library has a class of its own


def _call(function: Any, *args: Any) -> Any:
    if function.argtypes is None:
        args = tuple(
            arg.encode("utf-8", "surrogateescape") if isinstance(arg, str) else arg for arg in args
        )
    return super(type(function), function).__call__(*args)


# --- profiles: `pstats` trusts its files, and damaged bytes can make it ask for all memory --------


def sealed(profile: bytes) -> bytes:
    """Append a checksum to a profile; `pstats` does not read so far."""
    return profile + _seal(profile)


class Profile:
    """A profile as `pstats.Stats` takes it."""

    def __init__(self, stats: dict[Any, Any]) -> None:
        self.stats = stats

    def create_stats(self) -> None:
        """Nothing: they are there."""


def read_profile(path: str) -> Profile:
    """Read a profile; JobError that names it if it cannot be read or is damaged."""
    try:
        data = store_of(path).get(path)
    except OSError as e:
        raise JobError(f"the profile {path} cannot be read: {e.strerror}") from e
    n_seal = len(_seal(b""))
    if data[-n_seal:] != _seal(data[:-n_seal]):
        raise JobError(
            f"the profile {path} is damaged: remove it to read the other profiles of the job"
        )
    return Profile(marshal.loads(data))


def _seal(data: bytes) -> bytes:
    return b"\nkvproto %08x\n" % crc32(data)


@contextmanager
def _profiled(path: str) -> Iterator[None]:
    """Profile the body; write the file if the body ends without an error."""
    import cProfile  # noqa: PLC0415 (it is slow to load)

    profiler = cProfile.Profile()
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
    profiler.create_stats()
    with writing(path):
        store_of(path).put(path, sealed(marshal.dumps(profiler.stats)))  # as `dump_stats` does
