"""The conformance kit: what is wrong with this worker?

`kvproto check` is the command, and `pytest --kv-worker ./worker` the plugin (`pytest_plugin`). For
tests of your own, this package offers what the kit is made of:

    Program, Setting, Schedule and its steps     a worker, and what is done to it, as data
    ahead, lockstep, pair, parameter_set         how most schedules are built
    play, Trace                                  play a schedule, and what the worker did
    fault_of, must_fail, Finding                 what is wrong with that
    items, pairs, params, contract_params,       Hypothesis strategies; they need
    schedules                                    `pip install kvproto[check]`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvproto.conformance.answers import pair, parameter_set
    from kvproto.conformance.oracle import fault_of, must_fail
    from kvproto.conformance.player import Program, play
    from kvproto.conformance.schedule import (
        Answers,
        CloseOutput,
        End,
        Exit,
        Measure,
        Pause,
        Rest,
        Resume,
        Schedule,
        Send,
        Setting,
        Taken,
        ahead,
        lockstep,
    )
    from kvproto.conformance.strategies import contract_params, items, pairs, params, schedules
    from kvproto.conformance.trace import Finding, Trace

__all__ = [
    "Answers",
    "CloseOutput",
    "End",
    "Exit",
    "Finding",
    "Measure",
    "Pause",
    "Program",
    "Rest",
    "Resume",
    "Schedule",
    "Send",
    "Setting",
    "Taken",
    "Trace",
    "ahead",
    "contract_params",
    "fault_of",
    "items",
    "lockstep",
    "must_fail",
    "pair",
    "pairs",
    "parameter_set",
    "params",
    "play",
    "schedules",
]

_MODULES = {
    **dict.fromkeys(("pair", "parameter_set"), "answers"),
    **dict.fromkeys(("fault_of", "must_fail"), "oracle"),
    **dict.fromkeys(("Program", "play"), "player"),
    **dict.fromkeys(("Finding", "Trace"), "trace"),
    **dict.fromkeys(("contract_params", "items", "pairs", "params", "schedules"), "strategies"),
}


def __getattr__(name: str) -> object:
    """Import a name on first use, so that Hypothesis is loaded only by those who draw."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'schedule')}")
    return getattr(module, name)
