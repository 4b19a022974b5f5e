"""Workers with one fault each, and the case that must tell it. A row: file, what a map is told,
what a reduce is told.

What a mode is told is the id of the case that the report names first, then a part of the report; ""
for a fault that nobody can see who does not know what the worker computes.
"""

from __future__ import annotations

import py_compile
from pathlib import Path
from typing import NamedTuple

from kvproto.conformance.player import Program
from kvproto.driver.files import external
from support import catalogue


class Mutant(NamedTuple):
    source: str
    map: tuple[str, str]
    reduce: tuple[str, str] = ("", "")
    watchdog: float = 30.0  # seconds; short only for the one whose hang cannot be proved

    @property
    def name(self) -> str:
        return self.source

    def program(self, directory: Path) -> Program:
        return program(self.source, directory)


ENDS = ("LIFECYCLE-ends", "proved")
STATUS = "LIFECYCLE-exit-status"
FRAMING = ("REDUCE-lists-alone", "result list")

MUTANTS = (
    Mutant("answers_late.py", ("MAP-lockstep", "one pair late")),
    Mutant("answers_at_end.py", ("MAP-lockstep", "output is buffered")),
    Mutant("table_of_500.py", ("MAP-ahead", "exit status 1"), ("REDUCE-ahead", "exit status 1")),
    Mutant(
        "exits_at_one_percent.py",
        ("MAP-ahead", "before it has read all its input"),
        ("REDUCE-ahead", "before it has read all its input"),
    ),
    Mutant("swallows_input.py", ("MAP-one-list-each", "0 result lists")),
    Mutant("misses_last_list.py", ("MAP-one-list-each", "0 result lists")),
    Mutant("extra_list.py", ("MAP-one-list-each", "the first wrong byte")),
    Mutant("list_long.py", ("MAP-one-list-each", "ends inside"), FRAMING),
    Mutant(
        "list_short_ends.py",
        ("MAP-one-list-each", "inside the key size"),
        ("REDUCE-lists-alone", "inside"),
    ),
    Mutant(
        "list_short_goes_on.py",
        ("MAP-one-list-each", "inside the"),
        ("REDUCE-lists-alone", "inside the"),
    ),
    Mutant(
        "count_huge.py",
        ("MAP-one-list-each", "num-pairs 4294967295"),
        ("REDUCE-lists-alone", "num-pairs 42"),
    ),
    Mutant("item_huge.py", ("MAP-one-list-each", "4294967295 bytes"), FRAMING),
    Mutant("item_cut.py", ("MAP-one-list-each", "inside the value"), FRAMING),
    Mutant(
        "writes_big_endian.py",
        ("MAP-one-list-each", "big-endian"),
        ("REDUCE-lists-alone", "big-endian"),
    ),
    Mutant(
        "writes_16_bit.py",
        ("MAP-one-list-each", "2 bytes long"),
        ("REDUCE-lists-alone", "2 bytes long"),
    ),
    Mutant(
        "writes_no_count.py",
        ("MAP-one-list-each", "without num-pairs"),
        ("REDUCE-lists-alone", "without num-pairs"),
    ),
    Mutant("prints_first.sh", ("MAP-lists-alone", "your program printed `starting`"), FRAMING),
    Mutant(
        "prints_between.py", ("MAP-lists-alone", "your program printed `done with pair 0`"), FRAMING
    ),
    Mutant("prints_last.py", ("MAP-lists-alone", "your program printed `all done`"), FRAMING),
    Mutant(
        "needs_a_pair.py",
        ("MAP-no-pairs", "ZeroDivisionError"),
        ("REDUCE-no-pairs", "ZeroDivisionError"),
    ),
    Mutant("empty_key_ends.py", ("MAP-empty-key", "key size 0")),
    Mutant(
        "empty_value_fails.py",
        ("MAP-empty-value", "IndexError"),
        ("REDUCE-empty-value", "IndexError"),
    ),
    Mutant(
        "text_only.py",
        ("MAP-all-bytes", "are bytes, not text"),
        ("REDUCE-all-bytes", "are bytes, not text"),
    ),
    Mutant("reads_16_bit.py", ("MAP-sizes", "size 65536"), ("REDUCE-sizes", "size 65536")),
    Mutant("reads_signed_byte.py", ("MAP-sizes", "size 128"), ("REDUCE-sizes", "size 128")),
    Mutant(
        "short_reads.py", ("MAP-byte-by-byte", "read again"), ("REDUCE-byte-by-byte", "read again")
    ),
    Mutant("drops_when_full.py", ("MAP-slow-reader", "LIST-2"), ("REDUCE-slow-reader", "LIST-2")),
    Mutant("keeps_20_answers.py", ("MAP-both-full", "LIST-2"), ("REDUCE-both-full", "LIST-2")),
    Mutant("long_keys_fail.c", ("MAP-drawn", "no room"), ("REDUCE-drawn", "no room")),
    Mutant(
        "cut_input_is_fine.py",
        ("MAP-cut-input", "ends inside a pair"),
        ("REDUCE-cut-input", "ends inside a pair"),
    ),
    Mutant("exits_1_early.py", (STATUS, "exit status 1"), (STATUS, "exit status 1")),
    Mutant("exits_3_at_the_end.py", (STATUS, "exit status 3"), (STATUS, "exit status 3")),
    Mutant("segfaults.c", (STATUS, "SIGSEGV"), (STATUS, "SIGSEGV")),
    Mutant("aborts.py", (STATUS, "SIGABRT"), (STATUS, "SIGABRT")),
    Mutant("hangs_at_the_end.py", ENDS, ENDS),
    Mutant("hangs_midway.py", ENDS, ENDS),
    Mutant("stops_itself.py", ENDS, ENDS),
    Mutant("closes_stdin.py", ENDS, ENDS),
    Mutant("ignores_sigterm.py", ENDS, ENDS),
    Mutant(
        "never_reads.sh", ("LIFECYCLE-ends", "not proved"), ("LIFECYCLE-ends", "not proved"), 0.3
    ),
    Mutant(
        "exits_at_once.sh",
        ("LIFECYCLE-reads-all", "12 bytes unread"),
        ("LIFECYCLE-reads-all", "12 bytes unread"),
    ),
    Mutant(
        "closes_stdout.py",
        ("LIFECYCLE-keeps-stdout", "closes"),
        ("LIFECYCLE-keeps-stdout", "closes"),
    ),
    Mutant(
        "closes_stdout_early.py",
        ("LIFECYCLE-keeps-stdout", "closes"),
        ("LIFECYCLE-keeps-stdout", "closes"),
    ),
    Mutant(
        "leaves_child.py",
        ("LIFECYCLE-keeps-stdout", "holds stdout"),
        ("LIFECYCLE-keeps-stdout", "holds stdout"),
    ),
    Mutant(
        "ignores_write_errors.py",
        ("LIFECYCLE-full-stdout", "the result of a write"),
        ("LIFECYCLE-full-stdout", "the result of a write"),
    ),
    Mutant(
        "ignores_large_write_errors.py",
        ("LIFECYCLE-full-stdout-midway", "not be written"),
        ("LIFECYCLE-full-stdout-midway", "not be written"),
    ),
    Mutant(
        "ignores_no_reader.py",
        ("LIFECYCLE-closed-stdout", "nobody reads"),
        ("LIFECYCLE-closed-stdout", "nobody reads"),
    ),
    Mutant(
        "ignores_no_reader_later.py",
        ("LIFECYCLE-closed-stdout-midway", "nobody reads"),
        ("LIFECYCLE-closed-stdout-midway", "nobody reads"),
    ),
    Mutant(
        "reports_error.py", ("STDERR-no-error", "the lexicon"), ("STDERR-no-error", "the lexicon")
    ),
    Mutant(
        "stderr_unended.py",
        ("STDERR-ended STDERR-tagged", "newline"),
        ("STDERR-ended STDERR-tagged", "newline"),
    ),
    Mutant(
        "untagged_line.py",
        ("STDERR-tagged", "reading the lexicon"),
        ("STDERR-tagged", "reading the lexicon"),
    ),
    Mutant(
        "reads_outside.py",
        ("FILES-reads-own", "/etc/group (openat)"),
        ("FILES-reads-own", "/etc/group (openat)"),
    ),
    Mutant(
        "writes_a_file.py",
        ("FILES-writes-none", "/log (openat)"),
        ("FILES-writes-none", "/log (openat)"),
    ),
)

