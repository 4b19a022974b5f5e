"""The report about a driver for a terminal, and what a case asks, in words."""

from __future__ import annotations

import textwrap

from kvproto.conformance import hexdump
from kvproto.conformance.drivers.case import DriverCase
from kvproto.conformance.drivers.hostile import Hostile
from kvproto.conformance.drivers.request import DEFAULT
from kvproto.conformance.report.grouping import Failure, failures
from kvproto.conformance.report.text import STDERR_LINES, asides, dump, field, names, summary
from kvproto.conformance.runner import Result

__all__ = ["explain", "report"]


def report(adapter: str, results: list[Result], directories: dict[str, str]) -> str:
    """All of it: each failure, what was not run, the last line.

    directories   case id and mode, as `ID.mode` -> where its evidence is
    """
    parts = [_failure(one, directories[one.result.name]) for one in failures(results)]
    return "\n".join([*parts, *asides(results), summary(adapter, results)])


def _failure(one: Failure, directory: str) -> str:
    case, mode, finding, _ = one.result
    play = finding.play
    lines = [f"FAIL  {case.id} ({mode})  {case.level}  {finding.clause}", f"      {case.title}", ""]
    lines += field("found", finding.what) + field("expected", finding.expected) + field("got", finding.got)
    if isinstance(case.worker, Hostile):
        lines += ["", *field("worker", _worker(case.worker))]
    if finding.at is not None:
        lines += dump("stdin of the worker", hexdump.of_input(play.stdin, finding.at), f"{len(play.stdin)} bytes")
    if play.stderr:
        said = play.stderr.decode("utf-8", "backslashreplace").splitlines()[-STDERR_LINES:]
        lines += dump("stderr of the adapter", ["  " + text[:100] for text in said], "the last lines")
    if one.others:
        lines += ["", *field("also", names(one.others))]
    lines += ["", *field("evidence", f"{directory}/   its repro.sh needs the adapter and Python")]
    return "\n".join(lines) + "\n"


def explain(case: DriverCase) -> str:
    """Its title, clauses and modes, what is asked of the driver, and the worker's own text."""
    request = case.request(case.modes[0])
    n = len(request.entries)
    lines = [
        f"{case.id}  {case.level}  {case.clauses}", case.title, "", f"asked in: {', '.join(case.modes)}",
        f"the driver is given: {n} entr{'y' if n == 1 else 'ies'}, {_params(request.params)}"
        + "".join(f", a supporting file {name!r}" for name, _ in case.files)
        + "".join(f", {name} limit {seconds:g} s" for name, seconds in case.limits.items()),
        f"what must come of it: {_expected(case)}", "", "the worker:",
    ]  # fmt: skip
    text = case.worker.source if isinstance(case.worker, Hostile) else case.worker.decode()
    call = [f"called with {_shortened(case.worker.options)}"] if isinstance(case.worker, Hostile) else []
    return "\n".join([*lines, *textwrap.indent(text, "  ").splitlines(), *call]) + "\n"


def _params(params) -> str:
    return "the parameters that it sends by default" if params == DEFAULT else f"parameters {_shortened(params)}"


def _expected(case: DriverCase) -> str:
    if case.kill:
        return f"the adapter gets signal {case.kill}, and nothing is left"
    if case.lists is None:
        return "an error" + ", and no worker started" * (case.is_started is False)
    return "the right results" + ", or an error" * case.may_fail


def _worker(worker: Hostile) -> str:
    words = (worker.function.__doc__ or worker.function.__name__).strip().split("\n")[0]
    return f"{words} {_shortened(worker.options)}" if worker.options else words


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
