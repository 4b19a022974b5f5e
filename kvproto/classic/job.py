"""Job: describe a map/reduce job, run it, wait for it.

A job is a class with the parameters as attributes, an instance with them as attributes, or keyword
arguments of `run`; see `kvproto.classic.worker.PARAMETERS`. It runs in a thread of this process and
in task processes (`kvproto.classic.running`); its directory (`kvproto.storage.home`) has events, logs and results,
and is all that is needed to ask for it later, or from another process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from kvproto.classic import core
from kvproto.classic.core import Disco, timed_out, watch
from kvproto.classic.importing import send_by_value
from kvproto.classic.old_parameters import attributes, check_names
from kvproto.classic.running import Run, stopping
from kvproto.classic.worker import Worker
from kvproto.engine.kept import UNKNOWN, KeptJob
from kvproto.errors import JobError

__all__ = ["Job"]


class Job:
    """A map/reduce job.

    name      str: what its directory is named after, the class's name unless given. From `run` on the job's full, unique
              name; with such a name a Job that was not run stands for the job of that name, of this process or another
    master    a Disco; older programs give an address, which means nothing here
    worker    mapping of parameters: the defaults for what neither `run` nor the class says; of its own class `Worker` unless given
    settings  means nothing here, like the address of a master
    """

    name: str | None = None
    Worker = Worker
    Disco = Disco

    def __init__(
        self, name: str | None = None, master=None, worker: Mapping | None = None, settings=None
    ) -> None:
        if name is not None:
            self.name = name
        elif self.name is None:
            self.name = type(self).__name__
        self.disco = master if isinstance(master, core.Disco) else self.Disco(master, settings)
        self.worker = worker if isinstance(worker, Worker) else self.Worker(**(worker or {}))
        self._run: Run | None = None

    def __repr__(self) -> str:
        if "_run" not in vars(
            self
        ):  # a class of the user's whose __init__ has not called that of this one
            return super().__repr__()
        status = self.disco.results(self.name, 0)[0]
        return (
            f"<{type(self).__name__} {self.name}: {'not started' if status == UNKNOWN else status}>"
        )

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

        name                  str: what its directory begins with; the class's name unless given
        input                 list of inputs, or one: a file, a directory (its files, recursively), a glob, or an address with file://,
                              http://, https://, raw:// (the data itself), tag://, dir://; a list in the list holds replicas of one
        map                   map(entry, params) -> iterable of (key, value) pairs, or an external program; None: reduce alone
        map_init              map_init(input_iter, params), called once in each task; each input is then a task of its own
        map_input_stream      functions (stream, size, url, params) -> stream or (stream, size, url), chained
        map_reader            map_reader(fd, size, url, params) -> iterable of entries, the last of them; None: the lines, as str
        text                  bool: entries are str, as the lines of a text file; False: bytes, and readers get a binary file
        map_output_stream     functions (stream, partition, url, params) -> stream or (stream, url), chained; the last one's
                              add(key, value) writes the pairs
        combiner              combiner(key, value, buffer, done, params) -> iterable of pairs or None; buffer is a dict, and the
                              last call has done true and None for key and value
        partition             partition(key, nr_partitions, params) -> int from 0 to nr_partitions - 1; by the key's crc32 unless given
        partitions            int, 1 unless given: reduce tasks, and result files of the reduce; None: see the README
        merge_partitions      bool: one reduce task reads all partitions, as with partitions=1
        sort                  bool: the reduce gets its pairs in the order of their keys
        sort_buffer_size      str: how much memory that may take, as for `sort -S`; "10%"
        reduce                reduce(iter, params) -> iterable of pairs; reduce(iter, out, params), which calls
                              out.add(key, value); or an external program; None: map only
        reduce_init           reduce_init(input_iter, params), called once in each task
        reduce_input_stream   as map_input_stream, for what the maps wrote or, of a reduce alone, the inputs
        reduce_reader         reduce_reader(fd, size, url, params) -> iterable of pairs, the last of them; chain_reader unless given
        reduce_output_stream  as map_output_stream, for the results
        params                any object, handed to each of these functions; Params() unless given
        ext_params            what external programs get on stdin first: dict, {} unless given; str or bytes, sent as they are;
                              None, nothing
        ext_limits            dict: seconds that they may take: start, idle (300 unless given: without a byte moving), total, grace
        status_interval       int: entries from one status message to the next; 100,000; 0: none
        required_files        paths, or {name: contents}: in the working directory of the tasks
        required_modules      names of modules, or (name, path): the functions find them without an import
        scheduler             dict: {"max_cores": int}, how many tasks run at a time at most
        attempts              int: how often a task is tried in all, where another try may mend its error; 3
        trust                 bool: pickled inputs are read also where they are another user's or come from the network
        keep_map              bool: what the maps give is kept too, for `mapresults`, until the job is purged
        save                  bool: the results are kept under the tag disco:results:JOB
        profile               bool: each task is profiled, for `profile_stats`

        An external program is what `kvproto.classic.external([program, file, ...])` gives.
        Raises DataError that names an input that is not there, TypeError and ValueError for wrong parameters.
        """
        from kvproto.engine.pool import n_cores
        from kvproto.engine.required import place_files
        from kvproto.engine.sweep import sweep
        from kvproto.storage.job_directory import JobDirectory

        if "_run" not in vars(self):
            raise TypeError(f"{type(self).__name__}.__init__ has to call super().__init__()")
        if self._run is not None:
            raise JobError(
                f"job {self.job} was started before: make another instance of {type(self).__name__}"
            )
        send_by_value()
        check_names([*jobargs, *attributes(self, Job)], self.worker)
        if processes is not None and (not isinstance(processes, int) or processes < 1):
            raise ValueError(
                f"processes is a number from 1 on, or None: one for each core; not {processes!r}"
            )
        spec = self.worker.spec(self, jobargs)
        notes: list[str] = []
        inputs = self.worker.inputs(self, jobargs, spec, notes.append)
        files = self.worker.required_files(
            self, jobargs
        )  # before there is a directory: a file that is not there costs none
        n_processes = min(
            processes or n_cores(), self.worker.max_processes(self, jobargs) or sys.maxsize
        )
        sweep()
        directory = JobDirectory(spec.name)
        try:
            place_files(directory.files, files)
            self._run = Run(spec, inputs, directory, n_processes, on_event, notes)
        except BaseException:
            directory.discard()
            raise
        self.name = self._run.directory.job
        self._run.start()
        return self

    @property
    def job(self) -> str:
        """The unique name of the job that runs or ran, which is that of its directory."""
        return self._known()

    @property
    def directory(self) -> str:
        """The path of the job's directory."""
        return (
            self._run.directory.path if self._run is not None else KeptJob(self._known()).paths.path
        )

    def wait(
        self,
        poll_interval: float = 2,
        timeout: float | None = None,
        clean: bool = False,
        show: bool | str | None = None,
    ) -> list[str]:
        """Wait until the job is done; returns the paths of its result files, or its tag, for `result_iterator`.

        The parameters are those of `Disco.wait`. Raises JobError, which holds the failed task's error whole. Ctrl-C, SIGTERM and
        SIGHUP stop the job, if it is of this process, and say where its logs are.
        """
        run = self._run
        if run is None:
            self._known()
            return self.disco.wait(self.name, poll_interval, timeout, clean, show)
        with stopping(lambda: [run]):
            if not watch(KeptJob(self.name), run.ended.wait, timeout, show):
                raise timed_out(self.name, timeout)
        if clean:
            self.clean()
        if run.error is not None:
            raise run.error
        return run.results

    def results(self, timeout: float = 2000) -> tuple[str, list[str]]:
        """(status, results): see `Disco.results`."""
        return self.disco.results(self.name, timeout)

    def stageresults(self, stage: str) -> list[str]:
        """See `Disco.stageresults`."""
        return self.disco.stageresults(self._known(), stage)

    def mapresults(self) -> list[str]:
        """See `Disco.mapresults`."""
        return self.disco.mapresults(self._known())

    def events(self, offset: int = 0, follow: bool = False) -> Iterator[tuple[int, dict]]:
        """See `Disco.events`."""
        return self.disco.events(self._known(), offset, follow)

    def oob_get(self, key: str) -> bytes | str:
        """See `Disco.oob_get`."""
        return self.disco.oob_get(self._known(), key)

    def oob_list(self) -> list[str]:
        """See `Disco.oob_list`."""
        return self.disco.oob_list(self._known())

    def profile_stats(self, mode: str = "", stream: TextIO | None = None):
        """See `Disco.profile_stats`."""
        return self.disco.profile_stats(self._known(), mode, stream)

    def jobinfo(self) -> dict:
        """See `Disco.jobinfo`."""
        return self.disco.jobinfo(self._known())

    def kill(self) -> None:
        """See `Disco.kill`."""
        self.disco.kill(self._known())

    def clean(self) -> None:
        """See `Disco.clean`."""
        self.disco.clean(self._known())

    def purge(self) -> None:
        """See `Disco.purge`."""
        self.disco.purge(self._known())

    def _known(self) -> str:
        """The full name of the job."""
        if self._run is None and not KeptJob(self.name).is_there():
            raise JobError(
                f"job {self.name} was not started, and there is none of that full name: call run() first"
            )
        return self.name
