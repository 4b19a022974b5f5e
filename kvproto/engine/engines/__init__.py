"""The engines besides this machine's own: each is a `concurrent.futures.Executor` and a Cluster.

A new engine is a module with a function `connect(url) -> Cluster`, and a row of `_SCHEMES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from kvproto.engine.pool import n_cores

if TYPE_CHECKING:
    from kvproto.engine.remote import Call

__all__ = ["Cluster", "cannot_call", "cluster_of"]


class Cluster:
    """What kvproto has to know of an executor. This class is enough for most of them.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Runs calls in other processes, here or on other machines, which have kvproto.

    Attributes
    ----------
    name : str
        What it is, for errors.
    address : str
        The `engine` parameter that connects to it again; "" if there is none.
    n_slots : int or None
        How many calls to run at a time, if the caller has said it; otherwise `slots` says it.
    lost : tuple of exception types
        What a future raises when the process of its call has ended, and another attempt may
        succeed. All other exceptions of a future end the job.
    """

    name = "the executor"
    address = ""
    n_slots: int | None = None
    lost: tuple[type[BaseException], ...] = ()

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def slots(self) -> int:
        """Return how many calls it runs at a time, without waiting; it is called twice a second.

        The number may change while a job runs. After an exception, the number before it counts.
        """
        says = (getattr(self._executor, name, None) for name in ("_max_workers", "max_workers"))
        return next(filter(None, says), None) or n_cores()

    def submit(self, fn: Callable[[Call], bytes], call: Call) -> Future[bytes]:
        """Run fn(call) in a worker process once, even if it fails. `call.key` is unique."""
        return self._executor.submit(fn, call)

    def ask(self, fn: Callable[..., list[str]], *args: Any) -> Future[list[str]]:
        """Run fn(*args) in one worker process, or better in each, and join what it returns."""
        return self._executor.submit(fn, *args)

    def close(self) -> None:
        """End what `connect` has started; an executor that the caller made stays open."""


def cannot_call(worker: str, error: BaseException) -> str:
    """The text of an error: a worker cannot call the first function of kvproto."""
    return (
        f"{worker} cannot call kvproto: {type(error).__name__}: {error}; "
        "install kvproto on all workers, the same version as here"
    )


_SCHEMES = {"dask": "kvproto.engine.engines.dask", "ray": "kvproto.engine.engines.ray"}


def cluster_of(engine: str | Executor) -> Cluster:
    """Return the cluster of an `engine` parameter other than "local".

    Raises
    ------
    JobError
        The cluster does not answer, or the package for it is not installed.
    TypeError, ValueError
        This is no engine.
    """
    if isinstance(engine, str):
        module = _SCHEMES.get(engine.partition("://")[0])
        if module is None:
            raise ValueError(
                f"engine must be 'local', 'dask://host:port', 'ray', 'ray://host:port' or a "
                f"concurrent.futures.Executor, not {engine!r}"
            )
        connected: Cluster = importlib.import_module(module).connect(engine)
        connected.address = engine
        return connected
    if not isinstance(engine, Executor):
        raise TypeError(
            "engine must be a str or a concurrent.futures.Executor, "
            f"not {type(engine).__name__}: with Dask give client.get_executor(pure=False)"
        )
    if type(engine).__module__.startswith("distributed."):
        from kvproto.engine.engines.dask import DaskCluster  # noqa: PLC0415 (it loads Dask)

        return DaskCluster(engine)
    return Cluster(engine)
