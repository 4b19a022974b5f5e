"""The conformance kit: what is wrong with this worker? And for tests of one's own, what it is made of.

    Program, Setting, Schedule and its steps     a worker, and what is done to it, as data
    play, Trace, fault_of                        do it, what came of it, and what is wrong with that
    items, pairs, params, schedules              Hypothesis strategies (`pip install kvproto[check]`)

`kvproto check` is the command, `pytest --kv-worker ./worker` the plugin (`pytest_plugin`).
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "player": ("Program", "play"),
    "setting": ("Setting", "parameter_set"),
    "schedule": (
        "Schedule",
        "Send",
        "Taken",
        "Answers",
        "Rest",
        "Measure",
        "Pause",
        "Resume",
        "CloseOutput",
        "End",
        "Exit",
    ),
    "cases.building": ("ahead", "lockstep", "pair"),
    "oracle": ("fault_of", "must_fail"),
    "trace": ("Trace",),
    "finding": ("Finding",),
    "strategies": ("items", "pairs", "params", "contract_params", "schedules"),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """Each name is imported when it is asked for: Hypothesis, above all, by those alone who draw."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
