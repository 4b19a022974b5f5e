"""The modules of a job: how its tasks get them.

A task imports the module of a job's function. To a task on another machine, the driver sends the
sources of the modules that are not installed. Some functions are pickled by value instead, because
a task cannot import their modules: a module that starts the job while it is imported would start
the job again, which is an error in a task; and a module with the name of a standard module may be
hidden by that one in a task.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import FrameType, ModuleType
from typing import Any

from kvproto._standard import modules_that_hide_others
from kvproto.engine.context import unwrapped
from kvproto.engine.task_events import is_in_task
from kvproto.errors import JobError

__all__ = ["own_modules", "own_path", "send_by_value"]


def send_by_value() -> None:
    """Make cloudpickle send the functions of such modules by value.

    JobError if the top level of a module starts a job in a task.
    """
    by_value = modules_that_hide_others()
    for module, file, line in _unfinished_imports():
        if is_in_task():
            raise JobError(
                f"{file}, line {line}: the module {module.__name__} starts a job when it is "
                "imported, and a task has to import it; put the lines that start the job below "
                '`if __name__ == "__main__":`'
            )
        by_value.append(module)
    if by_value:
        import cloudpickle  # noqa: PLC0415 (it is slow to load)

        for module in by_value:
            cloudpickle.register_pickle_by_value(module)


def _unfinished_imports() -> list[tuple[ModuleType, str, int]]:
    """(module, file, line) for each module other than __main__ whose top level is on the stack."""
    modules = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = sys.modules.get(str(frame.f_globals.get("__name__")))
        is_top_level = (
            frame.f_code.co_name == "<module>"
            and getattr(module, "__dict__", None) is frame.f_globals
        )
        if is_top_level and module is not None and module.__name__ != "__main__":
            modules.append((module, frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return modules


def own_path() -> list[str]:
    """The entries of `sys.path` that do not belong to the installation of Python."""
    return [path for path in map(os.path.abspath, sys.path) if not _is_installed(path)]


def own_modules(functions: Iterable[Any]) -> dict[str, str]:
    """Return the files of modules that another machine may lack: name -> path.

    Those are the modules and packages of the functions, and the loaded ones next to the program or
    in the current directory, except what belongs to the installation of Python. A name is relative
    to the entry of `sys.path` where the module is.
    """
    program = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    beside = {os.path.realpath(os.path.dirname(program)), os.path.realpath("")}
    named = {_top_level(unwrapped(function)) for function in functions}
    files = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if "." in name or name in ("__main__", "kvproto") or not path or _is_installed(path):
            continue
        package = os.path.dirname(path) if hasattr(module, "__path__") else None
        entry = os.path.dirname(package or path)
        if name in named or os.path.realpath(entry) in beside:
            sources = [path] if package is None else _sources(package)
            files.update({os.path.relpath(source, entry): source for source in sources})
    return files


def _top_level(function: object) -> str:
    """The first part of the name of a function's module."""
    return str(getattr(function, "__module__", "")).partition(".")[0]


def _sources(package: str) -> list[str]:
    return [
        os.path.join(path, name)
        for path, _, names in os.walk(package)
        for name in names
        if name.endswith(".py")
    ]


def _is_installed(path: str) -> bool:
    """Whether a path belongs to the installation of Python, or to packages in it."""
    path = os.path.realpath(path)
    parts = path.split(os.sep)
    ours = (os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix))
    return (
        any(path.startswith(f"{prefix}{os.sep}") for prefix in ours)
        or "site-packages" in parts
        or "dist-packages" in parts
    )
