"""How to build the workers that are installed with the kit and follow CONTRACT.md.

A new language is a new source beside the others, and a new row here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import kvproto.conformance
from support.shared import one_at_a_time

HERE = Path(kvproto.conformance.__file__).parent / "workers" / "contract"


class Language(NamedTuple):
    """How a worker is made.

    source      the file in HERE
    needs       the commands that building or running it requires
    build       the command that builds it, with {source} and {program}; empty for a script
    opens_null  whether its run-time opens /dev/null in place of a closed stdout
    """

    source: str
    needs: tuple[str, ...]
    build: tuple[str, ...] = ()
    opens_null: bool = False


WARN = ("-O2", "-Wall", "-Wextra", "-Werror")
RUSTC = ("rustc", "--edition=2021", "-Dwarnings", "-O")
JAVAC = ("javac", "-Xlint:all,-serial", "-Werror")

LANGUAGES = {
    "c": Language(
        "contract.c",
        ("gcc",),
        ("gcc", "-std=c11", *WARN, "{source}", "{libdisco}", "-o", "{program}"),
    ),
    "c++": Language(
        "contract.cpp", ("g++",), ("g++", "-std=c++17", *WARN, "{source}", "-o", "{program}")
    ),
    "perl": Language("contract.pl", ("perl",)),
    "javascript": Language("contract.js", ("node",), opens_null=True),
    "tcl": Language("contract.tcl", ("tclsh",), opens_null=True),
    "rust": Language(
        "contract.rs", ("rustc",), (*RUSTC, "{source}", "-o", "{program}"), opens_null=True
    ),
    "java": Language("Contract.java", ("javac", "java"), (*JAVAC, "-d", "{directory}", "{source}")),
    "python": Language("contract.py", ("python3",)),
}


def missing(name: str) -> list[str]:
    """List the commands that this machine lacks for a language."""
    return [command for command in LANGUAGES[name].needs if shutil.which(command) is None]


def opens_null(path: str) -> bool:
    """Whether a program is in a language with `opens_null`."""
    names = [{name, language.source} for name, language in LANGUAGES.items() if language.opens_null]
    return any(Path(path).name in some for some in names)


def program(name: str, base: Path) -> list[str]:
    """Build the worker of a language below the directory `base`, once; return the paths of the
    program and its supporting files.
    """
    language = LANGUAGES[name]
    source = HERE / language.source
    if not language.build:
        return [str(source)]
    directory = base / f"contract-{name}"
    directory.mkdir(exist_ok=True)
    target = directory / name
    with one_at_a_time(directory):
        if not target.exists():
            _build(language, source, target)
    return [str(target), *map(str, sorted(directory.glob("*.class")))]


def _build(language: Language, source: Path, target: Path) -> None:
    command = []
    for word in language.build:
        if word == "{libdisco}":
            config = [sys.executable, "-P", "-m", "kvproto", "config", "--cflags", "--libs"]
            command += subprocess.run(
                config, check=True, capture_output=True, text=True
            ).stdout.split()
        else:
            command.append(word.format(source=source, program=target, directory=target.parent))
    subprocess.run(command, check=True)
    if not target.exists():
        _launcher(target)


def _launcher(path: Path) -> None:
    """Write a script that starts the classes beside it, fast."""
    options = "-Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
    path.write_text(f'#!/bin/sh\nexec java {options} -cp "$(dirname "$0")" Contract "$@"\n')
    path.chmod(0o755)
