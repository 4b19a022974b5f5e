"""Jobs that a module starts while it is being imported.

A task imports the module that a job's function is from. Where that module is still being imported when it starts the
job, its functions travel to the tasks by value instead, so that no task runs the module's top level again.
A task that imports such a module all the same gets an error.
"""

from __future__ import annotations

import sys
from types import ModuleType

from kvproto.engine.events import is_in_task
from kvproto.errors import JobError

__all__ = ["prepare_modules_being_imported"]


def prepare_modules_being_imported() -> None:
    """Have the functions of each module whose top level calls this travel by value.

    Raises JobError in a task, where the module would start its job again.
    """
    for module, file, line in _being_imported():
        if is_in_task():
            raise JobError(
                f"{file}, line {line}: the module {module.__name__} starts a job when it is imported, and a task has to "
                'import it; put the lines that start the job below `if __name__ == "__main__":`'
            )
        import cloudpickle

        cloudpickle.register_pickle_by_value(module)


def _being_imported() -> list[tuple[ModuleType, str, int]]:
    """(module, file, line) for each module other than __main__ whose top level is on the stack."""
    found = []
    frame = sys._getframe(1)
    while frame is not None:
        module = sys.modules.get(str(frame.f_globals.get("__name__")))
        is_top_level = frame.f_code.co_name == "<module>" and module is not None and vars(module) is frame.f_globals
        if is_top_level and module.__name__ != "__main__":
            found.append((module, frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found
