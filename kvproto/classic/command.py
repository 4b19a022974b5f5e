"""What `kvproto run module.Class` does: find the job, run it with progress on stderr, print its results."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import BinaryIO

from kvproto.classic import alias
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
    Raises JobError with the failed task's error whole, or for a class that cannot be found or has wrong parameters.
    """
    if inputs:
        jobargs["input"] = list(inputs)
    job = _of_the_user(find_job(spec), f"{spec}: making the job failed")
    try:
        job.run(on_event=Progress(progress), **jobargs)
    except (TypeError, ValueError) as e:
        raise JobError(f"{spec}: {e}") from e
    write_pairs(result_iterator(job.wait()), sys.stdout.buffer)
    return 0


def write_pairs(pairs: Iterable[tuple], file: BinaryIO) -> None:
    """Write pairs as text, `key TAB value NEWLINE`: bytes as they are, str as UTF-8, other objects as str() shows them."""
    for key, value in pairs:
        file.write(b"%b\t%b\n" % (_text(key), _text(value)))
    file.flush()


def find_job(spec: str) -> type[Job]:
    """The Job class that "module.Class" names, the module from sys.path or the current directory.

    Raises JobError that says what is missing: the module, the class in it, or that it is no Job; or what the module raised.
    """
    module_name, dot, class_name = spec.rpartition(".")
    if not dot or not all(part.isidentifier() for part in spec.split(".")):
        raise JobError(f"{spec}: write module.Class, as in grep.Grep for the class Grep in grep.py")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    alias.install()
    module = _module(spec, module_name)
    found = getattr(module, class_name, None)
    if found is None:
        jobs = [name for name, value in vars(module).items() if _is_job(value) and value is not Job]
        hint = f"; its jobs: {', '.join(jobs)}" if jobs else ""
        raise JobError(f"{spec}: {module.__file__} has no {class_name}{hint}")
    if not _is_job(found):
        raise JobError(f"{spec}: {class_name} in {module.__file__} is not a subclass of kvproto.classic.Job")
    return found


def _module(spec: str, name: str) -> ModuleType:
    try:
        return _of_the_user(lambda: importlib.import_module(name), f"{spec}: importing {name} failed")
    except ModuleNotFoundError as e:
        if e.name is None or not (name == e.name or name.startswith(e.name + ".")):
            raise JobError(f"{spec}: the module {name} needs the module {e.name}, which is not there") from e
        raise JobError(
            f"{spec}: there is no module {name} in the current directory ({os.getcwd()}) or on sys.path"
        ) from None


def _of_the_user(call: Callable, what: str):
    """Call what runs the user's code; JobError with the frames of that code alone when it raises or exits."""
    try:
        return call()
    except ModuleNotFoundError:
        raise
    except (Exception, SystemExit) as e:
        told = traceback.TracebackException.from_exception(e)
        ours = (__file__, importlib.__file__)
        told.stack[:] = [f for f in told.stack if f.filename not in ours and not f.filename.startswith("<frozen ")]
        lines = told.format() if told.stack else told.format_exception_only()
        raise JobError(f"{what}:\n{''.join(lines).rstrip()}") from e


def _text(item) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogateescape")


def _is_job(value) -> bool:
    return isinstance(value, type) and issubclass(value, Job)
