"""The cases of `kvproto check` as pytest items; `pytest_plugin` loads this for --kv-worker."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvproto._text import visible
from kvproto.conformance.case import MODES, Case
from kvproto.conformance.evidence import keep
from kvproto.conformance.player import Program, play
from kvproto.conformance.pytest_plugin import params_of
from kvproto.conformance.report.parts import failures, words
from kvproto.conformance.report.text import asides, failure
from kvproto.conformance.runner import Check, Checker, Result, read_known, select
from kvproto.conformance.schedule import Schedule
from kvproto.conformance.trace import Trace
from kvproto.driver.files import external
from kvproto.errors import KVProtoError

__all__ = ["Session", "session_of"]


@pytest.hookimpl(tryfirst=True)  # before -k and -m deselect items
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the cases to the tests."""
    command: str = config.getoption("--kv-worker")
    mode, level = config.getoption("--kv-mode"), config.getoption("--kv-level").upper()
    modes = MODES if mode == "both" else (mode,)
    worker = _Worker.from_parent(session, name=command, nodeid=command)
    for case, one_mode in select(modes, level, "*", config.getoption("--kv-contract")):
        name = f"{case.id}[{one_mode}]"
        items.append(_Item.from_parent(worker, name=name, case=case, mode=one_mode))


class _Worker(pytest.Collector):
    """The parent of the cases, which pytest does not collect."""

    def collect(self) -> Iterator[pytest.Item]:
        return iter(())


class _Item(pytest.Item):
    def __init__(self, *, case: Case, mode: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case, self.mode = case, mode

    def runtest(self) -> None:
        result = session_of(self.config).result(self.case, self.mode)
        if result.fails:
            raise _FailedError(result)
        if result.status == "n/a":
            pytest.skip(visible(words(result)))
        if result.status == "known":
            pytest.xfail(visible(words(result)))
        if result.status == "note":
            self.add_report_section("call", "note", visible(words(result)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, _FailedError):
            return session_of(self.config).report(excinfo.value.result)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.session.path, None, f"{self.case.id} ({self.mode}): {self.case.title}"


class _FailedError(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__(result.name)
        self.result = result


class Session:
    """The worker of this run of pytest, and its runs so far."""

    def __init__(self, config: pytest.Config) -> None:
        known, timeout = config.getoption("--kv-known-failing"), config.getoption("--kv-timeout")
        if not 0 < timeout < float("inf"):
            raise pytest.UsageError(f"--kv-timeout {timeout:g} is not a number of seconds above 0")
        self.check = Check(
            _program(config),
            tuple(params_of(config).items()),
            config.getoption("--kv-contract"),
            timeout,
            config.getoption("--kv-examples"),
            config.getoption("--kv-seed"),
            read_known(Path(known)) if known else frozenset(),
        )
        self.result = Checker(self.check).result

    def play(self, schedule: Schedule) -> Trace:
        """Play a schedule for a test of the user's own."""
        return play(schedule, self.check.program, self.check.timeout)

    def report(self, result: Result) -> str:
        """Describe a result that fails, and keep its evidence."""
        if result.status == "fixed":
            return asides([result])[0]
        directory = os.path.join("kvproto-check", result.name)
        keep(result, self.check, Path(directory))
        return failure(failures([result])[0], directory)


_SESSION = pytest.StashKey[Session]()


def session_of(config: pytest.Config) -> Session:
    """Return the session of this run of pytest. Raises UsageError for a wrong option."""
    if _SESSION not in config.stash:
        try:
            config.stash[_SESSION] = Session(config)
        except (KVProtoError, OSError, ValueError) as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[_SESSION]


def _program(config: pytest.Config) -> Program:
    path, *arguments = _words(config.getoption("--kv-worker"))
    files, handed_on = config.getoption("--kv-file"), tuple(config.getoption("--kv-env"))
    for name in handed_on:
        if name not in os.environ:
            raise pytest.UsageError(f"--kv-env {name}: it is not set")
    return Program(path, external([path, *files]), tuple(arguments), handed_on)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise pytest.UsageError(f"--kv-worker {command!r}: {error}") from error
    if not words:
        raise pytest.UsageError(f"--kv-worker {command!r} names no program: --kv-worker ./worker")
    return words
