"""The workers beside this file, which follow kvproto/conformance/CONTRACT.md, and how each is built.

A worker is one source, written from that text and PROTOCOL.md alone: a new language is a new source and a new row.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Language(NamedTuple):
    """How a worker is made.

    source   str, its file in this directory
    needs    tuple of str, the commands without which it cannot be built or run
    build    tuple of str, the command that builds it, with {source} and {program}; none: the source is the program
    opens_null   bool, whether its run-time opens /dev/null where stdout is not open, so that a program cannot see it
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
    """The commands that this machine lacks for a language."""
    return [command for command in LANGUAGES[name].needs if shutil.which(command) is None]


def opens_null(path: str) -> bool:
    """Whether a program that was made here is in a language of which Language.opens_null holds."""
    names = [{name, language.source} for name, language in LANGUAGES.items() if language.opens_null]
    return any(Path(path).name in some for some in names)


def program(name: str, directory: Path) -> list[str]:
    """Build the worker of a language in a directory: the path of the program, then those of its supporting files."""
    language = LANGUAGES[name]
    source, target = HERE / language.source, directory / name
    if not language.build:
        return [str(source)]
    command = []
    for word in language.build:
        if word == "{libdisco}":
            config = [sys.executable, "-P", "-m", "kvproto", "config", "--cflags", "--libs"]
            command += subprocess.run(
                config, check=True, capture_output=True, text=True
            ).stdout.split()
        else:
            command.append(word.format(source=source, program=target, directory=directory))
    subprocess.run(command, check=True)
    if name == "java":
        return [_launcher(target), *map(str, sorted(directory.glob("*.class")))]
    return [str(target)]


def _launcher(path: Path) -> str:
    """A script that starts the classes beside it: small options, because a start is most of what a short run takes."""
    options = "-Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
    path.write_text(f'#!/bin/sh\nexec java {options} -cp "$(dirname "$0")" Contract "$@"\n')
    path.chmod(0o755)
    return str(path)
