"""A Dask scheduler and worker processes on loopback, for as long as anybody holds a FIFO open.

As a program it runs them: python -m support.dask_cluster DIRECTORY N_WORKERS N_THREADS. They are
forks of one process that has loaded Dask. A worker that was killed is started again, unless its
file in `pids` is gone.
"""

import asyncio
import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from support.shared import one_at_a_time


def shared_cluster(
    directory: Path, n_workers: int, n_threads: int, path: str = ""
) -> tuple[str, int]:
    """The URL of a cluster that all processes which ask for this directory share, and a descriptor.

    The cluster ends when every process has closed its descriptor. `path` is as for `own_cluster`.
    """
    fifo, url = directory / "alive", directory / "url"
    with one_at_a_time(directory):
        while True:
            if not fifo.exists():
                os.mkfifo(fifo)
            with suppress(OSError):  # nobody reads: it has ended, or never begun
                held = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                return url.read_text().strip(), held
            _start(directory, n_workers, n_threads, path)


def _start(directory: Path, n_workers: int, n_threads: int, path: str) -> None:
    url = directory / "url"
    url.unlink(missing_ok=True)
    told, tell = os.pipe()
    with open(directory / "log", "ab") as log:
        arguments = (str(argument) for argument in (directory, n_workers, n_threads, tell))
        subprocess.run(
            [sys.executable, "-P", "-m", "support.dask_cluster", *arguments],
            cwd=directory,
            env={
                **os.environ,
                "PYTHONPATH": f"{path}:{Path(__file__).parent.parent}",
                # How long Dask tries to fetch an answer from a worker that was killed.
                "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s",
            },
            pass_fds=[tell],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=True,
        )
    os.close(tell)
    with open(told) as file:
        url.write_text(file.readline())
    assert url.read_text(), (directory / "log").read_text()


@contextmanager
def own_cluster(directory: Path, n_workers: int = 2, n_threads: int = 1, path: str = ""):
    """A cluster of one's own: yields its URL. `path` is where it looks for modules first."""
    directory.mkdir(exist_ok=True)
    url, held = shared_cluster(directory, n_workers, n_threads, path)
    try:
        yield url
    finally:
        os.close(held)


def pids(directory: Path) -> dict[str, int]:
    """The processes of a cluster: "scheduler", "worker-0" and so on -> pid."""
    return {path.name: int(path.read_text()) for path in (directory / "pids").glob("[!.]*")}


def add_worker(directory: Path) -> None:
    """Let a cluster start another worker; return at once."""
    os.kill(pids(directory)["cluster"], signal.SIGUSR1)


def remove_worker(directory: Path, name: str) -> None:
    """Kill a worker, which is not started again."""
    pid = pids(directory)[name]
    (directory / "pids" / name).unlink()
    os.kill(pid, signal.SIGKILL)


# --- the program -------------------------------------------------------------------------------


def main(directory: Path, n_workers: int, n_threads: int, tell: int) -> None:
    import distributed  # noqa: F401, PLC0415 (before the forks, which share it)

    with suppress(ImportError):  # in a cluster without kvproto
        from support.preloading import preload  # noqa: PLC0415

        preload()
    (directory / "pids").mkdir(exist_ok=True)
    _write_pid(directory, "cluster", os.getpid())
    ready, is_ready = os.pipe()
    children = {_fork(directory, "scheduler", _scheduler, is_ready): "scheduler"}
    address = os.read(ready, 1000).decode()

    def start(name: str) -> None:
        children[_fork(directory, name, _worker, address, name, n_threads, is_ready)] = name

    for number in range(n_workers):
        start(f"worker-{number}")
    for _ in range(n_workers):
        os.read(ready, 1)
    alive = os.open(directory / "alive", os.O_RDONLY | os.O_NONBLOCK)
    os.set_inheritable(alive, False)
    os.write(tell, f"dask://{address.removeprefix('tcp://')}\n".encode())
    os.close(tell)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: None)
    poll = select.poll()
    poll.register(alive, 0)
    poll.register(woken, select.POLLIN)
    while not _is_over(directory, alive):
        if woken in {fd for fd, _ in poll.poll()}:
            for _ in range(os.read(woken, 1000).count(signal.SIGUSR1)):
                start(f"worker-{n_workers}")
                n_workers += 1
        with suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                name = children.pop(pid)
                if name != "scheduler" and (directory / "pids" / name).exists():
                    start(name)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _is_over(directory: Path, alive: int) -> bool:
    """Whether nobody needs the cluster any more. If so, nobody finds it from now on."""
    with one_at_a_time(directory):
        poll = select.poll()
        poll.register(alive, 0)
        is_over = bool(poll.poll(0))
        if is_over:
            (directory / "alive").unlink()
        return is_over


def _fork(directory, name, run, *args) -> int:
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        try:
            asyncio.run(run(*args))
        finally:
            os._exit(1)
    _write_pid(directory, name, pid)
    return pid


def _write_pid(directory: Path, name: str, pid: int) -> None:
    new = directory / "pids" / f".{name}"
    new.write_text(str(pid))
    new.rename(directory / "pids" / name)


async def _scheduler(is_ready: int) -> None:
    from distributed import Scheduler  # noqa: PLC0415

    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address=None) as one:
        os.write(is_ready, one.address.encode())
        await one.finished()


async def _worker(address: str, name: str, n_threads: int, is_ready: int) -> None:
    from distributed import Worker  # noqa: PLC0415

    async with Worker(
        address, name=f"{name}-{os.getpid()}", nthreads=n_threads, dashboard=False, memory_limit=0
    ) as one:
        os.write(is_ready, b".")
        await one.finished()


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
