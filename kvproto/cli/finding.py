"""What a dotted name on the command line stands for: a job or a function, in a module of the user's.

The module comes from sys.path or the current directory. Where the user's code fails, the error shows its frames alone.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from types import ModuleType

from kvproto.classic import disco_names as alias
from kvproto.classic.job import Job
from kvproto.errors import JobError

__all__ = ["find_function", "find_job", "of_the_user"]


def find_job(spec: str) -> type[Job] | Job:
    """The Job class or instance that "module.name" stands for.

    Raises JobError that says what is missing, the module or the name in it, or what the module raised.
    """
    module, name, found = _find(spec, "module.Class, as in grep.Grep for the class Grep in grep.py")
    if isinstance(found, ModuleType):
        raise JobError(f"{spec}: is a module; its jobs: {', '.join(_jobs(found)) or 'none'}")
    if found is None:
        jobs = _jobs(module)
        hint = f"; its jobs: {', '.join(jobs)}" if jobs else ""
        raise JobError(f"{spec}: {module.__file__} has no {name}{hint}")
    if not _is_job(found):
        what = "is not a subclass of kvproto.classic.Job, nor an instance of one"
        raise JobError(f"{spec}: {name} in {module.__file__} {what}")
    return found


def find_function(spec: str) -> Callable:
    """The function, or what else can be called, that "module.function" stands for. JobError as of `find_job`."""
    module, name, found = _find(spec, "module.function, as in kvproto.classic.func.nop_map")
    if found is None:
        raise JobError(f"{spec}: {module.__file__} has no {name}")
    if not callable(found):
        raise JobError(f"{spec}: {name} in {module.__file__} is no function")
    return found


def of_the_user(call: Callable, what: str):
    """Call what runs the user's code; JobError with the frames of that code alone when it raises or exits."""
    try:
        return call()
    except ModuleNotFoundError:
        raise
    except (Exception, SystemExit) as e:
        told = traceback.TracebackException.from_exception(e)
        ours = (__file__, importlib.__file__)
        told.stack[:] = [
            f
            for f in told.stack
            if f.filename not in ours and not f.filename.startswith("<frozen ")
        ]
        lines = told.format() if told.stack else told.format_exception_only()
        raise JobError(f"{what}:\n{''.join(lines).rstrip()}") from e


def _find(spec: str, form: str) -> tuple[ModuleType, str, object]:
    """The module, the name in it, and what that is, None for nothing; `form` says what spec has to look like."""
    if os.path.isfile(spec):
        in_it = (
            f"; for what is in that module write {spec[:-3].replace(os.sep, '.')}.NAME"
            if spec.endswith(".py")
            else ""
        )
        raise JobError(f"{spec}: is a file; write {form}, and inputs behind it{in_it}")
    module_name, dot, name = spec.rpartition(".")
    if not dot or not all(part.isidentifier() for part in spec.split(".")):
        raise JobError(f"{spec}: write {form}")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    alias.install()  # for code that was written for the original
    module = _module(spec, module_name)
    found = getattr(module, name, None)
    if found is None and hasattr(module, "__path__") and importlib.util.find_spec(spec):
        found = _module(spec, spec)
    return module, name, found


def _module(spec: str, name: str) -> ModuleType:
    try:
        return of_the_user(
            lambda: importlib.import_module(name), f"{spec}: importing {name} failed"
        )
    except ModuleNotFoundError as e:
        if e.name is None or not (name == e.name or name.startswith(e.name + ".")):
            raise JobError(
                f"{spec}: the module {name} needs the module {e.name}, which is not there"
            ) from e
        raise JobError(
            f"{spec}: there is no module {name} in the current directory ({os.getcwd()}) or on sys.path"
        ) from None


def _jobs(module: ModuleType) -> list[str]:
    """The names of the jobs in a module."""
    return [name for name, value in vars(module).items() if _is_job(value) and value is not Job]


def _is_job(value) -> bool:
    return isinstance(value, Job) or (isinstance(value, type) and issubclass(value, Job))
