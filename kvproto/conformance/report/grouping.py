"""One failure, one report: the findings of one cause together, told by the case that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kvproto.conformance.finding import Finding
from kvproto.conformance.runner import Result

__all__ = ["Failure", "failures"]


class Failure(NamedTuple):
    """A fault of the worker: the result that tells it, and the other cases that it fails by the same cause."""

    result: Result
    others: tuple[Result, ...]

    @property
    def finding(self) -> Finding:
        return self.result.verdict


def failures(results: Iterable[Result]) -> list[Failure]:
    """The findings by cause, each told by the case that is there for it (Case.tells), or by the first that met it."""
    by_cause: dict[str, list[Result]] = {}
    for result in results:
        if result.status == "fail":
            by_cause.setdefault(result.verdict.cause, []).append(result)
    return [_failure(group) for group in by_cause.values()]


def _failure(group: list[Result]) -> Failure:
    first = min(group, key=_is_others)
    return Failure(first, tuple(result for result in group if result is not first))


def _is_others(result: Result) -> bool:
    return not result.verdict.cause.startswith(result.case.tells or " ")
