"""FILES-: the worker's directory, and supporting files that a driver must refuse."""

from __future__ import annotations

import os

from kvproto.conformance.drivers.case import DriverCase, DriverFinding, Play, echoed
from kvproto.conformance.drivers.hostile import ALL_BYTES, ECHO, good, hostile

__all__ = ["CASES"]

TWO_FILES = (("words.txt", ALL_BYTES), ("other", b""))
LOOKS_AROUND = hostile(good.looks_around)


def _directory(case: DriverCase, play: Play) -> DriverFinding | None:
    """Check that the directory holds `op` and the supporting files, and nothing else."""
    contents = {name: content for name, (content, _) in play.noted("files").items()}
    wanted = {"op": b"", **dict(case.files)}
    if contents == wanted and os.path.basename(play.noted("arguments")[0]) == "op":
        return None
    differ = sorted(
        name for name in contents.keys() & wanted.keys() if contents[name] != wanted[name]
    )
    got = f"{sorted(contents)}, started as {play.noted('arguments')[0]}"
    got += f"; the content of {differ} differs" * bool(differ)
    return case.finding(
        play,
        "directory",
        "the worker's directory is not what it should be",
        f"{sorted(wanted)}, started as op",
        got,
    )


def _permissions(case: DriverCase, play: Play) -> DriverFinding | None:
    lacking = {
        name: f"{mode:o}"
        for name, (_, mode) in play.noted("files").items()
        if mode & 0o500 != 0o500
    }
    if not lacking:
        return None
    return case.finding(
        play,
        "permissions",
        "files of the worker's directory are not readable and executable",
        "all of them readable and executable",
        f"{lacking}",
    )


def _refused(name: str, words: str, files: tuple[tuple[str, bytes], ...]) -> DriverCase:
    return DriverCase(
        f"FILES-name-{name}",
        "FILES-2",
        f"a supporting file {words} is refused before anything starts",
        ECHO,
        modes=("map",),
        files=files,
        is_started=False,
    )


CASES = (
    DriverCase(
        "FILES-directory",
        "FILES-1",
        "the worker's directory holds op and the supporting files, and nothing else",
        LOOKS_AROUND,
        echoed,
        files=TWO_FILES,
        checks=(_directory,),
        reports=("not started",),
    ),
    DriverCase(
        "FILES-executable",
        "FILES-4",
        "supporting files are readable and executable",
        LOOKS_AROUND,
        echoed,
        files=TWO_FILES,
        checks=(_permissions,),
    ),
    DriverCase(
        "FILES-starter",
        "FILES-4",
        "op may start one of the supporting files",
        hostile(good.starts_another, name="count"),
        echoed,
        files=(("count", ECHO),),
        is_started=None,
    ),
    DriverCase(
        "FILES-no-interpreter",
        "LIFECYCLE-4",
        "a program that cannot be started is an error",
        b"#!/no/such/interpreter\n",
        is_started=None,
    ),
    DriverCase(
        "FILES-no-program",
        "LIFECYCLE-4",
        "a text file that is not a program is an error",
        b"words.txt contains no program\n",
        is_started=None,
    ),
    _refused("empty", "without a name", (("", b""),)),
    _refused("slash", "with a slash in its name", (("a/b", b""),)),
    _refused("zero", "with a zero byte in its name", (("a\0b", b""),)),
    _refused("dot", "named `.`", ((".", b""),)),
    _refused("parent", "named `..`", (("..", b""),)),
    _refused("op", "named `op`", (("op", b""),)),
    _refused("twice", "with the same name as another", (("words", b"1"), ("words", b"2"))),
)
