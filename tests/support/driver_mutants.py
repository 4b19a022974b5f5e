"""Drivers with one fault each, and the cases that must find it.

Each row has the faults of naive.py, what the cases report, and the ids of the cases. What a case
reports is the cause of its finding, without the case's id; several cases may share it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["MUTANTS", "NAIVE", "PERL", "Mutant"]

HERE = Path(__file__).parents[1] / "naive_drivers"
# Imported, not run as a script: Python then keeps what it has compiled.
_IMPORTED = f"import sys; sys.path[0] = {str(HERE)!r}; import naive"
NAIVE = [sys.executable, "-SE", "-c", _IMPORTED]
PERL = ["perl", str(HERE / "naive.pl")]


class Mutant(NamedTuple):
    faults: tuple[str, ...]
    how: str
    cases: str  # ids, with spaces between
    mode: str = "map"  # in cases that have both
    takes_time: bool = False  # the kit waits until its time is up, which is then short


def told(how: str, cases: str, *faults: str, mode: str = "map") -> Mutant:
    return Mutant(faults, how, cases, mode)


def told_late(how: str, cases: str, *faults: str) -> Mutant:
    return Mutant(faults, how, cases, takes_time=True)


MUTANTS = (
    # What goes out.
    told("wrong pairs", "FRAME-pairs", "writes big-endian"),
    told("wrong pairs", "FRAME-sizes FRAME-large", "writes 16 bits"),
    told("wrong pairs", "FRAME-text", "writes Latin-1"),
    told("wrong parameters", "PARAMS-raw-text", "writes Latin-1"),
    told("wrong pairs", "FRAME-all-bytes", "takes bytes for text"),
    told("wrong parameters", "PARAMS-all-bytes", "takes bytes for text"),
    told("wrong pairs", "FRAME-empty-items", "skips empty items", mode="reduce"),
    told("wrong pairs", "MAP-entries", "takes an entry for a key"),
    told("wrong parameters", "PARAMS-default PARAMS-empty-set", "sends no empty set"),
    told("wrong parameters", "PARAMS-sent-none", "sends a set for none"),
    told(
        "wrong parameters",
        "PARAMS-raw-bytes PARAMS-raw-text PARAMS-raw-empty",
        "frames a raw string",
    ),
    told("wrong parameters", "PARAMS-sent-one PARAMS-several", "writes no total"),
    told("wrong parameters", "PARAMS-bytes-counted", "counts characters"),
    told("wrong parameters", "PARAMS-spaces", "strips values"),
    told("wrong parameters", "PARAMS-sent-twice", "sends a name twice"),
    told("zeros", "PARAMS-sent-zeros", "writes leading zeros"),
    told("end of file too soon", "PARAMS-large", "writes once", mode="reduce"),
    told(
        "no end of file",
        "MAP-end-of-file REDUCE-end-of-file",
        "never closes stdin",
        "has no limits of time",
    ),
    told("arguments", "MAP-argument REDUCE-argument", "adds arguments"),
    # The directory.
    told("directory", "FILES-directory", "keeps the program's name"),
    told("directory", "FILES-directory", "runs it elsewhere"),
    told("permissions", "FILES-executable", "makes files unexecutable"),
    told("error", "FILES-starter", "makes files unexecutable"),
    told("success", "FILES-no-interpreter FILES-no-program", "takes no start for a success"),
    told(
        "started",
        "FILES-name-empty FILES-name-slash FILES-name-zero FILES-name-dot FILES-name-parent "
        "FILES-name-op "
        "FILES-name-twice",
        "mends file names",
    ),
    told("not started", "FRAME-pairs", "takes no start for a success", "refuses everything"),
    # Good output that it does not take.
    told("error", "FRAME-bytewise", "takes a short read for the end"),
    told("error", "FRAME-pause", "takes quiet for the end"),
    told("results", "REDUCE-quiet", "takes quiet for the end"),
    told("results", "LIST-empty", "drops empty lists"),
    told("results", "LIST-long LIST-many", "keeps 1000"),
    told("no end", "FRAME-both-ways REDUCE-writes-first", "writes all before it reads"),
    told("no end", "REDUCE-tail", "waits for the exit first", "has no limits of time"),
    told("error", "MAP-batches", "reads a list at a time"),
    told("error", "MAP-no-entries REDUCE-no-entries REDUCE-nothing", "wants results"),
    told("error", "LIMITS-exactly", "refuses the limit itself"),
    told("results", "MAP-unasked", "drops what comes early", "takes fewer lists"),
    # Bad output that it takes.
    told(
        "success",
        "LIST-cut-in-count LIST-cut-behind-count LIST-cut-in-size LIST-cut-in-key "
        "LIST-cut-behind-key "
        "LIST-cut-in-value LIST-cut-between-pairs LIST-count-low LIST-big-endian LIST-no-count "
        "LIST-count-largest "
        "LIST-banner LIST-text-between LIST-text-last LIST-word-last",
        "keeps what it could read",
        mode="reduce",
    ),
    told("memory", "LIST-count-large", "allocates by num-pairs"),
    told(
        "no end",
        "LIMITS-key-too-large LIMITS-value-too-large LIMITS-settable",
        "has no limit",
        "has no limits of time",
    ),
    told("success", "LIMITS-writer", "has no limit"),
    told("success", "MAP-too-many LIFECYCLE-hangs-at-end", "is done at the count"),
    told(
        "success",
        "MAP-list-for-nothing MAP-flood",
        "is done at the count",
        "never looks at what is unread",
    ),
    told("success", "MAP-too-few MAP-none", "takes fewer lists"),
    told(
        "success", "LIFECYCLE-exit-1 LIFECYCLE-exit-255 LIFECYCLE-killed", "ignores the exit status"
    ),
    told("results of a failure", "LIFECYCLE-exit-1", "gives results of a failure"),
    told("no words", "LIFECYCLE-exit-1", "says nothing"),
    told(
        "success",
        "LIFECYCLE-unread LIFECYCLE-unread-much LIFECYCLE-closes-stdin LIFECYCLE-exits-at-once "
        "LIFECYCLE-exits-midway "
        "LIFECYCLE-exits-in-params",
        "never looks at what is unread",
        mode="reduce",
    ),
    told(
        "success",
        "LIFECYCLE-fails-at-once LIFECYCLE-fails-midway",
        "never looks at what is unread",
        "ignores the exit status",
        mode="reduce",
    ),
    # stderr.
    told("messages", "STDERR-messages", "strips messages"),
    told(
        "messages",
        "STDERR-untagged STDERR-flood-untagged STDERR-endless-line",
        "drops untagged lines",
    ),
    told("error", "STDERR-error-inside", "looks for tags anywhere"),
    told("messages", "STDERR-all-bytes", "takes bytes for text"),
    told("messages", "STDERR-unended", "drops an unended line"),
    told("success", "STDERR-error-unended", "drops an unended line"),
    told(
        "messages",
        "STDERR-long-line STDERR-longest-line STDERR-behind-a-cut STDERR-error-long",
        "cuts lines short",
    ),
    told(
        "no end",
        "STDERR-heard-flood STDERR-flood-untagged STDERR-endless-line",
        "reads stderr at the end",
        "has no limits of time",
    ),
    told("error", "STDERR-closed", "takes stderr's end for the worker's"),
    told("success", "STDERR-heard-error STDERR-error-in-pieces STDERR-error-long", "ignores ERR"),
    told("no end", "STDERR-error-and-stays", "ignores ERR", "has no limits of time"),
    # Time, and what is left behind.
    told(
        "no end",
        "LIFECYCLE-hangs-at-start LIFECYCLE-hangs-in-list LIFECYCLE-hangs-full "
        "LIFECYCLE-closes-stdout LIFECYCLE-child-holds-stdout LIFECYCLE-daemon-holds-stdout "
        "LIFECYCLE-stopped",
        "has no limits of time",
    ),
    told_late("no end", "LIFECYCLE-busy REDUCE-flood", "has no limits of time"),
    told("no end", "LIFECYCLE-deaf LIFECYCLE-stopped", "asks politely"),
    told("group", "LIFECYCLE-group", "shares its group"),
    told_late(
        "directory", "LIFECYCLE-directory LIFECYCLE-directory-failure", "leaves the directory"
    ),
    told_late(
        "processes",
        "LIFECYCLE-child LIFECYCLE-child-failure LIFECYCLE-child-holds-stderr "
        "LIFECYCLE-driver-interrupted",
        "kills the worker alone",
    ),
    told_late("processes", "LIFECYCLE-driver-killed LIFECYCLE-driver-terminated", "has no guard"),
    told_late(
        "no end", "LIFECYCLE-child-floods-stderr", "waits for stderr's end", "has no limits of time"
    ),
    told_late("directory", "LIFECYCLE-directory-litter", "removes files alone"),
    told(
        "no answer of the adapter",
        "LIFECYCLE-directory-gone",
        "wants to remove the directory itself",
    ),
    told("no end", "LIFECYCLE-daemon", "waits for all descendants"),
)
