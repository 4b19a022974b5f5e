"""A test suite that checks a worker with the kit, as a type checker sees it: nothing is Any."""

from typing import assert_type

from kvproto import external
from kvproto.conformance import Finding, Program, Schedule, Setting, Trace, ahead, fault_of, play
from kvproto.conformance.runner import Check, Checker, Result
from kvproto.conformance.workers import CASES


def one_schedule(path: str) -> None:
    worker = Program(path, external([path]))
    schedule = ahead(Setting("map"), [(b"key", b"value")])
    assert_type(schedule, Schedule)
    trace = play(schedule, worker, timeout=10)
    assert_type(trace, Trace)
    assert_type(trace.stdout, bytes)
    assert_type(fault_of(trace), Finding | None)


def all_cases(path: str) -> None:
    checker = Checker(Check(Program(path, external([path])), contract="reference"))
    assert_type(checker, Checker)
    for case in CASES:
        result = checker.result(case, "map")
        assert_type(result, Result)
        assert_type(result.is_known, bool)
    checker.stop()
