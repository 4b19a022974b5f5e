"""Dask: `engine="dask://host:port"`, or an executor `client.get_executor(pure=False)`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from kvproto.engine.engines import Cluster, cannot_call
from kvproto.errors import JobError

if TYPE_CHECKING:
    from distributed.cfexecutor import ClientExecutor

    from kvproto.engine.remote import Call

__all__ = ["DaskCluster", "connect"]


def connect(url: str) -> DaskCluster:
    """Connect to the scheduler of `dask://host:port`."""
    try:
        from distributed import Client  # noqa: PLC0415 (it is slow to load)
    except ImportError as e:
        raise JobError(
            f"engine {url} needs Dask ({e}): pip install 'kvproto[dask]', here and on the workers"
        ) from e
    address = "tcp://" + url.removeprefix("dask://")
    try:
        client = Client(address, set_as_default=False)
    except (OSError, ValueError) as e:
        raise JobError(f"no Dask scheduler answers at {url}: {e}") from e
    return DaskCluster(client.get_executor(pure=False), owns_client=True)


class DaskCluster(Cluster):
    """The workers of a Dask scheduler.

    A worker process that ends costs no future here: Dask runs the call again by itself, and raises
    KilledWorker when that has happened too often.
    """

    name = "Dask"

    def __init__(self, executor: ClientExecutor, *, owns_client: bool = False) -> None:
        self._dask = executor
        self._client = executor._client
        self._owns_client = owns_client
        super().__init__(executor, sum(self._client.nthreads().values()))

    def submit(self, fn: Callable[[Call], bytes], call: Call) -> Future[bytes]:
        future: Future[bytes] = self._dask.submit(fn, call, key=call.key)
        return future

    def ask(self, fn: Callable[..., list[str]], *args: Any) -> Future[list[str]]:
        loop = self._client.loop.asyncio_loop
        return asyncio.run_coroutine_threadsafe(self._ask(fn, *args), loop)

    async def _ask(self, fn: Callable[..., list[str]], *args: Any) -> list[str]:
        by_worker = await self._client._run(fn, *args, on_error="return")
        return [
            problem
            for worker, answer in by_worker.items()
            for problem in (
                [cannot_call(f"the Dask worker {worker}", answer)]
                if isinstance(answer, Exception)
                else answer
            )
        ]

    def close(self) -> None:
        if self._owns_client:
            self._client.close()
