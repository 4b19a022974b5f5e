"""The old worker: its defaults, what it takes for old programs, and the names that its job functions found without an import."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvproto.classic import func, worker
from kvproto.classic.disco_names import compat, entries_are_bytes, error
from kvproto.classic.disco_names.task import Task
from kvproto.driver.program import external
from kvproto.engine.spec import JobSpec

__all__ = ["Worker", "free_names"]


class Worker(worker.Worker):
    """The parameters with the original's defaults: what the maps give is kept, and `partitions` may be 0, which is None."""

    def defaults(self) -> dict[str, Any]:
        """The parameters and their defaults."""
        return {**super().defaults(), "keep_map": True, "text": not entries_are_bytes()}

    def getitem(self, key: str, job, jobargs: Mapping, default=None):
        """Find a parameter of a job."""
        value = super().getitem(key, job, jobargs, default)
        return None if key == "partitions" and value == 0 else value

    def spec(self, job, jobargs: Mapping) -> JobSpec:
        """Resolve the parameters of a job. A reduce alone has as many partitions as its inputs have labels, whatever it says."""
        spec = super().spec(job, jobargs)
        if spec.map is None and not self.getitem("merge_partitions", job, jobargs):
            return replace(spec, n_partitions=None)
        return spec

    def required_files(self, job, jobargs: Mapping) -> dict[str, str | bytes]:
        """The files that the tasks find in their working directory; those given by path in lib/ too, as the original had it."""
        found = super().required_files(job, jobargs)
        return {
            **found,
            **{f"lib/{name}": path for name, path in found.items() if isinstance(path, str)},
        }


def free_names() -> dict[str, Any]:
    """Name -> what it stands for in a job function that neither defines nor imports it."""
    modules = {
        name: value for module in (func, compat, error) for name, value in _public(module).items()
    }
    return {
        **modules,
        "Params": worker.Params,
        "Task": Task,
        "external": external,
        "os": os,
        "sys": sys,
    }


def _public(module) -> dict[str, Any]:
    return {name: getattr(module, name) for name in module.__all__}
