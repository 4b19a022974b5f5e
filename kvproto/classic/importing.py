"""Modules whose functions travel to the tasks by value, because a task cannot import them.

A task imports the module that a job's function is from. Not so where that module is still being imported when it starts
the job, as the task would start the job again: a task that imports it all the same gets an error. Nor where the module has
the name of one of the standard library's, which a task may have loaded.
"""

from __future__ import annotations

import sys
from types import ModuleType

from kvproto._standard import modules_that_hide_others
from kvproto.engine.events import is_in_task
from kvproto.errors import JobError

__all__ = ["send_by_value"]


def send_by_value() -> None:
    """Have the functions of such modules travel by value.

    Raises JobError when the top level of a module calls this in a task, where it would start its job again.
    """
    by_value = modules_that_hide_others()
    for module, file, line in _being_imported():
        if is_in_task():
            raise JobError(
                f"{file}, line {line}: the module {module.__name__} starts a job when it is imported, and a task has to "
                'import it; put the lines that start the job below `if __name__ == "__main__":`'
            )
        by_value.append(module)
    if by_value:
        import cloudpickle

        for module in by_value:
            cloudpickle.register_pickle_by_value(module)


def _being_imported() -> list[tuple[ModuleType, str, int]]:
    """(module, file, line) for each module other than __main__ whose top level is on the stack."""
    found = []
    frame = sys._getframe(1)
    while frame is not None:
        module = sys.modules.get(str(frame.f_globals.get("__name__")))
        is_top_level = (
            frame.f_code.co_name == "<module>"
            and getattr(module, "__dict__", None) is frame.f_globals
        )
        if is_top_level and module.__name__ != "__main__":
            found.append((module, frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found
