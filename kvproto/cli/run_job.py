"""`kvproto run`: find the job, parse its parameters, run it, write its results."""

from __future__ import annotations

import importlib.util
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TextIO, TypeVar

from kvproto._stdio import say, stderr
from kvproto.classic import disco_names as alias
from kvproto.classic.checks import NEEDLESS, check_names
from kvproto.classic.core import result_iterator
from kvproto.classic.job import Job
from kvproto.classic.parameters import PARAMETERS, SYNONYMS
from kvproto.classic.progress import Progress
from kvproto.classic.resuming import bring_home, working_directory
from kvproto.cli.output import Output
from kvproto.cli.shared import find_modules_in_current_directory
from kvproto.driver.program import external
from kvproto.engine.commands import bad_command
from kvproto.engine.registry import resolve_job
from kvproto.errors import JobError

__all__ = ["call_user_code", "find_function", "find_job", "jobargs_of", "resume", "run"]

T = TypeVar("T")

FUNCTIONS = frozenset(
    f"{stage}{part}"
    for stage in ("map", "reduce")
    for part in ("", "_init", "_reader", "_input_stream", "_output_stream")
) | {"combiner", "partition"}
"""The parameters that are functions; the streams are sequences of them."""


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print warnings about parameters without the line of this file that they point to."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_plainly(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if filename == __file__:
                say(f"kvproto: {message}")
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = show_plainly
        yield


@_plain_warnings()
def run(
    spec: str,
    inputs: Sequence[str] = (),
    parameters: Sequence[tuple[str, str]] = (),
    *,
    processes: int | None = None,
    engine: str = "local",
    store: str | None = None,
    progress: str = "auto",
    output: str = "-",
    form: str = "text",
) -> int:
    """Run the job "module.Class", or "module.job" for an instance, and write its results.

    Parameters
    ----------
    inputs : sequence of str
        Urls or paths. If empty, the job has its own inputs.
    parameters : sequence of (str, str)
        See `jobargs_of`.
    processes : int, optional
        How many tasks run at a time.
    engine : str
        What runs the tasks: as for `Job.run`.
    store : str, optional
        A directory or a URL for the files of the tasks and the results.
    progress : str
        One of `kvproto.classic.progress.KINDS`.
    output, form : str
        See `Output` and its `write`.

    Returns
    -------
    int
        The exit status 0.

    Raises
    ------
    JobError, DataError, OSError
        For any failure.
    """
    description = find_job(spec)
    job = (
        description
        if isinstance(description, Job)
        else call_user_code(description, f"{spec}: creating the job failed")
    )
    try:
        jobargs = jobargs_of(parameters)
    except (TypeError, ValueError) as e:
        raise JobError(str(e)) from e
    if inputs:
        jobargs["input"] = list(inputs)
    with Output(output) as out:  # before the job runs, so that a wrong path fails at once
        try:
            show = Progress(progress, stderr())
            job.run(on_event=show, processes=processes, engine=engine, store=store, **jobargs)
        except (TypeError, ValueError) as e:
            raise JobError(f"{spec}: {e}") from e
        _wait_and_write(job, out, form, progress)
    return 0


def resume(
    name: str,
    *,
    processes: int | None = None,
    engine: str = "local",
    store: str | None = None,
    progress: str = "auto",
    output: str = "-",
    form: str = "text",
) -> int:
    """Resume a job whose full name begins with `name`, in its working directory.

    With a store, `name` may be the full name of a job of another home. The other parameters, the
    result and the errors are those of `run`.
    """
    with Output(output) as out:
        bring_home(name, store)
        job = Job(name=resolve_job(name))
        directory = working_directory(job.name)
        if os.path.isdir(directory):
            os.chdir(directory)
        job.resume(on_event=Progress(progress, stderr()), processes=processes, engine=engine)
        _wait_and_write(job, out, form, progress)
    return 0


def _wait_and_write(job: Job, out: Output, form: str, progress: str) -> None:
    try:
        results = job.wait(show=False)
    except JobError as e:
        if progress not in ("none", "jsonl"):
            e.args = (e.report(with_stderr=False),)  # its lines have been shown already
        raise
    out.write_pairs(result_iterator(results), form)
    if progress == "none" and any(job.disco.bad_records(job.name)):
        say(f"kvproto: the job has set something aside: {bad_command(job.name)}")


