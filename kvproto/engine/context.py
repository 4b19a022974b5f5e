"""The task that runs in this process: its job, inputs and partition, its out-of-band values, its profile.

`running` makes a task the current one; job functions reach it through `kvproto.classic.task`. What a task
puts is there for others when the task has succeeded, so that a failed attempt leaves nothing; it sees its own at once.
"""

from __future__ import annotations

import marshal
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from kvproto.engine.clibraries import pass_str_as_bytes
from kvproto.engine.names import bind, import_required
from kvproto.engine.profiles import sealed
from kvproto.engine.spec import JobSpec
from kvproto.errors import JobError
from kvproto.storage import oob
from kvproto.storage.atomic import write_file
from kvproto.storage.home import home
from kvproto.storage.trust import trusting

__all__ = ["TaskContext", "current", "running"]


@dataclass
class TaskContext:
    """A task.

    job_path   str, the job's directory, whose last part is the job's name
    stage      "map" or "reduce"
    number     int, from 0: of the map task; of a reduce task its partition
    inputs     list of urls: of a map task the one that is being read, as small inputs share a task; of a reduce task all, with a
               map before it the files that the maps wrote
    """

    job_path: str
    stage: str
    number: int
    inputs: list[str]
    _put: dict[str, bytes | str] = field(default_factory=dict)

    @property
    def job(self) -> str:
        return os.path.basename(self.job_path)

    @property
    def host(self) -> str:
        return socket.gethostname()

    def reads(self, url: str) -> None:
        """Take note that it is this input that is being read now."""
        self.inputs = [url]

    def put(self, key: str, value: bytes | str) -> None:
        """Keep an out-of-band value; `kvproto.storage.oob` says what it and its key may be."""
        oob.check_key(key)
        oob.check_value(key, value)
        self._put[key] = value

    def get(self, key: str, job: str | None = None) -> bytes | str:
        """An out-of-band value of this job, of this task too, or of another job; JobError when there is none."""
        if job is not None and job != self.job:
            return oob.get(os.path.join(home(), "jobs", job, "oob"), key)
        return self._put[key] if key in self._put else oob.get(self._oob, key)

    def publish(self) -> None:
        """Let others see what was put."""
        oob.put_all(self._oob, self._put)

    @property
    def _oob(self) -> str:
        return os.path.join(self.job_path, "oob")


_current: TaskContext | None = None


def current() -> TaskContext:
    """The task of this process; JobError outside of one."""
    if _current is None:
        raise JobError("this works in a job function while its task runs, and nowhere else")
    return _current


@contextmanager
def running(task: TaskContext, spec: JobSpec) -> Iterator[None]:
    """Make `task` the current one for the body, its functions bound to their free names and profiled if the job wants that.

    Its values are published, and its profile is there, when the body ends well.
    """
    global _current
    _current = task
    try:
        functions = list(spec.functions())
        bind(functions, {**spec.free_names(), **import_required(spec.required_modules)})
        for function in functions:
            pass_str_as_bytes(getattr(function, "__globals__", {}).values())
        profile = os.path.join(task.job_path, "profile", f"{task.stage}-{task.number:05d}")
        with trusting(spec.trust), _profiled(profile) if spec.profile else nullcontext():
            yield
        task.publish()
    finally:
        _current = None


@contextmanager
def _profiled(path: str) -> Iterator[None]:
    """Profile the body; its file is there when the body ended well."""
    import cProfile  # only where it is used, which is in the tasks

    profiler = cProfile.Profile()
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
    profiler.create_stats()
    write_file(path, sealed(marshal.dumps(profiler.stats)))  # as `dump_stats` writes them
