"""What `kvproto run module.Class` does: find the job, run it with progress on stderr, print its results."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from kvproto.classic.core import result_iterator
from kvproto.classic.job import Job
from kvproto.classic.progress import Progress
from kvproto.errors import JobError

__all__ = ["find_job", "run", "write_pairs"]


def run(spec: str, inputs: Sequence[str] = (), *, progress: str = "auto", **jobargs) -> int:
    """Run the job "module.Class" and print its results to stdout, `key TAB value` a line; returns 0.

    inputs    urls or paths; none: those of the class
    progress  one of `kvproto.classic.progress.KINDS`
    jobargs   as for `Job.run`
    Raises JobError with the failed task's error whole, or for a class that cannot be found.
    """
    if inputs:
        jobargs["input"] = list(inputs)
    job = find_job(spec)().run(on_event=Progress(progress), **jobargs)
    write_pairs(result_iterator(job.wait()), sys.stdout.buffer)
    return 0


def write_pairs(pairs: Iterable[tuple], file: BinaryIO) -> None:
    """Write pairs as text, `key TAB value NEWLINE`: bytes as they are, str as UTF-8, other objects as str() shows them."""
    for key, value in pairs:
        file.write(b"%b\t%b\n" % (_text(key), _text(value)))
    file.flush()


def find_job(spec: str) -> type[Job]:
    """The Job class that "module.Class" names, the module from sys.path or the current directory.

    Raises JobError that says what is missing: the module, the class in it, or that it is no Job.
    """
    module_name, dot, class_name = spec.rpartition(".")
    if not dot:
        raise JobError(f"{spec}: write module.Class, e.g. grep.Grep for the class Grep in grep.py")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as e:
        if e.name is None or not (module_name == e.name or module_name.startswith(e.name + ".")):
            raise JobError(f"{spec}: the module {module_name} needs the module {e.name}, which is not there") from e
        raise JobError(
            f"{spec}: there is no module {module_name} in the current directory ({os.getcwd()}) or on sys.path"
        ) from None
    found = getattr(module, class_name, None)
    if found is None:
        jobs = [name for name, value in vars(module).items() if _is_job(value) and value is not Job]
        hint = f"; its jobs: {', '.join(jobs)}" if jobs else ""
        raise JobError(f"{spec}: {module.__file__} has no {class_name}{hint}")
    if not _is_job(found):
        raise JobError(f"{spec}: {class_name} in {module.__file__} is not a subclass of kvproto.classic.Job")
    return found


def _text(item) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogateescape")


def _is_job(value) -> bool:
    return isinstance(value, type) and issubclass(value, Job)
