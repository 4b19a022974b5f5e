"""Dask: `engine="dask://host:port"`, or an executor `client.get_executor(pure=False)`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from kvproto.engine.engines import Cluster, cannot_call
from kvproto.errors import JobError

if TYPE_CHECKING:
    from distributed.cfexecutor import ClientExecutor

    from kvproto.engine.remote import Call

__all__ = ["DaskCluster", "connect"]

_T = TypeVar("_T")


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
        super().__init__(executor)
        self._n_slots: int = sum(self._client.nthreads().values())
        self._look = self._start(self._count())
        if not self._n_slots:
            address = self._client.scheduler.address
            self.close()
            raise JobError(
                f"the Dask scheduler at {address} has no workers: start some with "
                f"dask worker {address}, or wait until they have started"
            )

    def slots(self) -> int:
        if self._look.done():  # the scheduler may not answer for a while
            look, self._look = self._look, self._start(self._count())
            self._n_slots = look.result()
        return self._n_slots

    async def _count(self) -> int:
        n_threads: dict[str, int] = await self._client.scheduler.ncores()
        return sum(n_threads.values())

    def submit(self, fn: Callable[[Call], bytes], call: Call) -> Future[bytes]:
        # The executor's own futures take an answer that is lost on its way for an error.
        options = {**self._dask._kwargs, "pure": False}
        submitted = self._client.submit(fn, call, key=call.key, **options)
        return self._start(self._answer(submitted))

    def ask(self, fn: Callable[..., list[str]], *args: Any) -> Future[list[str]]:
        return self._start(self._ask(fn, *args))

    def _start(self, what: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run a coroutine in the thread of the client."""
        return asyncio.run_coroutine_threadsafe(what, self._client.loop.asyncio_loop)

    async def _answer(self, submitted: Any) -> bytes:
        try:
            answer: bytes = await submitted
        except asyncio.CancelledError as e:
            if submitted.cancelled():  # by Dask, which says why
                raise ConnectionError(str(e)) from e
            submitted.release()
            raise
        return answer

    async def _ask(self, fn: Callable[..., list[str]], *args: Any) -> list[str]:
        by_worker = await self._client._run(fn, *args, on_error="return")
        problems = []
        for worker, answer in by_worker.items():
            if isinstance(answer, list):
                problems += answer
            elif not isinstance(answer, OSError):  # that is of a worker that has just ended
                problems.append(cannot_call(f"the Dask worker {worker}", answer))
        return problems

    def close(self) -> None:
        self._look.cancel()
        if self._owns_client:
            self._client.close()
