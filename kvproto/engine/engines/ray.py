"""Ray: `engine="ray"` for a cluster on this machine, `engine="ray://host:port"` for another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from kvproto.engine.engines import Cluster
from kvproto.errors import JobError

__all__ = ["RayCluster", "connect", "own_breakpoints"]


def connect(url: str) -> RayCluster:
    """Connect to a cluster; `ray` alone starts one on this machine if none is running."""
    try:
        import ray  # noqa: PLC0415 (it is slow to load)
    except ImportError as e:
        raise JobError(
            f"engine {url} needs Ray ({e}): pip install 'kvproto[ray]', here and on the workers"
        ) from e
    is_connected = ray.is_initialized()
    if not is_connected:
        address = url if "://" in url else None
        try:
            with own_breakpoints():
                ray.init(address, configure_logging=False, log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as e:
            raise JobError(f"no Ray cluster answers at {url}: {e}") from e
    return RayCluster(_Tasks(ray), ray, owns_connection=not is_connected)


@contextmanager
def own_breakpoints() -> Iterator[None]:
    """Keep what `breakpoint()` does in this process; Ray would send it to a debugger of its own."""
    before = os.environ.get("PYTHONBREAKPOINT")
    try:
        yield
    finally:
        os.environ.pop("PYTHONBREAKPOINT", None)
        if before is not None:
            os.environ["PYTHONBREAKPOINT"] = before


class _Tasks(Executor):
    """The tasks of Ray as an executor. Ray itself never runs one of them again."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._run = ray.remote(max_retries=0, num_cpus=1)(_call)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self.submit_as("kvproto", fn, *args)

    def submit_as(self, name: str, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        """Submit a call whose task has a name in Ray's own tools."""
        future: Future[Any] = self._run.options(name=name).remote(fn, *args).future()
        return future


def _call(fn: Callable[..., Any], *args: Any) -> Any:
    return fn(*args)


class RayCluster(Cluster):
    """The workers of a Ray cluster."""

    name = "Ray"

    def __init__(self, tasks: _Tasks, ray: Any, *, owns_connection: bool) -> None:
        super().__init__(tasks)
        self._tasks = tasks
        self._ray = ray
        self._owns_connection = owns_connection
        self.lost = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError)

    def slots(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 1))

    def submit(self, fn: Callable[..., bytes], call: Any) -> Future[bytes]:
        return self._tasks.submit_as(call.key, fn, call)

    def close(self) -> None:
        if self._owns_connection:
            self._ray.shutdown()