def jobargs_of(parameters: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Turn (name, text) pairs into keyword arguments of `Job.run`.

    A function is "module.function"; map and reduce may also be the path of a program. A list or a
    stream gets one element for each time its parameter occurs. A parameter whose default is a
    number or a flag takes a number, True, False or None. Everything else stays a str, also params.

    Raises
    ------
    TypeError, ValueError, JobError
        For an unknown name, a malformed value, or a function that does not exist.
    """
    check_names(dict(parameters), [*PARAMETERS, *SYNONYMS])
    jobargs: dict[str, Any] = {}
    for written, text in parameters:
        if written in NEEDLESS:
            continue
        name = SYNONYMS.get(written, written)
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


def _value(name: str, text: str) -> Any:
    default = PARAMETERS[name]
    if name in FUNCTIONS:
        return _function(name, text)
    if isinstance(default, int) and name != "max_bad_records":  # bool too
        return _number(name, text)
    return text


def _function(name: str, text: str) -> Any:
    if text == "None":
        return None
    if name in ("map", "reduce") and (os.path.isfile(text) or os.sep in text):
        return external([text])
    try:
        return find_function(text)
    except JobError as e:
        raise JobError(f"{name}: {e}") from e


def _number(name: str, text: str) -> int | bool | None:
    words = {"true": True, "false": False, "none": None}
    try:
        return words[text.lower()] if text.lower() in words else int(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, True, False or None, not {text!r}") from None


# --- names on the command line ------------------------------------------------------------------


def find_job(spec: str) -> type[Job] | Job:
    """Return the Job class or instance "module.name".

    JobError if the module or the name is missing, or if importing the module fails.
    """
    module, name, value = _find(spec, "module.Class, as in grep.Grep for the class Grep in grep.py")
    if isinstance(value, ModuleType):
        raise JobError(f"{spec} is a module; its jobs: {', '.join(_jobs(value)) or 'none'}")
    if value is None:
        jobs = _jobs(module)
        hint = f"; its jobs: {', '.join(jobs)}" if jobs else ""
        raise JobError(f"{spec}: {module.__file__} has no {name}{hint}")
    if not (isinstance(value, Job) or (isinstance(value, type) and issubclass(value, Job))):
        what = "is neither a subclass of kvproto.classic.Job nor an instance of one"
        raise JobError(f"{spec}: {name} in {module.__file__} {what}")
    return value


def find_function(spec: str) -> Callable[..., Any]:
    """Return the callable "module.function"; JobError as for `find_job`."""
    module, name, value = _find(spec, "module.function, as in kvproto.classic.func.nop_map")
    if value is None:
        raise JobError(f"{spec}: {module.__file__} has no {name}")
    if not callable(value):
        raise JobError(f"{spec}: {name} in {module.__file__} is not a function")
    return value


def call_user_code(call: Callable[[], T], what: str) -> T:
    """Call the user's code. If it raises or exits, JobError has a traceback of only that code."""
    try:
        return call()
    except ModuleNotFoundError:
        raise
    except (Exception, SystemExit) as e:
        report = traceback.TracebackException.from_exception(e)
        ours = (__file__, importlib.__file__)
        report.stack[:] = [
            frame
            for frame in report.stack
            if frame.filename not in ours and not frame.filename.startswith("<frozen ")
        ]
        lines = report.format() if report.stack else report.format_exception_only()
        raise JobError(f"{what}:\n{''.join(lines).rstrip()}") from e


def _find(spec: str, form: str) -> tuple[ModuleType, str, object]:
    """Return the module, the name in it, and its value or None. `form` describes a correct spec."""
    if os.path.isfile(spec):
        in_it = (
            f"; for a name in that module, write {spec[:-3].replace(os.sep, '.')}.NAME"
            if spec.endswith(".py")
            else ""
        )
        raise JobError(f"{spec} is a file; write {form}, and the inputs after it{in_it}")
    module_name, dot, name = spec.rpartition(".")
    if not dot or not all(part.isidentifier() for part in spec.split(".")):
        raise JobError(f"{spec}: write {form}")
    find_modules_in_current_directory()
    alias.install()  # for code that was written for the original
    module = _module(spec, module_name)
    value = getattr(module, name, None)
    if value is None and hasattr(module, "__path__") and importlib.util.find_spec(spec):
        value = _module(spec, spec)
    return module, name, value


def _module(spec: str, name: str) -> ModuleType:
    try:
        return call_user_code(
            lambda: importlib.import_module(name), f"{spec}: importing {name} failed"
        )
    except ModuleNotFoundError as e:
        if e.name is None or not (name == e.name or name.startswith(e.name + ".")):
            raise JobError(
                f"{spec}: the module {name} needs the module {e.name}, which cannot be found"
            ) from e
        raise JobError(
            f"{spec}: there is no module {name} in the current directory ({os.getcwd()}) "
            "or on sys.path"
        ) from None


def _jobs(module: ModuleType) -> list[str]:
    """The names of the jobs in a module."""
    return [name for name, value in vars(module).items() if _is_job(value) and value is not Job]


def _is_job(value: object) -> bool:
    return isinstance(value, Job) or (isinstance(value, type) and issubclass(value, Job))
