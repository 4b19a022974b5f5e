"""Keep the user's modules from shadowing the standard library in kvproto's imports.

A `random.py` or `profile.py` next to a job comes before the standard library on sys.path. Importing
this module installs a finder, with which kvproto and the installed libraries that it calls import
the standard library's module instead. The user's own imports do not change. This module itself
imports nothing that a user's file could shadow.
"""

from _frozen_importlib_external import PathFinder
from sys import _getframe, meta_path, modules, stdlib_module_names

# No `__future__` and no typing here: a user's file could shadow them too.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType

__all__ = ["modules_that_hide_others"]

_LIBRARY = str(modules["os"].__file__).rpartition("/")[0] + "/"
_PATH = [_LIBRARY, f"{_LIBRARY}lib-dynload"]
_PACKAGE = __file__.rpartition("/")[0] + "/"
_LIBRARIES = ("<frozen ", _LIBRARY, _PACKAGE)
_IMPORT_NAME = compile("import it", "", "exec").co_code[6]  # after RESUME, level and names


def modules_that_hide_others() -> "list[ModuleType]":
    """List the user's loaded modules that shadow a module of the standard library."""
    loaded = [module for name, module in list(modules.items()) if name in stdlib_module_names]
    return [
        module
        for module in loaded
        if (file := getattr(module, "__file__", None)) and not _is_library(file)
    ]


class _Finder:
    """Finds standard modules for the import statements of kvproto and the libraries it calls."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if path is not None or name not in stdlib_module_names or not _is_for_kvproto():
            return None
        spec = PathFinder.find_spec(name, _PATH)
        if spec is None:  # only on another platform; a user's file is not a substitute
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return spec


def _is_for_kvproto() -> bool:
    frame: FrameType | None = _getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib."):
        frame = frame.f_back
    if (
        frame is None
        or not _is_library(frame.f_code.co_filename)
        or not _is_at_import_statement(frame)
    ):
        return False
    while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame is not None


def _is_library(file: str) -> bool:
    return file.startswith(_LIBRARIES) or "/site-packages/" in file or "/dist-packages/" in file


def _is_at_import_statement(frame: "FrameType") -> bool:
    """Whether it executes an import statement, rather than import_module() or an unpickling."""
    return frame.f_code.co_code[frame.f_lasti] == _IMPORT_NAME


if not any(isinstance(finder, _Finder) for finder in meta_path):
    # after the finders of built-in modules
    meta_path.insert(
        meta_path.index(PathFinder) if PathFinder in meta_path else len(meta_path), _Finder()
    )
