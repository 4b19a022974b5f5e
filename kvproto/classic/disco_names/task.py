"""The old `Task`, which job functions found without an import: the task that runs. `kvproto.classic.task` says the same."""

from __future__ import annotations

from kvproto.classic import task
from kvproto.engine.context import current

__all__ = ["Task"]


class _Task:
    """The task that this process runs; JobError outside of one.

    host, jobname, master  str: what this_host(), this_name() and this_master() give
    mode, stage            str: "map" or "reduce"
    taskid                 int, from 0: the number of the map task, or of the reduce task's partition
    """

    host = property(lambda self: task.this_host())
    jobname = property(lambda self: task.this_name())
    master = property(lambda self: task.this_master())
    mode = stage = property(lambda self: current().stage)
    taskid = property(lambda self: task.this_partition())
    get = staticmethod(task.get)
    put = staticmethod(task.put)


Task = _Task()
