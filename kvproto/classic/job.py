"""Job: describe a map/reduce job, run it, wait for it.

A job runs in a thread of this process and in task processes. Its directory has events, logs and
results. A later `Job` or `Disco`, in this process or another one, finds the job by its directory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TextIO

from kvproto.classic import core
from kvproto.classic.checks import attributes, check_names
from kvproto.classic.core import Disco, watch
from kvproto.classic.importing import send_by_value
from kvproto.classic.parameters import OF_RUN, SYNONYMS, TABLE, described
from kvproto.classic.threads import JobThread, stopping
from kvproto.classic.worker import Worker
from kvproto.engine.job_handle import UNKNOWN, JobHandle
from kvproto.engine.sweep import sweep
from kvproto.errors import JobError
from kvproto.storage.job_directory import JobDirectory
from kvproto.storage.store import store_address

if TYPE_CHECKING:
    import os
    from concurrent.futures import Executor
    from pstats import Stats

    from kvproto.engine.engines import Cluster
    from kvproto.engine.journal import Planned

__all__ = ["Job"]


class Job:
    """A map/reduce job.

    The parameters of `run` may also be attributes of the class or of the instance. Write functions
    in the class with ``@staticmethod``; editors and type checkers accept them then. A function
    without it works too, if its first argument is not called ``self``.

    Parameters
    ----------
    name : str, optional
        The beginning of the job's name; the name of the class unless given. After `run` the
        attribute has the full, unique name. A Job that was not started refers to the job with
        this full name, in this process or another one.
    master : Disco, optional
        Older programs pass an address, which has no effect.
    worker : mapping, optional
        Parameters for what neither `run` nor the class sets.
    settings : object, optional
        Has no effect.

    Examples
    --------
    >>> class Words(Job):
    ...     @staticmethod
    ...     def map(line, params):
    ...         for word in line.split():
    ...             yield word, 1
    """

    name: str = ""
    Worker: ClassVar[type[Worker]] = Worker
    Disco: ClassVar[type[core.Disco]] = core.Disco

    def __init__(
        self,
        name: str | None = None,
        master: object = None,
        worker: Mapping[str, Any] | None = None,
        settings: object = None,
    ) -> None:
        if name is not None:
            self.name = name
        elif not self.name:
            self.name = type(self).__name__
        self.disco = master if isinstance(master, core.Disco) else self.Disco(master, settings)
        self.worker = worker if isinstance(worker, Worker) else self.Worker(**(worker or {}))
        self._run: JobThread | None = None

    def __repr__(self) -> str:
        if "_run" not in vars(self):  # the __init__ of a subclass has not called this one
            return super().__repr__()
        status = self.disco.results(self.name, 0)[0]
        return (
            f"<{type(self).__name__} {self.name}: {'not started' if status == UNKNOWN else status}>"
        )

    def _repr_html_(self) -> str:
        """Return a card about the job, for notebooks."""
        # only notebooks need them
        from kvproto.report.card import as_card, as_plain_card  # noqa: PLC0415
        from kvproto.report.course import read_course  # noqa: PLC0415

        if "_run" not in vars(self):
            return as_plain_card(super().__repr__(), "")
        if self._run is None and not JobHandle(self.name).is_there():
            return as_plain_card(self.name, "is not started")
        try:
            return as_card(read_course(JobHandle(self.name)))
        except JobError as e:
            return as_plain_card(self.name, "has no readable events", str(e))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the thread, so that methods of the job can be pickled for the tasks."""
        return {**self.__dict__, "_run": None}

    def run(
        self,
        *,
        processes: int | None = None,
        engine: str | Executor = "local",
        store: str | os.PathLike[str] | None = None,
        on_event: Callable[[dict[str, Any]], object] | None = None,
        **jobargs: Any,
    ) -> Self:
        """Start the job and return it at once; `wait` returns the results.

        With ``processes=0`` it returns when the job has ended, because the tasks run in this
        thread: for debuggers, coverage and print.

        A parameter that is missing here is looked up in the attributes of the job, then in the
        defaults of its worker. `kvproto.external` makes an external program.

        Parameters
        ----------
        PARAMETERS

        Raises
        ------
        DataError
            For an input that does not exist; the error names it.
        TypeError, ValueError
            For wrong parameters.
        """
        # they load subprocess and cloudpickle
        from kvproto.classic.resuming import save  # noqa: PLC0415
        from kvproto.engine.journal import Journal, Planned  # noqa: PLC0415

        if "_run" not in vars(self):
            raise TypeError(f"{type(self).__name__}.__init__ must call super().__init__()")
        if self._run is not None:
            raise JobError(
                f"job {self.job} was already started: create another {type(self).__name__}"
            )
        send_by_value()
        check_names([*jobargs, *attributes(self, Job)], [*self.worker, *SYNONYMS])
        _check_processes(processes, engine)
        spec = self.worker.spec(self, jobargs)
        notes: list[str] = []
        inputs = self.worker.inputs(self, jobargs, spec, notes.append)
        files = self.worker.required_files(self, jobargs)
        n_allowed = self.worker.max_processes(self, jobargs) or sys.maxsize
        speculate = self.worker.may_speculate(self, jobargs)
        sweep()
        address = None if store is None else store_address(store)
        with ExitStack() as undo:  # after Ctrl-C too: no directory without a job
            cluster, n_slots = _cluster(engine, processes, undo)
            n_processes = min(n_slots if processes is None else processes, n_allowed)
            directory = JobDirectory(spec.name, address)
            undo.callback(directory.discard)
            directory.place_files(files)
            planned = Planned(spec, inputs, max(1, n_processes), n_allowed, speculate)
            journal = Journal(directory, save(self, jobargs, planned, files))
            if processes == 0 and "attempts" not in jobargs:
                planned = _with_one_attempt(planned)
            run = JobThread(planned, directory, journal, n_processes, cluster, on_event, notes)
            run.begin(undo)
        self.name, self._run = directory.job, run
        if processes == 0:
            run.run_in_process()
        return self

    def resume(
        self,
        *,
        processes: int | None = None,
        engine: str | Executor = "local",
        store: str | os.PathLike[str] | None = None,
        on_event: Callable[[dict[str, Any]], object] | None = None,
    ) -> Self:
        """Resume the job with this full name, and return at once, as `run` does.

        The tasks that have finished do not run again. The job may have failed, or its driver may
        have been killed; it must have a finished task. Its functions, programs and inputs must be
        the same as before. They come from the directory of the job; if the class of this object has
        functions, they are compared with those.

        Parameters
        ----------
        processes, engine, on_event
            As for `run`.
        store : str or path-like, optional
            The store with which the job ran. If the job is not in this home, it is resumed with
            what it has there. Its driver on the other machine must have ended.

        Raises
        ------
        JobError
            If the job is active or done, or has nothing to resume from; or if it has changed: the
            text says what.
        """
        # it loads cloudpickle
        from kvproto.classic.resuming import bring_home, reopen  # noqa: PLC0415

        if self._run is not None:
            raise JobError(
                f"job {self.job} was already started: create another {type(self).__name__}"
            )
        send_by_value()
        _check_processes(processes, engine)
        sweep()
        bring_home(self.name, store)
        with ExitStack() as undo:  # after Ctrl-C too
            cluster, n_slots = _cluster(engine, processes, undo)
            directory, journal, planned = reopen(self)
            undo.callback(directory.close)
            n_processes = min(n_slots if processes is None else processes, planned.n_allowed)
            if processes == 0:
                planned = _with_one_attempt(planned)
            run = JobThread(planned, directory, journal, n_processes, cluster, on_event, [])
            run.begin(undo)
        self._run = run
        if processes == 0:
            run.run_in_process()
        return self

    @property
    def job(self) -> str:
        """The full name of the job, once it was started; its directory has this name."""
        return self._known()

    @property
    def directory(self) -> str:
        """The path of the job's directory."""
        return (
            self._run.directory.path
            if self._run is not None
            else JobHandle(self._known()).paths.path
        )

    def wait(
        self,
        poll_interval: float = 2,
        timeout: float | None = None,
        clean: bool = False,
        show: bool | str | None = None,
    ) -> list[str]:
        """Wait until the job is done.

        Ctrl-C, SIGTERM and SIGHUP stop the job, if it runs in this process, and print where its
        logs are. See `Disco.wait` for the parameters.

        Returns
        -------
        list of str
            The paths of the result files, or the url of the job's tag, for `result_iterator`.

        Raises
        ------
        JobError
            If the job failed; the message has the whole error of the failed task.
        WaitTimeout
            After `timeout` seconds; the job continues.
        """
        run = self._run
        if run is None:
            self._known()
            return self.disco.wait(self.name, poll_interval, timeout, clean, show)

        with stopping(lambda: [run]):
            handle, begin = JobHandle(self.name), run.first_event
            return watch(handle, run.ended.wait, run.outcome, timeout, clean, show, begin)

    def results(self, timeout: float = 2000) -> tuple[str, list[str]]:
        """Return (status, results); see `Disco.results`."""
        return self.disco.results(self.name, timeout)

    def stageresults(self, stage: str) -> list[str]:
        """Return the result files of a stage; see `Disco.stageresults`."""
        return self.disco.stageresults(self._known(), stage)

    def mapresults(self) -> list[str]:
        """Return the output files of the maps; see `Disco.mapresults`."""
        return self.disco.mapresults(self._known())

    def events(self, offset: int = 0, follow: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the events of the job; see `Disco.events`."""
        return self.disco.events(self._known(), offset, follow)

    def oob_get(self, key: str) -> bytes | str:
        """Return an out-of-band value; see `Disco.oob_get`."""
        return self.disco.oob_get(self._known(), key)

    def counters(self) -> dict[str, int]:
        """Return what the tasks have counted; see `Disco.counters`."""
        return self.disco.counters(self._known())

    @property
    def bad_records(self) -> int:
        """How many records the job has set aside so far; `Disco.bad_records` has them."""
        return sum(one.kind == "record" for one in self.disco.bad_records(self._known()))

    def oob_list(self) -> list[str]:
        """Return the keys of the out-of-band values; see `Disco.oob_list`."""
        return self.disco.oob_list(self._known())

    def profile_stats(self, mode: str = "", stream: TextIO | None = None) -> Stats:
        """Return the profile of the tasks; see `Disco.profile_stats`."""
        return self.disco.profile_stats(self._known(), mode, stream)

    def jobinfo(self) -> dict[str, Any]:
        """Return a summary of the job; see `Disco.jobinfo`."""
        return self.disco.jobinfo(self._known())

    def kill(self) -> None:
        """Stop the job; see `Disco.kill`."""
        self.disco.kill(self._known())

    def clean(self) -> None:
        """Remove all but the results and the events; see `Disco.clean`."""
        self.disco.clean(self._known())

    def purge(self) -> None:
        """Remove the job; see `Disco.purge`."""
        self.disco.purge(self._known())

    def _known(self) -> str:
        """The full name; JobError if the job was not started."""
        if self._run is None and not JobHandle(self.name).is_there():
            raise JobError(
                f"job {self.name} was not started, and no job has that full name: call run() first"
            )
        return self.name


def _check_processes(processes: int | None, engine: object) -> None:
    if processes is None:
        return
    if not isinstance(processes, int) or isinstance(processes, bool) or processes < 0:
        raise ValueError(
            "processes must be a number from 1, 0 (the tasks run in this process), or None (one "
            f"for each core), not {processes!r}"
        )
    if processes == 0 and engine != "local":
        raise ValueError(f"processes=0 runs the tasks in this process, not on engine={engine!r}")


def _with_one_attempt(planned: Planned) -> Planned:
    """The same for a debugger: who debugs wants to see the first failure."""
    return planned._replace(spec=replace(planned.spec, attempts=1))


def _cluster(
    engine: str | Executor, processes: int | None, undo: ExitStack
) -> tuple[Cluster | None, int]:
    """The cluster of the parameter `engine`, and how many tasks it runs at a time.

    None: this machine's own processes.
    """
    from kvproto.engine.pool import n_cores  # noqa: PLC0415 (it loads subprocess and cloudpickle)

    if engine == "local":
        return None, n_cores()
    from kvproto.engine.engines import cluster_of  # noqa: PLC0415 (not for all jobs)

    cluster = cluster_of(engine)
    undo.callback(cluster.close)
    cluster.n_slots = processes
    return cluster, cluster.slots()


if Job.run.__doc__:  # python -OO drops docstrings
    Job.run.__doc__ = Job.run.__doc__.replace(
        "        PARAMETERS\n", described([*OF_RUN, *TABLE.values()])
    )

Disco.job_class = Job
