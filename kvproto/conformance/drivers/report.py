"""What a case for drivers asks, in words; and the report, which is that of both kits."""

from __future__ import annotations

import textwrap

from kvproto.conformance.drivers.case import DriverCase
from kvproto.conformance.drivers.hostile import Hostile
from kvproto.conformance.drivers.request import DEFAULT
from kvproto.conformance.report.parts import shortened
from kvproto.conformance.report.text import report

__all__ = ["explain", "report"]


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
    call = [f"called with {shortened(case.worker.options)}"] if isinstance(case.worker, Hostile) else []
    return "\n".join([*lines, *textwrap.indent(text, "  ").splitlines(), *call]) + "\n"


def _params(params) -> str:
    return "the parameters that it sends by default" if params == DEFAULT else f"parameters {shortened(params)}"


def _expected(case: DriverCase) -> str:
    if case.kill:
        return f"the adapter gets signal {case.kill}, and nothing is left"
    if case.lists is None:
        return "an error" + ", and no worker started" * (case.is_started is False)
    return "the right results" + ", or an error" * case.may_fail
