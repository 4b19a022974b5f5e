"""The old names: makes `disco.job`, `disco.util` and the other modules of Disco importable.

    from kvproto.classic import disco_names as alias
    alias.install()
    from disco.core import Job, result_iterator

`python -m kvproto.classic.alias script.py` does this for a whole script, and `kvproto run` for the
module of the job. With `--bytes` before the script, its jobs have text=False, for code that was
written for the original on Python 3, where lines were bytes. If a real `disco` package exists, it
comes first. The tables in `names` say where a name is now, or what to use instead of it.

Modules of `kvproto.classic` that have moved are importable under their old names too, without
`install`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, NoReturn

from kvproto.classic.disco_names.names import GONE, MODULES, MOVED, RENAMED, exports

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # importlib.abc is slow: it imports importlib.resources and pathlib

__all__ = ["entries_are_bytes", "install", "is_installed"]

_VARIABLE = "KVPROTO_DISCO_NAMES"  # in the environment, where task processes find it

# the instruction that follows IMPORT_NAME
_IMPORT_FROM = compile("from it import a", "", "exec").co_code[8]

_TOPS = {name.partition(".")[0] for name in (*MODULES, *GONE)}


def install(*, with_bytes: bool = False) -> None:
    """Make the old names importable in this process and its task processes.

    Parameters
    ----------
    with_bytes : bool
        Whether jobs have text=False by default.
    """
    os.environ[_VARIABLE] = "bytes" if with_bytes or entries_are_bytes() else "1"
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def is_installed() -> bool:
    """Return whether this process, or the one that started it, has installed the names."""
    return _VARIABLE in os.environ


def entries_are_bytes() -> bool:
    """Return whether jobs have text=False by default."""
    return os.environ.get(_VARIABLE) == "bytes"


class _Finder:
    """Finds the modules of the table, unless another finder has a real package.

    It comes first; otherwise a directory called `disco` would become a namespace package.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, dot, _ = name.partition(".")
        if top not in _TOPS or (
            self._is_ours(name.rpartition(".")[0]) if dot else self._is_real(name)
        ) is not bool(dot):
            return None
        if name not in MODULES:
            raise ImportError(_explained(name), name=name)
        return ModuleSpec(name, _Loader(), is_package=bool(_children(name)))

    def _is_ours(self, name: str) -> bool:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        return isinstance(getattr(spec, "loader", None), _Loader)

    def _is_real(self, name: str) -> bool:
        specs = (finder.find_spec(name, None) for finder in sys.meta_path if finder is not self)
        return any(spec is not None and spec.loader is not None for spec in specs)


class _FinderOfMoved:
    """Finds the modules of kvproto that have moved. It comes last."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, _Loader()) if name in MOVED else None


sys.meta_path.append(_FinderOfMoved())


class _Loader(Loader):
    """Makes a module with the names that the modules in the table export."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        modules = exports(name)
        names = {
            export: getattr(source, RENAMED.get(export, export))
            for export, source in modules.items()
        }

        def missing(attribute: str) -> NoReturn:
            if _is_importing(sys._getframe(1)):
                raise ImportError(_explained(f"{name}.{attribute}"), name=f"{name}.{attribute}")
            raise AttributeError(_explained(f"{name}.{attribute}"))

        for source in MODULES.get(name, ()):
            if ":" not in source:
                vars(module).update(_own(importlib.import_module(source)))
        vars(module).update(names, __all__=sorted(names), __getattr__=missing)
        module.__doc__ = f"The names of {name} in kvproto."


def _is_importing(frame: FrameType) -> bool:
    """Whether the frame is at `from module import name`, which hides an AttributeError."""
    return frame.f_code.co_code[frame.f_lasti] == _IMPORT_FROM


def _own(source: ModuleType) -> dict[str, object]:
    """The names that a module defines, also those that `import *` omits, such as func.map."""
    public = {name: value for name, value in vars(source).items() if not name.startswith("_")}
    return {
        name: value
        for name, value in public.items()
        if getattr(value, "__module__", None) == source.__name__
    }


def _explained(name: str) -> str:
    """The message for a name that does not exist."""
    if name in GONE:
        return f"{name} is not part of kvproto; {GONE[name]}"
    parent, _, child = name.rpartition(".")
    there = sorted(set(vars(sys.modules[parent]).get("__all__", ())) | _children(parent))
    return f"kvproto has no {child!r} in {parent}; it has {', '.join(there)}"


def _children(parent: str) -> set[str]:
    """The modules below a package."""
    return {name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == parent}
