"""Describe a job for its first event, and its error for its last: texts for a person."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import fields
from hashlib import sha256
from reprlib import Repr
from typing import Any

import kvproto
from kvproto._text import counted, shortened, without_passwords
from kvproto.engine.bad_limit import BadLimit
from kvproto.engine.events import MAX_MESSAGES
from kvproto.engine.partition import default_partition
from kvproto.engine.spec import External, InputChain, JobSpec, function_name
from kvproto.errors import JobError, WorkerError

__all__ = ["details_of", "parameters_of", "programs_of", "versions"]

_MAX_TEXT = 200
_MAX_PARAMS = 100
_PLAIN = (str, bytes, int, float, bool, type(None), list, tuple, dict, set, frozenset)
_SECRET = re.compile("passw|secret|token|credential|api_?key", re.IGNORECASE)
_OF_ENGINE = ("name", "save", "free_names", "params")
_NAMES = {
    "n_partitions": "partitions",
    "map_input": "map_input_stream",
    "reduce_input": "reduce_input_stream",
    "max_bad": "max_bad_records",
    "skip_inputs": "bad_inputs",
}

_repr = Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother = 2, _MAX_TEXT, _MAX_TEXT


def parameters_of(spec: JobSpec, n_processes: int) -> dict[str, str]:
    """Return the parameters that differ from their defaults; `params.NAME` are those of the user.

    Values of the user whose names look like a password are hidden.
    """
    texts = {"processes": str(n_processes)}
    for part in fields(JobSpec):
        value = getattr(spec, part.name)
        is_default = value == part.default or value is default_partition
        if part.name not in _OF_ENGINE and not is_default:
            name = _NAMES.get(part.name, part.name)
            texts[name] = "skip" if name == "bad_inputs" else _described(value)
    params = spec.params if isinstance(spec.params, dict) else getattr(spec.params, "__dict__", {})
    for name, value in list(params.items())[:_MAX_PARAMS]:
        is_secret = _SECRET.search(str(name))
        texts[f"params.{name}"] = "(hidden)" if is_secret else _described(value)
    return {name: without_passwords(shortened(text, _MAX_TEXT)) for name, text in texts.items()}


def _described(value: Any) -> str:
    if isinstance(value, External):
        return f"program: {', '.join(sorted(value.files))}"
    if isinstance(value, BadLimit):
        return value.text
    if isinstance(value, InputChain):
        return _described(value.functions)
    if isinstance(value, tuple) and value and all(map(callable, value)):
        return ", ".join(map(_described, value))
    if callable(value):
        return function_name(value)
    # The repr of any other object may be anything, and take any time.
    return _repr.repr(value) if isinstance(value, _PLAIN) else f"({type(value).__name__})"


def programs_of(spec: JobSpec) -> dict[str, str]:
    """Return the files of the job's programs, with their sizes and SHA-256."""
    return {
        f"{stage}: {name}": f"{counted(len(data), 'byte')}, sha256 {sha256(data).hexdigest()}"
        for stage, function in (("map", spec.map), ("reduce", spec.reduce))
        if isinstance(function, External)
        for name, data in function.files.items()
    }


def versions() -> dict[str, str]:
    """Return the versions of kvproto, Python and the system."""
    system = os.uname()
    return {
        "kvproto": kvproto.__version__,
        "Python": platform.python_version(),
        "system": f"{system.sysname} {system.release} {system.machine}",
        "host": system.nodename,
    }


def details_of(error: BaseException) -> dict[str, str]:
    """Return the parts of an error: those of `Failed.details` that it has."""
    return {
        name: without_passwords(shortened(text, MAX_MESSAGES)) for name, text in _details(error)
    }


def _details(error: BaseException) -> Iterator[tuple[str, str]]:
    yield "kind", type(error).__name__
    if isinstance(error, JobError) and error.task is not None:
        yield "task", "{}:{}".format(*error.task)
    worker = error.cause if isinstance(error, JobError) else error
    if not isinstance(worker, WorkerError):
        return
    yield "program", " ".join(worker.argv)
    yield "what", worker.what
    if worker.record is not None:
        yield "number", str(worker.record.number)
        yield "record", "\n".join(worker.record.lines())
    optional = {
        "replay": worker.replay,
        "hexdump": worker.hexdump,
        "stderr": "\n".join(worker.stderr_tail),
        "core": worker.core,
        "advice": worker.advice,
    }
    yield from ((name, text) for name, text in optional.items() if text)
