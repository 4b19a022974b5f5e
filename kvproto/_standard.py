"""The standard library for kvproto's own imports, whatever the user's directories hold.

A `random.py` or `profile.py` beside a job stands before the standard library's on sys.path. When
kvproto, or an installed library that kvproto called, imports that name, it gets the standard
library's all the same. The user's own imports work as ever. Importing this module has this effect,
and it imports nothing that a user's file could stand for.
"""

from _frozen_importlib_external import PathFinder
from sys import _getframe, meta_path, modules, stdlib_module_names

# No `__future__` here, and no typing: they too are modules that a file of the user could stand for.
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
    """List the user's modules that are loaded under the name of one of the standard library's."""
    loaded = [module for name, module in list(modules.items()) if name in stdlib_module_names]
    return [
        module
        for module in loaded
        if (file := getattr(module, "__file__", None)) and not _is_library(file)
    ]


class _Finder:
    """Finds a standard module for an import statement of kvproto, or of a library it called."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if path is not None or name not in stdlib_module_names or not _is_for_kvproto():
            return None
        spec = PathFinder.find_spec(name, _PATH)
        if spec is None:  # of another platform: a user's file is not what the library asked for
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
    """False where a name is data: importlib.import_module(name), or a pickle that is loaded."""
    return frame.f_code.co_code[frame.f_lasti] == _IMPORT_NAME


if not any(isinstance(finder, _Finder) for finder in meta_path):
    # After the finders of built-in modules.
    meta_path.insert(
        meta_path.index(PathFinder) if PathFinder in meta_path else len(meta_path), _Finder()
    )
