"""The standard library for kvproto's own imports, whatever the user's directories hold.

A `random.py` or `profile.py` beside a job stands before the standard library's on sys.path. Where kvproto, or an installed
library on its behalf, imports that name, at its start or later, it gets the standard library's all the same. What the
user's own code imports is found as ever. This module imports nothing that a user's file could stand for.
"""

from _frozen_importlib_external import PathFinder
from sys import _getframe, meta_path, modules, stdlib_module_names

__all__ = ["modules_that_hide_others", "prefer_standard_library"]

_LIBRARY = str(modules["os"].__file__).rpartition("/")[0] + "/"
_PATH = [_LIBRARY, f"{_LIBRARY}lib-dynload"]
_PACKAGE = __file__.rpartition("/")[0] + "/"
_LIBRARIES = ("<frozen ", _LIBRARY, _PACKAGE)
_IMPORT_NAME = compile("import it", "", "exec").co_code[
    6
]  # the instruction behind RESUME and those that load level and names


def prefer_standard_library() -> None:
    """Do it in this process. Twice is as good as once."""
    if not any(isinstance(finder, _Finder) for finder in meta_path):
        at = meta_path.index(PathFinder) if PathFinder in meta_path else len(meta_path)
        meta_path.insert(at, _Finder())  # after the finders of built-in modules


def modules_that_hide_others() -> list:
    """The modules of the user's that are loaded under the name of one of the standard library's."""
    loaded = [module for name, module in list(modules.items()) if name in stdlib_module_names]
    return [
        module
        for module in loaded
        if (file := getattr(module, "__file__", None)) and not _is_library(file)
    ]


class _Finder:
    """Finds a module of the standard library for an import statement of kvproto, or of a library that kvproto called."""

    def find_spec(self, name: str, path=None, target=None):
        if path is not None or name not in stdlib_module_names or not _is_for_kvproto():
            return None
        spec = PathFinder.find_spec(name, _PATH)
        if (
            spec is None
        ):  # of another platform, say: a user's file is not what the library asked for
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return spec


def _is_for_kvproto() -> bool:
    frame = _getframe(2)
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


def _is_at_import_statement(frame) -> bool:
    """Not so where a name is data: importlib.import_module(name), or a pickle that is loaded."""
    return frame.f_code.co_code[frame.f_lasti] == _IMPORT_NAME
