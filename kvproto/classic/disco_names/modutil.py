"""The old `disco.worker.classic.modutil`: which modules job functions use, for the parameter `required_modules`.

A function is looked through for `name.attribute` where it defines no `name`; a module is local when it lies in the
working directory or in one of PYTHONPATH.
"""

from __future__ import annotations

import builtins
import dis
import functools
import importlib.util
import modulefinder
import os
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, ModuleType

from kvproto.errors import ModUtilImportError

__all__ = [
    "ModUtilImportError",
    "find_modules",
    "guess_modules",
    "locate_modules",
    "parse_function",
]


def parse_function(function: Callable) -> list[str]:
    """The names of the modules that a function uses, nested functions and comprehensions included."""
    known, unknown = _modules(function)
    return known + unknown


def guess_modules(functions: Iterable[Callable]) -> tuple[str, ...]:
    """The modules that functions use and nobody has imported for them, as far as there are modules of these names."""
    names = dict.fromkeys(name for function in functions for name in _modules(function)[1])
    return tuple(name for name in names if importlib.util.find_spec(name) is not None)


def _modules(function: Callable) -> tuple[list[str], list[str]]:
    """Modules among the function's globals, and names that are none of its globals."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__"):
        return [], []
    known, unknown = [], []
    for name in dict.fromkeys(_dotted(function.__code__)):
        if name not in function.__globals__ and not hasattr(builtins, name):
            unknown.append(name)
        elif isinstance(found := function.__globals__.get(name), ModuleType):
            known.append(found.__name__)
    return known, unknown


def _dotted(code: CodeType) -> Iterator[str]:
    """Global names that an attribute is taken of."""
    before = None
    for instruction in dis.get_instructions(code):
        if before is not None and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            yield before
        before = instruction.argval if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") else None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _dotted(constant)


def find_modules(
    functions: Iterable[Callable],
    send_modules: bool = True,
    recurse: bool = True,
    exclude: Iterable[str] = (),
) -> list[str | tuple[str, str]]:
    """The modules that functions use, for `required_modules`: names, and (name, path) for local ones.

    send_modules  False: names alone, and not those that modules use
    recurse       whether to go on with the local modules that local modules use
    Raises ModUtilImportError that names the function and the module that cannot be found.
    """
    found: dict[str, str | None] = {}
    for function in functions:
        names = [name for name in parse_function(function) if name not in exclude]
        try:
            found.update(locate_modules(names, recurse and send_modules, include_sys=True))
        except ImportError as e:
            what = getattr(function, "__qualname__", function)
            raise ModUtilImportError(
                f"{what}: {e}; is it misspelt? required_modules can name modules with their paths"
            ) from e
    return [(name, path) if path and send_modules else name for name, path in found.items()]


def locate_modules(
    modules: Iterable[str], recurse: bool = True, include_sys: bool = False
) -> list[tuple[str, str | None]]:
    """(name, path) of the modules that are local.

    recurse      whether to go on with the local modules that they use
    include_sys  whether the others are listed too, with None for a path
    Raises ImportError for a module that cannot be found.
    """
    local = {
        os.path.realpath(path) for path in [*os.environ.get("PYTHONPATH", "").split(os.pathsep), ""]
    }
    found: dict[str, str | None] = {}
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ImportError(f"there is no module {name}", name=name)
        path = os.path.realpath(spec.origin) if spec.has_location and spec.origin else ""
        if os.path.dirname(path) in local:
            found[name] = path
            if recurse:
                found.update(_used_by(path, local))
        elif include_sys:
            found[name] = None
    return list(found.items())


def _used_by(path: str, local: set[str]) -> dict[str, str]:
    finder = modulefinder.ModuleFinder(path=sorted(local))
    finder.run_script(path)
    modules = (
        (name, module.__file__) for name, module in finder.modules.items() if name != "__main__"
    )
    return {name: os.path.realpath(file) for name, file in modules if file}
