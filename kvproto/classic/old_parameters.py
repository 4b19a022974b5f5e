"""Parameters that code written for the original gives and kvproto has under another name, or not at all.

Each is taken under its new name, or told with a warning where leaving it out changes no result, or refused with what to
use. None is passed over in silence, whether it is an argument of `run`, of a Worker, or an attribute of the job.
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Collection, Iterable

__all__ = ["NEEDLESS", "REFUSED", "SYNONYMS", "attributes", "check_names"]

SYNONYMS = {
    "fun_map": "map",
    "input_files": "input",
    "nr_reduces": "partitions",
    "save_results": "save",
}
"""Old name -> parameter."""

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
"""Old parameter that changes no result -> what to say."""

_WRITER = (
    "use {}_output_stream: the stream that its last function gives writes a pair in add(key, value)"
)

REFUSED = {
    "map_writer": _WRITER.format("map"),
    "pipeline": "write the stages as jobs with map and reduce, one after the other in a JobChain",
    "reduce_writer": _WRITER.format("reduce"),
}
"""Old parameter that a job cannot do without -> what to use."""


def attributes(job, base: type) -> list[str]:
    """Which of these names a job has as attributes, besides those of `base`; a method that is called like a needless one is none."""
    found = []
    for name in (*NEEDLESS, *REFUSED):
        value = inspect.getattr_static(job, name, None)
        if value is not inspect.getattr_static(base, name, None) and not (
            name in NEEDLESS and callable(value)
        ):
            found.append(name)
    return found


def check_names(given: Iterable[str], known: Collection[str], *, stacklevel: int = 3) -> None:
    """Raise TypeError for a parameter that there is not, with the nearest one that there is; warn of a needless one.

    stacklevel  whom the warning is for: 3 is the caller of the caller
    """
    for name in given:
        if name in REFUSED:
            raise TypeError(f"kvproto has no parameter {name!r}: {REFUSED[name]}")
        if name in NEEDLESS:
            warnings.warn(
                f"the parameter {name!r} does nothing here: {NEEDLESS[name]}", stacklevel=stacklevel
            )
        elif name not in known and name not in SYNONYMS:
            near = difflib.get_close_matches(name, [*known, *SYNONYMS], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise TypeError(f"a job has no parameter {name!r}; {hint}")
