"""Check the values and the names of the parameters of a job.

A check takes the name and the value of a parameter, and returns the value that the job uses.
"""

from __future__ import annotations

import copy
import inspect
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from kvproto.driver.files import as_bytes
from kvproto.driver.limits import LIMITS, checked_limit
from kvproto.engine.bad_limit import BadLimit
from kvproto.engine.sort import check_buffer_size
from kvproto.engine.spec import function_name
from kvproto.errors import FilesError
from kvproto.protocol.params import encode_params

__all__ = [
    "NEEDLESS",
    "REFUSED",
    "attempts",
    "attributes",
    "bad_inputs",
    "buffer_size",
    "check_names",
    "ext_limits",
    "ext_params",
    "flag",
    "function",
    "functions",
    "interval",
    "max_bad_records",
    "partitions",
    "program_or_function",
    "required_files",
    "required_modules",
    "scheduler",
    "unchanged",
]

Check = Callable[[str, Any], Any]

MAX_PARTITIONS = 100_000

_SCHEDULER = ("max_cores", "force_local", "force_remote")  # the last two concern nodes


def unchanged(name: str, value: Any) -> Any:
    return value


def flag(name: str, value: Any) -> bool:
    return bool(value)


def function(*forms: str) -> Check:
    """Make a check of a function, or None, that is called with one of these lists of arguments."""

    def check(name: str, value: Any) -> Any:
        if value is None:
            return None
        if not callable(value):
            raise TypeError(f"{name} must be a function, not {value!r}")
        _check_arguments(name, value, forms)
        return value

    return check


