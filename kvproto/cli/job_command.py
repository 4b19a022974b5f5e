"""What `kvproto run module.Class` does: find the job, take its parameters from words, run it, write its results."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kvproto._stdio import stderr
from kvproto.classic.core import result_iterator
from kvproto.classic.job import Job
from kvproto.classic.checks import NEEDLESS, check_names
from kvproto.classic.output import Output
from kvproto.classic.progress import Progress
from kvproto.classic.parameters import PARAMETERS, SYNONYMS
from kvproto.cli.finding import find_function, find_job, of_the_user
from kvproto.errors import JobError

__all__ = ["jobargs_of", "run"]

FUNCTIONS = frozenset(
    f"{stage}{part}"
    for stage in ("map", "reduce")
    for part in ("", "_init", "_reader", "_input_stream", "_output_stream")
) | {"combiner", "partition"}
"""The parameters that are functions; the streams are sequences of them."""


def run(
    spec: str,
    inputs: Sequence[str] = (),
    parameters: Sequence[tuple[str, str]] = (),
    *,
    processes: int | None = None,
    progress: str = "auto",
    output: str = "-",
    form: str = "text",
) -> int:
    """Run the job "module.Class", or "module.job" for an instance, and write its results; returns 0.

    inputs      urls or paths; none: those of the job
    parameters  as for `jobargs_of`
    processes   as for `Job.run`
    progress    one of `kvproto.classic.progress.KINDS`
    output      path of a file, which is there when the job is done and not before; "-": stdout
    form        one of `kvproto.classic.output.FORMS`
    Raises JobError with the failed task's error whole, or for a job that cannot be found or has wrong parameters;
    DataError for results that the form cannot hold; OSError for an output that cannot be written.
    """
    found = find_job(spec)
    job = found if isinstance(found, Job) else of_the_user(found, f"{spec}: making the job failed")
    try:
        jobargs = jobargs_of(parameters)
    except (TypeError, ValueError) as e:
        raise JobError(str(e)) from e
    if inputs:
        jobargs["input"] = list(inputs)
    with Output(
        output
    ) as out:  # opened before the job runs: a path that cannot be written is known at once
        try:
            job.run(on_event=Progress(progress, stderr()), processes=processes, **jobargs)
        except (TypeError, ValueError) as e:
            raise JobError(f"{spec}: {e}") from e
        try:
            results = job.wait(show=False)
        except JobError as e:
            if progress not in ("none", "jsonl"):
                e.args = (e.report(with_stderr=False),)  # its lines were shown when they came
            raise
        out.write(result_iterator(results), form)
    return 0


def jobargs_of(parameters: Sequence[tuple[str, str]]) -> dict:
    """Make keyword arguments of `Job.run` of (name, text) pairs, by the kind that each parameter has.

    a function    "module.function"; map and reduce also the path of a program; of a stream, the next one is chained
    a list        is one of strings; what is given again is appended
    a number      or True, False, None, for what has one of these as its default
    all the rest  stays a str, params too
    Raises TypeError for a name that is no parameter, ValueError for a text that is not of its kind, JobError for a
    function that cannot be found.
    """
    check_names(dict(parameters), [*PARAMETERS, *SYNONYMS])
    jobargs: dict = {}
    for given, text in parameters:
        if given in NEEDLESS:
            continue
        name = SYNONYMS.get(given, given)
        value = _value(name, text)
        if _is_list(name):
            jobargs[name] = [*jobargs.get(name, ()), value]
        else:
            jobargs[name] = value
    return jobargs


def _is_list(name: str) -> bool:
    return (
        name == "input" or name.endswith("_stream") or isinstance(PARAMETERS[name], (list, tuple))
    )


def _value(name: str, text: str):
    default = PARAMETERS[name]
    if name in FUNCTIONS:
        return _function(name, text)
    if isinstance(default, int):  # bool too
        return _number(name, text)
    return text


def _function(name: str, text: str):
    if text == "None":
        return None
    if name in ("map", "reduce") and (os.path.isfile(text) or os.sep in text):
        from kvproto.driver.program import external

        return external([text])
    return find_function(text)


def _number(name: str, text: str) -> int | bool | None:
    words = {"true": True, "false": False, "none": None}
    try:
        return words[text.lower()] if text.lower() in words else int(text)
    except ValueError:
        raise ValueError(f"{name} is a number, or True, False or None, not {text!r}") from None
