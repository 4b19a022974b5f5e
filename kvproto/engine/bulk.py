"""Job functions that can also take many pairs in one call, or frames instead of pairs.

The engine calls a function in the ordinary way unless it declares another one with a decorator of
this module. Both give the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from kvproto.storage.typed_records import Batch

__all__ = [
    "BatchCombiner",
    "FrameCombiner",
    "FrameReduce",
    "TypedReduce",
    "combines_batches",
    "combines_frames",
    "reduces_frames",
    "reduces_typed",
]

Pair: TypeAlias = tuple[Any, Any]


@runtime_checkable
class BatchCombiner(Protocol):
    """A combiner that can also take many pairs in one call; `combines_batches` makes one."""

    def __call__(
        self, key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: Any
    ) -> Iterable[Pair] | None:
        """Combine one pair, as any combiner does."""

    def take(self, pairs: Iterator[Pair], buffer: dict[Any, Any]) -> list[Pair]:
        """Combine pairs from the iterator, up to the first pair that needs `__call__`.

        Returns
        -------
        list of pairs
            That pair and those that were read after it, for `__call__`; empty if there are no more.

        Notes
        -----
        Only the iterator may raise an error.
        """


@runtime_checkable
class FrameCombiner(Protocol):
    """A combiner that can also take the frames of an external program."""

    def combine_frames(self, frames: Iterable[bytes]) -> Iterator[bytes]:
        """Combine frames, cut anywhere; yields frames, cut anywhere."""


@runtime_checkable
class FrameReduce(Protocol):
    """A reduce that can also take the frames of an external program."""

    def reduce_frames(self, frames: Iterable[bytes]) -> Iterator[Pair]:
        """Reduce frames, cut anywhere, to pairs."""


@runtime_checkable
class TypedReduce(Protocol):
    """A reduce that can also take the batches of a shuffle of Python objects."""

    def reduce_typed(self, batches: Iterable[Batch]) -> Iterator[Pair]:
        """Reduce batches to pairs."""


_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def combines_batches(
    take: Callable[[Iterator[Pair], dict[Any, Any]], list[Pair]],
) -> Callable[[_Decorated], _Decorated]:
    """Decorate a combiner, to make it a `BatchCombiner` with this method `take`."""
    return _with_method("take", take)


def combines_frames(
    combine_frames: Callable[[Iterable[bytes]], Iterator[bytes]],
) -> Callable[[_Decorated], _Decorated]:
    """Decorate a combiner, to make it a `FrameCombiner` with this method."""
    return _with_method("combine_frames", combine_frames)


def reduces_frames(
    reduce_frames: Callable[[Iterable[bytes]], Iterator[Pair]],
) -> Callable[[_Decorated], _Decorated]:
    """Decorate a reduce, to make it a `FrameReduce` with this method."""
    return _with_method("reduce_frames", reduce_frames)


def reduces_typed(
    reduce_typed: Callable[[Iterable[Batch]], Iterator[Pair]],
) -> Callable[[_Decorated], _Decorated]:
    """Decorate a reduce, to make it a `TypedReduce` with this method."""
    return _with_method("reduce_typed", reduce_typed)


def _with_method(name: str, method: Callable[..., Any]) -> Callable[[_Decorated], _Decorated]:
    def declare(function: _Decorated) -> _Decorated:
        setattr(function, name, method)
        return function

    return declare
