"""A fault of a worker: a change of a line or two in one of the contract workers, and the case that
must tell it.
"""

from __future__ import annotations

import py_compile
from dataclasses import dataclass
from pathlib import Path

from kvproto.conformance.player import Program
from support import catalogue
from support.languages import HERE

Told = tuple[str, str]
NOT_SEEN = ("", "")


@dataclass(frozen=True)
class Mutant:
    """A changed worker.

    name        str, its fault changes     tuple of (old, new): `old` is there exactly once map,
    reduce (ids, words): the cases that the report names first, and a part of it; None: not asked
    source      str, the worker that is changed watchdog    seconds, as `kvproto check --timeout`
    """

    name: str
    changes: tuple[tuple[str, str], ...]
    map: Told | None = None
    reduce: Told | None = None
    source: str = "contract.py"
    watchdog: float = 30.0

    def program(self, directory: Path) -> Program:
        """The changed worker as the kit takes it; `directory`: where C programs are built."""
        text = (HERE / self.source).read_text(encoding="utf-8")
        for old, new in self.changes:
            assert text.count(old) == 1, (
                f"{old!r} is there {text.count(old)} times in {self.source}"
            )
            text = text.replace(old, new)
        if not self.source.endswith(".c"):
            return Program(self.name, _compiled(text, directory))
        path = directory / f"{self.name.replace(' ', '_')}.c"
        path.write_text(text)
        return Program(
            self.name, {"op": catalogue.compile_worker(path, path.with_suffix("")).read_bytes()}
        )


_START = b"""
import contract, os

contract.main()
print(end="", flush=True)
os._exit(0)  # at once: a third of what an empty run takes is the end of Python
"""


def _compiled(text: str, directory: Path) -> dict[str, bytes]:
    """The files of a worker in Python that is compiled once, since each run would do that again."""
    source, compiled = directory / "contract.py", directory / "contract.pyc"
    source.write_text(text)
    py_compile.compile(source, compiled, doraise=True)
    start = b"#!/usr/bin/env python3\n" + _START
    return {"op": catalogue.with_interpreter(start), "contract.pyc": compiled.read_bytes()}


def in_both(ids: str, words: str) -> dict[str, Told]:
    """The same in a map and in a reduce; ids of MAP- or REDUCE- are given without that."""
    is_whole = ids.partition("-")[0].isupper()
    return {
        mode: (ids if is_whole else f"{mode.upper()}-{ids}", words) for mode in ("map", "reduce")
    }


READ = "    first = stdin.read(min(size, PIECE))"
EXIT = '        tell(b"ERR", text.encode'
KEEPS = (
    (
        "void echo(void)\n{\n",
        "void echo(void)\n{\n    p_entry *kept = NULL;\n    copy_entry(&kept, val);\n",
    ),
)
