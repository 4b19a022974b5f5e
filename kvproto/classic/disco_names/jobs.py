"""Job, Disco, Worker and Task of the original, with the other names that its programs use."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kvproto.classic import core, func, job, task, worker
from kvproto.classic.core import result_iterator
from kvproto.classic.disco_names import compat, entries_are_bytes
from kvproto.classic.disco_names.compat import DiscoSettings
from kvproto.classic.disco_names.files import DDFS
from kvproto.classic.disco_names.names import exports
from kvproto.classic.func import noop
from kvproto.driver.files import external
from kvproto.engine.context import current
from kvproto.engine.spec import JobSpec
from kvproto.protocol.frames import MAX_ITEM as MAX_ITEM_SIZE

__all__ = [
    "MAX_ITEM_SIZE",
    "Disco",
    "Job",
    "Task",
    "Worker",
    "classic_iterator",
    "external",
    "free_names",
    "notifier",
    "package",
]

classic_iterator = result_iterator
notifier = noop
package = external

_HOST = socket.gethostname()


# --- worker ---------------------------------------------------------------------------------------


class Worker(worker.Worker):
    """The parameters with the original's defaults: the output of the maps is kept.

    `partitions` may be 0, which means None.
    """

    def defaults(self) -> dict[str, Any]:
        """Return the parameters and their defaults."""
        return {**super().defaults(), "keep_map": True, "text": not entries_are_bytes()}

    def getitem(
        self, key: str, job: worker.Described, jobargs: Mapping[str, Any], default: Any = None
    ) -> Any:
        """Find the value of a parameter of a job."""
        value = super().getitem(key, job, jobargs, default)
        return None if key == "partitions" and value == 0 else value

    def spec(self, job: worker.Described, jobargs: Mapping[str, Any]) -> JobSpec:
        """Turn the parameters into what the engine runs.

        A reduce without a map always has as many partitions as its inputs have labels.
        """
        spec = super().spec(job, jobargs)
        if spec.map is None and not self.getitem("merge_partitions", job, jobargs):
            return replace(spec, n_partitions=None)
        return spec

    def required_files(
        self, job: worker.Described, jobargs: Mapping[str, Any]
    ) -> dict[str, str | bytes]:
        """Return the files for the working directory of the tasks.

        Files that have a path are in lib/ too, as in the original.
        """
        files = super().required_files(job, jobargs)
        in_lib = {f"lib/{name}": path for name, path in files.items() if isinstance(path, str)}
        return {**files, **in_lib}


def free_names() -> dict[str, Any]:
    """Return the names that the original's job functions use without an import: name -> object."""
    return {
        **{name: getattr(func, name) for name in func.__all__},
        **{
            name: vars(compat)[name] if name in vars(compat) else compat.LateModule(name)
            for name in (*exports("disco.compat"), *exports("disco.error"))
        },
        "Params": worker.Params,
        "Task": Task,
        "external": external,
        "os": os,
        "sys": sys,
    }


# --- jobs -----------------------------------------------------------------------------------------


class Disco(core.Disco):
    """The jobs of this user.

    `master` is an address, and `settings` are `DiscoSettings`. Neither has an effect.
    """

    def __init__(self, master: object = None, settings: Any = None, proxy: object = None) -> None:
        settings = DiscoSettings() if settings is None else settings
        super().__init__(master or DiscoSettings(settings)["DISCO_MASTER"], settings, proxy)

    def __repr__(self) -> str:
        return f"Disco master at {self.master}"

    @property
    def ddfs(self) -> DDFS:
        """The tags of this user."""
        return DDFS(self.master)

    def new_job(self, name: str, **jobargs: Any) -> job.Job:
        """Start a job: ``Job(name).run(**jobargs)``."""
        return Job(name=name, master=self).run(**jobargs)

    def jobinfo(self, jobname: str) -> dict[str, Any]:
        """Return a summary of a job; ``active`` has its status again."""
        info = super().jobinfo(jobname)
        return {**info, "active": info["status"]}

    def events(  # type: ignore[override]  # the original's events are tuples
        self, jobname: str, offset: int = 0, follow: bool = False
    ) -> Iterator[tuple[int, tuple[str, str, str]]]:
        """Yield (offset, (time, host, message)) for each event of a job."""
        for end, event in super().events(jobname, offset, follow):
            moment = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(event["time"]))
            yield end, (moment, _HOST, _message(event))


class Job(job.Job):
    """A map/reduce job. `settings` are those of its Disco."""

    Worker = Worker
    Disco = Disco

    @property
    def settings(self) -> Any:
        """The settings of the job, or DiscoSettings."""
        return self.disco.settings


def _message(event: dict[str, Any]) -> str:
    """Describe an event on one line, in the words of the original."""
    kind, where = event["event"], f"[{event.get('stage')}:{event.get('task', '')}]"
    texts = {
        "job": "New job: {job}",
        "stage": "{stage}: {tasks} tasks",
        "progress": "{stage}: {done} of {total} tasks are done",
        "message": "MSG: {where} {text}",
        "note": "MSG: {text}",
        "retry": "WARN: {where} {text}",
        "done": "READY: Job finished",
        "failed": "ERROR: {text}",
    }
    return texts[kind].format(where=where, **event) if kind in texts else str(kind)


# --- task -----------------------------------------------------------------------------------------


class _Task:
    """The task that this process runs; JobError outside of a task.

    Attributes
    ----------
    host, jobname, master : str
        As `this_host`, `this_name` and `this_master` return them.
    mode, stage : str
        "map" or "reduce".
    taskid : int
        From 0: the number of the map task, or of the reduce task's partition.
    """

    host = property(lambda self: task.this_host())
    jobname = property(lambda self: task.this_name())
    master = property(lambda self: task.this_master())
    mode = stage = property(lambda self: current().stage)
    taskid = property(lambda self: task.this_partition())
    get = staticmethod(task.get)
    put = staticmethod(task.put)


Task = _Task()