NOTED = (
    (Mutant("leaves_daemon.py", ("", "")), "LIFECYCLE-none-left"),
    (Mutant("needs_home.py", ("", "")), "LIFECYCLE-empty-environment"),
    (Mutant("answers_at_end.py", ("", "")), "LIFECYCLE-unknown-mode"),
)
"""Workers of which an INFO case has something to tell, which fails nobody."""

CORRECT = (catalogue.IDENTITY, "echo.py", "echo.pl", "starts_another.sh", "flush_each_write.c")


def program(source: str, directory: Path) -> Program:
    """A worker of `tests/workers` as the kit takes it; `directory`: where C programs are built."""
    path = catalogue.HERE / "conformance" / source
    if not path.exists():
        path = catalogue.program(source, directory)
    elif path.suffix == ".c":
        path = catalogue.compile_worker(path, directory / path.stem)
    files = external([path, *_beside(path, directory)])
    return Program(
        str(path), {name: catalogue.with_interpreter(content) for name, content in files.items()}
    )


def _beside(path: Path, directory: Path) -> list[Path]:
    if path.suffix == ".py":  # compiled, since each run would do that again
        return [
            Path(py_compile.compile(catalogue.HERE / "raw.py", directory / "raw.pyc", doraise=True))
        ]
    return [catalogue.HERE / "echo.py"] if path.suffix == ".sh" else []
