"""What a case for drivers asks, in words; and the report, which is that of both kits."""

from __future__ import annotations

import signal
import textwrap

from kvproto.conformance.drivers.case import DriverCase
from kvproto.conformance.drivers.hostile import Hostile
from kvproto.conformance.drivers.request import ParamSet, Raw, octets
from kvproto.conformance.report.parts import options_of
from kvproto.conformance.report.text import report
from kvproto.conformance.wording import quoted, shortened

__all__ = ["explain", "report"]


def explain(case: DriverCase) -> str:
    """Its title, clauses and modes, what is asked of the driver, and the worker's own text."""
    request = case.request(case.modes[0])
    n = len(request.entries)
    lines = [
        f"{case.id}  {case.level}  {case.clauses}",
        case.title,
        "",
        f"asked in: {' and '.join(case.modes)}",
        f"the driver is given: {n} {'entry' if n == 1 else 'entries'}, {_params(request.params)}"
        + "".join(f", a supporting file {quoted(name.encode())}" for name, _ in case.files)
        + "".join(f", {name} limit {seconds:g} s" for name, seconds in case.limits.items()),
        f"what must come out: {_expected(case)}",
        "",
        "the worker:",
    ]
    text = case.worker.source if isinstance(case.worker, Hostile) else case.worker.decode()
    call = (
        [f"called with {options_of(case.worker)}"]
        if isinstance(case.worker, Hostile) and case.worker.options
        else []
    )
    return "\n".join([*lines, *textwrap.indent(text, "  ").splitlines(), *call]) + "\n"


def _params(params: ParamSet | Raw | str | None) -> str:
    match params:
        case None:
            return "no parameters"
        case Raw(data):
            return f"parameters as one string, {quoted(octets(data))}"
        case ParamSet(entries):
            named = (f"{quoted(octets(name))} = {quoted(octets(value))}" for name, value in entries)
            return (
                "the parameters " + shortened(", ".join(named))
                if entries
                else "an empty set of parameters"
            )
    return "its default parameters"


def _expected(case: DriverCase) -> str:
    if case.kill:
        return f"nothing of the worker is left after the adapter was sent {signal.Signals(case.kill).name}"
    if case.lists is None:
        return "an error" + ", and no worker is started" * (case.is_started is False)
    return "the right results" + " or an error" * case.may_fail
