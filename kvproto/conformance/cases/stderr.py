"""STDERR-: what it says while it runs."""

from __future__ import annotations

from kvproto.conformance.case import Case, each
from kvproto.conformance.cases.building import SMALL, ahead
from kvproto.conformance.finding import Finding
from kvproto.conformance.trace import Trace

__all__ = ["CASES"]


def _ended(trace: Trace) -> Finding | None:
    if all(line.is_ended for line in trace.lines):
        return None
    return Finding(
        "a line of stderr without its newline", "STDERR-3", "its last line on stderr has no newline",
        "a newline behind each line", _shown(trace.lines[-1].data), trace,
    )  # fmt: skip


def _tagged(trace: Trace) -> Finding | None:
    untagged = next((line.data for line in trace.lines if not line.tag), None)
    if untagged is None:
        return None
    return Finding(
        "untagged lines on stderr", "STDERR-1", "it writes lines without a tag to stderr",
        "**<MSG> or **<ERR> at the start of each line", _shown(untagged), trace,
    )  # fmt: skip


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 60 else text[:57] + "...")


CASES = (
    Case(
        "STDERR-no-error", "MUST", "STDERR-7", "good input brings no ERR line",
        lambda mode: [ahead(mode, SMALL[:n]) for n in (1, 3)], tells=("reports an error",),
    ),
    Case(
        "STDERR-ended", "MUST", "STDERR-3", "each line on stderr ends with a newline",
        lambda mode: [ahead(mode, SMALL[:n]) for n in (1, 3)], each(_ended),
    ),
    Case(
        "STDERR-tagged", "SHOULD", "STDERR-1", "each line on stderr has a tag",
        lambda mode: [ahead(mode, SMALL[:n]) for n in (1, 3)], each(_tagged),
    ),
)  # fmt: skip
