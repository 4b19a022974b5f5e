"""Run a script that uses the old names; `install()` makes the old names importable.

    python -m kvproto.classic.alias [--bytes] SCRIPT.py ARGS...
    python -m kvproto.classic.alias [--bytes] -m MODULE ARGS...

The names themselves are in `kvproto.classic.disco_names`.
"""

from __future__ import annotations

import os
import runpy
import sys

from kvproto.classic.disco_names import entries_are_bytes, install, is_installed

__all__ = ["entries_are_bytes", "install", "is_installed"]

__path__: list[str] = []  # this was a package; `disco_names.names.MOVED` has its modules


def main(arguments: list[str]) -> None:
    """Run a script or a module as Python does: as __main__, with its sys.argv and sys.path[0]."""
    with_bytes = arguments[:1] == ["--bytes"]
    arguments = arguments[with_bytes:]
    is_module = arguments[:1] == ["-m"]
    command = arguments[is_module:]
    if not command or (not is_module and command[0].startswith("-")):
        sys.exit(
            "usage: python -m kvproto.classic.alias [--bytes] SCRIPT.py [ARGUMENT ...]\n"
            "       python -m kvproto.classic.alias [--bytes] -m MODULE [ARGUMENT ...]\n"
            "--bytes: entries are bytes, as for the original on Python 3"
        )
    if not is_module and not os.path.exists(command[0]):
        sys.exit(f"kvproto: there is no script {command[0]}")
    install(with_bytes=with_bytes)
    sys.argv[:] = command
    if is_module:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        return
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.abspath(command[0]))
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
