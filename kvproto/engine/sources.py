"""Which files the functions of a job come from, to find out later whether one has changed.

A task imports the module of a function, unless the function is pickled with its code. So the whole
file of such a module counts, because a function depends on its module's other functions and on
constants. The modules that these use count too, except installed ones. Of a function that is
pickled with its code, only what it refers to counts.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import site
import sys
from collections.abc import Iterable, Iterator
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from kvproto.engine.spec import External

__all__ = [
    "Source",
    "changed",
    "code_names",
    "contents",
    "digest",
    "function_parts",
    "reached",
    "scripts_of",
    "sources_of",
]

_MAX_SEARCHED = 1000  # elements of a list or dict that are searched for functions


class Source(NamedTuple):
    """A file that a part of the job comes from.

    Attributes
    ----------
    part : str
        The part of the job, such as "map".
    path : str
    sha256 : str
        Of the content, in hex.
    """

    part: str
    path: str
    sha256: str


def sources_of(parts: Iterable[tuple[str, Any]]) -> list[Source]:
    """Return the files of a job's parts, given as (name, value); each file once."""
    seen: dict[int, Any] = {}
    sources: dict[str, Source] = {}
    for part, value in parts:
        if isinstance(value, External):
            known = getattr(value.files, "paths", {})
            digests = {path: digest(value.files[name]) for name, path in known.items()}
        else:
            modules = (one for one in reached(value, seen) if isinstance(one, ModuleType))
            paths = _with_imported(modules)
            digests = {path: digest(path) for path in paths if path not in sources}
        for path, sha256 in digests.items():
            sources.setdefault(path, Source(part, path, sha256))
    return [source for source in sources.values() if source.sha256]


def scripts_of(parts: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return the files of the functions that are pickled with their code: qualified name -> path.

    Their pickle does not have it.
    """
    seen: dict[int, Any] = {}
    codes = [
        function.__code__
        for _, value in parts
        for function in reached(value, seen)
        if isinstance(function, FunctionType)
    ]
    return {code.co_qualname: os.path.abspath(code.co_filename) for code in codes}


def changed(sources: Iterable[Source]) -> list[str]:
    """Say which of the files have another content now; a file that is gone has not changed."""
    return [
        f"{part}: {path} has changed since the job ran"
        for part, path, sha256 in sources
        if digest(path) not in ("", sha256)
    ]


def digest(content: str | bytes) -> str:
    """Return the sha256 of bytes, or of the file with this path; "" if it cannot be read."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    try:
        with open(content, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


# --- the modules of a function -----------------------------------------------------------------


def reached(value: Any, seen: dict[int, Any]) -> Iterator[ModuleType | FunctionType]:
    """Yield the modules that a task imports to unpickle a value, and functions in its pickle."""
    if id(value) in seen or isinstance(value, (str, bytes, int, float, CodeType)):
        return
    seen[id(value)] = value  # kept alive, so that its id is not used again
    if isinstance(value, ModuleType):
        yield value
        return
    if isinstance(value, (FunctionType, type)):
        module = sys.modules.get(value.__module__ or "")
        if module is not None and _is_importable(value, module):
            yield module
            return
        if isinstance(value, FunctionType):
            yield value
    for part in _parts(value):
        yield from reached(part, seen)


def _is_importable(value: FunctionType | type, module: ModuleType) -> bool:
    """Whether a task finds this function or class in its module."""
    if module.__name__ == "__main__":
        return False
    here: Any = module
    for name in value.__qualname__.split("."):
        here = getattr(here, name, None)
    return here is value


def _parts(value: Any) -> Iterable[Any]:
    """What is pickled with a value."""
    if isinstance(value, FunctionType):
        return function_parts(value)
    if isinstance(value, type):
        return [*vars(value).values(), *value.__bases__]
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, dict):
        return itertools.islice(value.values(), _MAX_SEARCHED)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [type(value), *itertools.islice(value, _MAX_SEARCHED)]
    return [type(value), *getattr(value, "__dict__", {}).values()]


def function_parts(function: FunctionType) -> list[Any]:
    """What is pickled with the code of a function: defaults, variables around it, and globals."""
    names = code_names(function.__code__)
    return [
        *(function.__defaults__ or ()),
        *(function.__kwdefaults__ or {}).values(),
        *map(contents, function.__closure__ or ()),
        *(function.__globals__[name] for name in sorted(names) if name in function.__globals__),
    ]


def contents(cell: CellType) -> Any:
    """The value of a variable around a function; None if it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def code_names(code: CodeType) -> set[str]:
    """Return the names of globals and attributes that a code uses, and the code inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= code_names(constant)
    return names


# --- their files -------------------------------------------------------------------------------


def _with_imported(modules: Iterable[ModuleType]) -> Iterator[str]:
    """The files of modules, and of the modules that these use, without installed ones."""
    waiting, seen = list(modules), set()
    while waiting:
        module = waiting.pop()
        path = getattr(module, "__file__", None)
        if module.__name__ in seen or not path or _is_installed(path):
            continue
        seen.add(module.__name__)
        yield os.path.abspath(path)
        for value in list(vars(module).values()):
            name = getattr(value, "__module__", None)
            used = value if isinstance(value, ModuleType) else sys.modules.get(str(name))
            if used is not None:
                waiting.append(used)


@functools.cache
def _installed() -> tuple[str, ...]:
    """Directories of modules that a job does not bring with it."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # Where the names of site-packages are others; sysconfig knows the same, and is slow to load.
    paths = [ours, os.path.dirname(os.__file__), *site.getsitepackages()]
    return tuple(f"{os.path.realpath(path)}{os.sep}" for path in paths)


def _is_installed(path: str) -> bool:
    path = os.path.realpath(path)
    return path.startswith(_installed()) or bool(
        {"site-packages", "dist-packages"}.intersection(path.split(os.sep))
    )
