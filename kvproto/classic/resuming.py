"""Save a job when it starts, and find out later whether it is still the same.

A job is resumed with what it has saved: its functions, programs and parameters, pickled. That
imports the modules of its functions, so those must not have changed; nor must the inputs.
"""

from __future__ import annotations

import inspect
import os
import pickle
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import cloudpickle

from kvproto.classic import disco_names as alias
from kvproto.classic.core import Disco
from kvproto.classic.parameters import PARAMETERS, SYNONYMS
from kvproto.engine.adopting import adopt
from kvproto.engine.job_handle import ACTIVE, READY, UNKNOWN, JobHandle
from kvproto.engine.journal import Journal, Planned, Saved, load, versions
from kvproto.engine.registry import all_jobs
from kvproto.engine.same import edited, is_same
from kvproto.engine.sources import Source, changed, digest, scripts_of, sources_of
from kvproto.engine.spec import External, JobSpec, function_name
from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import Input, find_inputs, version
from kvproto.storage.job_directory import JobDirectory
from kvproto.storage.store import store_address

if TYPE_CHECKING:
    from kvproto.classic.job import Job

__all__ = ["bring_home", "each_change", "load_job", "reopen", "save", "working_directory"]

_OF_NO_TASK = ("input", "required_files")


# --- when a job starts -------------------------------------------------------------------------


def save(
    job: Job,
    jobargs: Mapping[str, Any],
    planned: Planned,
    files: Mapping[str, str | bytes],
) -> Saved | None:
    """Return what the journal keeps of a job; None if it cannot be pickled, and so cannot run.

    Parameters
    ----------
    files : mapping
        The job's required files, as `Worker.required_files` returns them.
    """
    args = {name: value for name, value in jobargs.items() if name not in _OF_NO_TASK}
    urls = None if "input" in jobargs else job.worker.urls(job, jobargs)
    try:
        pickled = cloudpickle.dumps((planned, args, urls))
    except Exception:  # anything that the objects in it raise; the first stage raises it again
        return None
    parts = [*_parts(planned.spec), ("the class of the job", type(job))]
    required = [path for path in files.values() if isinstance(path, str)]
    return Saved(
        **versions(),
        directory=os.getcwd(),
        path=[os.path.abspath(path) for path in sys.path],
        with_old_names=alias.is_installed(),
        sources=sources_of(parts) + [Source("required_files", p, digest(p)) for p in required],
        scripts=scripts_of(parts),
        job=pickled,
    )


def _parts(spec: JobSpec) -> list[tuple[str, Any]]:
    return [(field.name, getattr(spec, field.name)) for field in fields(spec)]


# --- when it is resumed ------------------------------------------------------------------------


def bring_home(name: str, store: str | os.PathLike[str] | None) -> None:
    """Make the job of another home with this full name and store a job of this home, if needed."""
    is_known = name == "@" or any(job.startswith(name) for job in all_jobs())
    if store is not None and not is_known:
        adopt(name, store_address(store))


def working_directory(name: str) -> str:
    """Return the working directory in which a job ran. JobError if it cannot be resumed."""
    _check_status(name)
    return load(JobHandle(name).paths)[0].directory


def reopen(job: Job) -> tuple[JobDirectory, Journal, Planned]:
    """Become the driver of the job whose full name is `job.name`.

    Raises JobError if the job cannot be resumed; the text says why, and what to do.
    """
    _check_status(job.name)
    directory = JobDirectory.reopen(job.name)
    try:
        saved, journal = load(directory)
        differences = [*_moved(saved, directory), *changed(saved.sources)]
        if differences:  # perhaps of a module that the next line would import
            raise _differs(job.name, differences)
        planned, jobargs, urls = load_job(saved)
        if _describes(job):
            differences += _differences(job, jobargs, urls, planned.spec)
        else:
            differences += edited(_parts(planned.spec), saved.scripts)
        differences += _changed_inputs(planned.spec, planned.inputs)
        for url, before in journal.versions().items():
            if version(url) not in ("", before):
                differences.append(f"input {url}: has changed since the job ran")
        if differences:
            raise _differs(job.name, differences)
        journal.take_over()
    except BaseException:  # Ctrl-C too
        directory.close()
        raise
    return directory, journal, planned


def each_change(saved: Saved, planned: Planned) -> Iterator[str]:
    """Say what has changed since a job was saved: sources, functions of scripts, and inputs."""
    yield from changed(saved.sources)
    yield from edited(_parts(planned.spec), saved.scripts)
    yield from _changed_inputs(planned.spec, planned.inputs)


