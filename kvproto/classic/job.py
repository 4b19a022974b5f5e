"""Job: describe a map/reduce job, run it, wait for it.

A job is a class with the parameters as attributes, an instance with them as attributes, or keyword
arguments of `run`; see `kvproto.classic.worker.PARAMETERS`. It runs in a thread of this process and
in task processes; its directory (`kvproto.engine.home`) has events, logs and results.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence

from kvproto.classic.schemes import find_inputs
from kvproto.classic.worker import Worker, check_names
from kvproto.errors import JobError

__all__ = ["Job"]


class Job:
    """A map/reduce job.

    name    str: what its directory is named after; the class's name unless given
    worker  mapping of parameters: the defaults for what neither `run` nor the class says
    """

    name: str | None = None

    def __init__(self, name: str | None = None, worker: Mapping | None = None) -> None:
        if name is not None:
            self.name = name
        elif self.name is None:
            self.name = type(self).__name__
        self.worker = worker if isinstance(worker, Worker) else Worker(**(worker or {}))
        self._run: _Run | None = None

    def __getstate__(self) -> dict:
        """What travels to the tasks with a method of the job: its attributes, not the run."""
        return {**self.__dict__, "_run": None}

    def run(
        self,
        *,
        processes: int | None = None,
        on_event: Callable[[dict], None] | None = None,
        **jobargs,
    ) -> Job:
        """Start the job and return it at once; `wait()` gives the results.

        processes   how many task processes; as many as there are cores unless given
        on_event    is called with each event, a dict (`kvproto.engine.events`), from the job's thread

        jobargs are parameters of the job; one that is not here is the job's attribute, else that of its worker:

        name        str: what its directory begins with; the class's name unless given
        input       list of inputs, or one: a file, a directory (its files, recursively), a glob, or an address with
                    file://, http://, https://, raw:// (the data itself)
        map         map(entry, params) -> iterable of (key, value) pairs, or an external program
        map_reader  map_reader(fd, size, url, params) -> iterable of entries; None: the lines, with their newline, as str
        combiner    combiner(key, value, buffer, done, params) -> iterable of pairs or None; buffer is a dict, and the
                    last call has done true and None for key and value
        partition   partition(key, nr_partitions, params) -> int from 0 to nr_partitions - 1; by the key's crc32 unless given
        partitions  int, 1 unless given: reduce tasks, and result files of the reduce
        reduce      reduce(iter, params) -> iterable of pairs; reduce(iter, out, params), which calls
                    out.add(key, value); or an external program; None: map only
        params      any object, handed to each of these functions
        ext_params  what external programs get on stdin first: dict, {} unless given; str or bytes, sent as they are;
                    None, nothing

        An external program is what `kvproto.classic.external([program, file, ...])` gives.
        Raises DataError that names an input that is not there, TypeError and ValueError for wrong parameters.
        """
        from kvproto.engine.home import JobDirectory
        from kvproto.engine.local import n_cores

        if self._run is not None:
            raise JobError(f"job {self.job} was started before: make another instance of {type(self).__name__}")
        check_names(jobargs)
        spec = self.worker.spec(self, jobargs)
        inputs = find_inputs(self.worker.inputs(self, jobargs))
        n_processes = processes or n_cores()
        self._run = _Run(spec, inputs, JobDirectory(spec.name), n_processes, on_event)
        self._run.start()
        return self

    @property
    def job(self) -> str:
        """The unique name of the running job, which is that of its directory."""
        return self._started().directory.job

    @property
    def directory(self) -> str:
        """The path of the job's directory."""
        return self._started().directory.path

    def wait(self, timeout: float | None = None) -> list[str]:
        """Wait until the job is done; returns the paths of its result files, for `result_iterator`.

        timeout  seconds; TimeoutError when they are over, and the job goes on
        Raises JobError, which holds the failed task's error whole. Ctrl-C stops the job and says where its logs are.
        """
        run = self._started()
        try:
            has_ended = run.ended.wait(timeout)
        except KeyboardInterrupt:
            run.cancel()
            run.ended.wait()
            print(f"kvproto: job {self.job} was stopped; its logs are in {self.directory}", file=sys.stderr)
            raise
        if not has_ended:
            raise TimeoutError(f"job {self.job} is not done after {timeout} seconds; it goes on")
        if run.error is not None:
            raise run.error
        return run.results

    def _started(self) -> _Run:
        if self._run is None:
            raise JobError(f"job {self.name} was not started: call run() first")
        return self._run


class _Run(threading.Thread):
    """The thread that carries out a job: `results` or `error` when it has `ended`.

    An event and not join(), which takes a thread for ended when Ctrl-C interrupts it (CPython 3.11).
    """

    def __init__(self, spec, inputs: Sequence, directory, n_processes: int, on_event) -> None:
        from kvproto.engine.local import LocalPool

        super().__init__(name=f"kvproto {directory.job}")
        self.directory = directory
        self.results: list[str] = []
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self._pool = LocalPool(n_processes, log_directory=directory.logs, tmp_directory=directory.tmp)
        self._arguments = (spec, inputs, directory, self._pool, n_processes, on_event)

    def run(self) -> None:
        from kvproto.engine.run import run_job

        try:
            with self._pool:
                self.results = run_job(*self._arguments)
        except BaseException as e:
            self.error = e
        finally:
            self.ended.set()

    def cancel(self) -> None:
        """Stop the job; its thread ends soon after."""
        self._pool.cancel()