def program_or_function(*forms: str) -> Check:
    """Make a check of a function, as `function` does, or of the files of an external program."""
    check_function = function(*forms)

    def check(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            if "op" not in value:
                raise FilesError(
                    f"{name} is a dictionary without 'op', the program itself; "
                    "kvproto.external([...]) makes such a dictionary"
                )
            files = copy.copy(value)  # which may know the paths of the files
            files.update(
                {file: as_bytes(data, f"{name}: the file {file!r}") for file, data in value.items()}
            )
            return files
        if value is not None and not callable(value):
            raise TypeError(
                f"{name} must be a function or an external program, not {value!r}; "
                "external([path]) packages a program"
            )
        return check_function(name, value)

    return check


def _check_arguments(name: str, function: Callable[..., Any], forms: tuple[str, ...]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions in C have no signature
        return
    for form in forms:
        with suppress(TypeError):
            signature.bind(*form.split(", "))
            return
    if forms:
        calls = " or ".join(f"{name}({form})" for form in forms)
        raise TypeError(
            f"{name} is called as {calls}, but {function_name(function)} takes {signature}"
        )


def functions(name: str, value: Any) -> tuple[Callable[..., Any], ...]:
    each = (value,) if callable(value) else tuple(value or ())
    for one in each:
        if not callable(one):
            raise TypeError(f"{name} must be a sequence of functions; {one!r} is not a function")
    return each


def ext_params(name: str, value: Any) -> bytes:
    try:
        return encode_params(value)
    except (TypeError, ValueError) as e:
        raise type(e)(f"{name}: {e}") from None


def ext_limits(name: str, limits: Any) -> dict[str, float | None]:
    if not isinstance(limits, Mapping) or not set(limits) <= set(LIMITS._fields):
        raise TypeError(
            f"{name} must be a dict of seconds for {', '.join(LIMITS._fields)}, not {limits!r}"
        )
    try:
        return {limit: checked_limit(limit, seconds) for limit, seconds in limits.items()}
    except ValueError as e:
        raise ValueError(f"{name}: {e}") from None


def partitions(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if not _is_int(value) or value < 1:
        raise ValueError(f"{name} must be a number from 1, or None, not {value!r}")
    if value > MAX_PARTITIONS:
        raise ValueError(
            f"{name} must be at most {MAX_PARTITIONS}, not {value}: each partition is a task and "
            "a file"
        )
    return int(value)


def attempts(name: str, value: Any) -> int:
    if not _is_int(value) or value < 1:
        raise ValueError(f"{name} must be a number from 1, not {value!r}")
    return int(value)


def max_bad_records(name: str, value: Any) -> BadLimit:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{name} must be an int or a str, not {value!r}")
    try:
        return BadLimit.parse(value)
    except ValueError as e:
        raise ValueError(f"{name} {e}") from None


def bad_inputs(name: str, value: Any) -> str:
    if value not in ("fail", "skip"):
        raise ValueError(f"{name} must be 'fail' or 'skip', not {value!r}")
    return str(value)


def interval(name: str, value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(
            f"{name} must be a number of entries, or 0 for no status messages, not {value!r}"
        )
    return value


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def buffer_size(name: str, value: Any) -> str:
    check_buffer_size(value)
    return str(value)


def scheduler(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, not {value!r}")
    for key in value:
        if key not in _SCHEDULER:
            raise TypeError(f"{name} can only have {', '.join(_SCHEDULER)}, not {key!r}")
    cores = value.get("max_cores", 1)
    if isinstance(cores, str) and cores.isdecimal():
        cores = int(cores)
    if not _is_int(cores) or cores < 1:
        raise ValueError(f"{name}: max_cores must be a number from 1, not {cores!r}")
    return {**value, "max_cores": cores} if "max_cores" in value else dict(value)


def required_modules(name: str, value: Any) -> tuple[str | tuple[str, str], ...]:
    modules = [value] if isinstance(value, str) else list(value or ())
    for module in modules:
        is_pair = isinstance(module, (tuple, list)) and len(module) == 2
        if not isinstance(module, str) and not is_pair:
            raise TypeError(
                f"{name} must be names of modules, or pairs (name, path); {module!r} is neither"
            )
    return tuple(m if isinstance(m, str) else (m[0], m[1]) for m in modules)


def required_files(name: str, value: Any) -> dict[str, bytes] | list[str]:
    """Return {name: contents}, or a list of paths."""
    if not isinstance(value, Mapping):
        paths = [value] if isinstance(value, (str, os.PathLike)) else value or ()
        return [os.fspath(path) for path in paths]
    for file in value:
        if not file or "\0" in file or not all(part.strip(".") for part in file.split("/")):
            raise FilesError(
                f"{name}: {file!r} does not name a file below the working directory of the tasks"
            )
    return {file: as_bytes(data, f"{name}: {file}") for file, data in value.items()}


# --- names ----------------------------------------------------------------------------------------

NEEDLESS = {
    "chunked": "kvproto decides how it keeps the output of maps",
    "clean": "a job is kept until Job.purge()",
    "map_shuffle": "all tasks run on this machine",
    "mem_sort_limit": "sort_buffer_size says how much memory a sort may take",
    "nodes": "all tasks run on this machine; `processes` says how many at a time",
    "nr_maps": "kvproto cuts the input into tasks itself; `processes` says how many run at a time",
    "owner": "a job belongs to the user who runs it",
    "reduce_shuffle": "all tasks run on this machine",
    "save_info": "save=True keeps the results under a tag of this user",
}
"""Old parameter that changes no result -> the reason."""

_WRITER = (
    "use {}_output_stream: its last function returns a stream that writes pairs in add(key, value)"
)

REFUSED = {
    "map_writer": _WRITER.format("map"),
    "pipeline": "write the stages as jobs with map and reduce, one after the other in a JobChain",
    "reduce_writer": _WRITER.format("reduce"),
}
"""Old parameter that a job depends on -> what to use instead."""


def attributes(job: object, base: type) -> list[str]:
    """Return the names in NEEDLESS and REFUSED that are attributes of a job, but not of its base.

    A method with the name of a needless parameter does not count.
    """
    names = []
    for name in (*NEEDLESS, *REFUSED):
        value = inspect.getattr_static(job, name, None)
        is_inherited = value is inspect.getattr_static(base, name, None)
        if not is_inherited and not (name in NEEDLESS and callable(value)):
            names.append(name)
    return names


def check_names(names: Iterable[str], known: Collection[str], *, stacklevel: int = 3) -> None:
    """Raise TypeError for an unknown parameter, and warn of a needless one.

    The error suggests the most similar known name. With a stacklevel of 3, the warning points to
    the caller of the caller.
    """
    for name in names:
        if name in REFUSED:
            raise TypeError(f"kvproto has no parameter {name!r}: {REFUSED[name]}")
        if name in NEEDLESS:
            warnings.warn(
                f"the parameter {name!r} has no effect here: {NEEDLESS[name]}",
                stacklevel=stacklevel,
            )
        elif name not in known:
            import difflib  # noqa: PLC0415  # slow, and only an error needs it

            near = difflib.get_close_matches(name, known, 1)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"its parameters are {', '.join(known)}"
            )
            raise TypeError(f"a job has no parameter {name!r}; {hint}")