def _describes(job: Job) -> bool:
    """Whether a job has parameters of its own."""
    names = {*PARAMETERS, *SYNONYMS} - {"name"}
    has_own = any(
        inspect.getattr_static(job, name, None)
        is not inspect.getattr_static(Disco.job_class, name, None)
        for name in names
    )
    return has_own or job.worker != type(job.worker)()


def _check_status(name: str) -> None:
    status = JobHandle(name).status()
    if status == UNKNOWN:
        raise JobError(f"there is no job {name}: it takes the full name of a job to resume it")
    if status == ACTIVE:
        raise JobError(f"job {name} is active: its driver is running it")
    if status == READY:
        raise JobError(f"job {name} is done: `kvproto results {name}` prints its results")


def _differs(name: str, differences: Iterable[str]) -> JobError:
    listed = "\n  ".join(differences)
    return JobError(
        f"job {name} cannot be resumed, because it would not be the same job:\n  {listed}\n"
        "undo the change, or run the job again from its start"
    )


def _moved(saved: Saved, directory: JobDirectory) -> list[str]:
    """Say that the tasks would work in another directory, unless that is gone."""
    now, before = os.getcwd(), saved.directory
    if os.listdir(directory.files) or now == before or not os.path.isdir(before):
        return []
    return [f"the working directory is {now}, it was {before}"]


def load_job(saved: Saved) -> tuple[Planned, dict[str, Any], list[Any] | None]:
    """Return the job, the arguments of its `run`, and its urls, unless those are among them.

    JobError if its functions cannot be imported.
    """
    sys.path += [path for path in saved.path if path not in sys.path]
    if saved.with_old_names:
        alias.install()
    try:
        job: tuple[Planned, dict[str, Any], list[Any] | None] = pickle.loads(saved.job)
    except Exception as e:  # anything that the import of a module raises
        raise JobError(
            f"the functions of the job cannot be imported: {type(e).__name__}: {e}; "
            "put their module on sys.path, or run the job again from its start"
        ) from e
    return job


def _differences(
    job: Job, jobargs: dict[str, Any], urls: list[Any] | None, before: JobSpec
) -> Iterator[str]:
    """Say what differs between a job and what it was."""
    now = job.worker.spec(job, jobargs)
    for (name, ours), (_, theirs) in zip(_parts(now), _parts(before), strict=True):
        if name == "name" or is_same(ours, theirs):
            continue
        if isinstance(ours, External) and isinstance(theirs, External):
            yield from (f"{name}: {text}" for text in _of_programs(ours, theirs))
        elif callable(ours) or callable(theirs):
            yield f"{name}: {function_name(ours)} has changed since the job ran"
        else:
            yield f"{name}: {ours!r:.80}, it was {theirs!r:.80}"
    if urls is not None and (now_urls := job.worker.urls(job, {})) != urls:
        yield f"input: {now_urls!r:.200}, it was {urls!r:.200}"


def _of_programs(now: External, before: External) -> Iterator[str]:
    for file in sorted(now.files.keys() | before.files.keys()):
        what = "the program" if file == "op" else f"the supporting file {file}"
        if now.files.get(file) != before.files.get(file):
            yield f"{what} has changed since the job ran"
    if now.ext_params != before.ext_params:
        yield "ext_params are not the same"
    if now.ext_limits != before.ext_limits:
        yield f"ext_limits: {now.ext_limits}, they were {before.ext_limits}"


def _changed_inputs(spec: JobSpec, inputs: Iterable[Input]) -> Iterator[str]:
    """Say which inputs are not what they were, as far as it is known without reading them."""
    if not (spec.reduce_input if spec.map is None else spec.map_input).opens:
        return
    for one in inputs:
        try:
            matching = find_inputs([[one.url, *one.replicas]], lambda text: None)
        except DataError as e:
            if not spec.skip_inputs:
                yield str(e)
            continue
        if len(matching) != 1:
            yield f"input {one.url}: it is not one file any more"
            continue
        now = matching[0]
        if now.url != one.url:
            continue  # another replica of it
        if now.n_bytes != one.n_bytes:
            yield f"input {one.url}: {now.n_bytes or 0:,} bytes, it had {one.n_bytes or 0:,}"
        elif now.stamp != one.stamp:
            yield f"input {one.url}: has changed since the job ran"
