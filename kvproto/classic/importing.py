"""Find modules that a task cannot import, so that their functions are pickled by value.

A task imports the module of a job's function, with two exceptions. A module that starts the job
while it is imported would start the job again, which is an error in a task. And a module with the
name of a standard module may be hidden by that one in a task.
"""

from __future__ import annotations

import os
import sys
from types import FrameType, ModuleType

from kvproto._standard import modules_that_hide_others
from kvproto.engine.events import is_in_task
from kvproto.errors import JobError

__all__ = ["own_path", "send_by_value"]


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
    ours = {os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix)}
    paths = (os.path.abspath(path) for path in sys.path)
    return [
        path
        for path in paths
        if not any(os.path.realpath(path).startswith(f"{prefix}{os.sep}") for prefix in ours)
    ]
