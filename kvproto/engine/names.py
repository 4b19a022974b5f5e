"""Free names: what a job function finds without an import.

The functions of `kvproto.classic.task`, and the modules that `required_modules` names. They are added, in the
task's process alone, to the globals of the job's functions, where helpers beside these find them too. A name that is
there already, whatever it stands for, is never lost to them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from kvproto.errors import JobError

__all__ = ["bind", "import_required"]


def import_required(modules: Iterable[str]) -> dict[str, Any]:
    """Import modules by their dotted names; each is found under the last part of its name. JobError names one that is not there."""
    found = {}
    for name in modules:
        try:
            found[name.rpartition(".")[2]] = importlib.import_module(name)
        except ModuleNotFoundError as e:
            raise JobError(f"required_modules: importing {name} failed: {e}") from e
    return found


def bind(functions: Iterable, names: Mapping[str, Any]) -> None:
    """Let functions find `names`: put into the globals of each what is not there; the package's own are left alone."""
    for function in functions:
        space = getattr(_plain(function), "__globals__", None)
        if space is not None and not str(space.get("__name__")).startswith(
            ("kvproto.classic.", "kvproto.engine.")
        ):
            for name, value in names.items():
                space.setdefault(name, value)


def _plain(function):
    """The function below partials, methods and decorators that name what they wrap."""
    while True:
        inner = (
            getattr(function, "func", None)
            or getattr(function, "__func__", None)
            or getattr(function, "__wrapped__", None)
        )
        if inner is None:
            return function
        function = inner
