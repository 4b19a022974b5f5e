"""The kit in pytest: `pytest --kv-worker "./worker"` runs the cases of `kvproto check`, one test each.

Promises: without --kv-worker it adds nothing but its options and fixtures. The worker's command is split as a shell
splits words, and no shell runs it. Each test that fails shows the kit's own report.

Fixtures for tests of one's own:

    kv_program   kvproto.conformance.Program: the worker of --kv-worker
    kv_play      Schedule -> Trace: plays a schedule to it
    kv_params    dict of bytes: the parameters of --kv-param
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

__all__: list[str] = []

_LEVELS = ("must", "should", "info")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kvproto", "conformance of a worker (kvproto)")
    group.addoption(
        "--kv-worker", metavar="COMMAND", help="check this worker: its path, and its own arguments"
    )
    group.addoption(
        "--kv-mode", choices=("map", "reduce", "both"), default="both", help="default: both"
    )
    group.addoption(
        "--kv-contract", choices=("any", "reference"), default="any", help="default: any"
    )
    group.addoption(
        "--kv-level",
        choices=_LEVELS,
        default="must",
        help="default: must; info tells, and never fails",
    )
    group.addoption(
        "--kv-param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a parameter that it needs",
    )
    group.addoption(
        "--kv-file", metavar="FILE", action="append", default=[], help="a supporting file"
    )
    group.addoption(
        "--kv-env", metavar="NAME", action="append", default=[], help="a variable that it gets, too"
    )
    group.addoption(
        "--kv-known-failing", metavar="FILE", help="cases that are known to fail: xfail, strictly"
    )
    group.addoption(
        "--kv-examples", metavar="N", type=int, default=50, help="schedules to draw (default: 50)"
    )
    group.addoption(
        "--kv-seed", metavar="N", type=int, default=0, help="which ones are drawn (default: 0)"
    )
    group.addoption(
        "--kv-timeout",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="where a hang cannot be proved (default: 10)",
    )


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose among them
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    command = config.getoption("--kv-worker")
    if not command:
        return
    from kvproto.conformance.runner import select

    mode, level = config.getoption("--kv-mode"), config.getoption("--kv-level").upper()
    modes = ("map", "reduce") if mode == "both" else (mode,)
    worker = _Worker.from_parent(session, name=command, nodeid=command)
    for case, one_mode in select(modes, level, "*", config.getoption("--kv-contract")):
        items.append(
            _Case.from_parent(worker, name=f"{case.id}[{one_mode}]", case=case, mode=one_mode)
        )


class _Worker(pytest.Collector):
    """What the cases of a worker belong to; it is never collected by itself."""

    def collect(self) -> Iterator[pytest.Item]:
        return iter(())


class _Case(pytest.Item):
    def __init__(self, *, case, mode: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.case, self.mode = case, mode

    def runtest(self) -> None:
        from kvproto.conformance.display import visible
        from kvproto.conformance.report.parts import words

        result = _session(self.config).result(self.case, self.mode)
        if result.status in ("fail", "fixed"):
            raise _Failed(result)
        if result.status == "n/a":
            pytest.skip(visible(words(result)))
        if result.status == "known":
            pytest.xfail(visible(words(result)))
        if result.status == "note":
            self.add_report_section("call", "note", visible(words(result)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo, style=None):
        if isinstance(excinfo.value, _Failed):
            return _session(self.config).report(excinfo.value.result)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.session.path, None, f"{self.case.id} ({self.mode}): {self.case.title}"


class _Failed(Exception):
    def __init__(self, result) -> None:
        super().__init__(result.name)
        self.result = result


class _Session:
    """The worker of this run of pytest, and the runs of it so far."""

    def __init__(self, config: pytest.Config) -> None:
        from kvproto.conformance.runner import Check, Checker, read_known

        known = config.getoption("--kv-known-failing")
        self.check = Check(
            _program(config),
            _params(config),
            config.getoption("--kv-contract"),
            config.getoption("--kv-timeout"),
            config.getoption("--kv-examples"),
            config.getoption("--kv-seed"),
            read_known(Path(known)) if known else frozenset(),
        )
        self.result = Checker(self.check).result

    def report(self, result) -> str:
        from kvproto.conformance.evidence import keep
        from kvproto.conformance.report.parts import failures
        from kvproto.conformance.report.text import asides, failure

        if result.status == "fixed":
            return asides([result])[0]
        directory = os.path.join("kvproto-check", result.name)
        keep(result, self.check, Path(directory))
        return failure(failures([result])[0], directory)


_SESSION = pytest.StashKey[_Session]()


def _session(config: pytest.Config) -> _Session:
    if _SESSION not in config.stash:
        config.stash[_SESSION] = _Session(config)
    return config.stash[_SESSION]


def _program(config: pytest.Config):
    from kvproto.conformance.player import Program
    from kvproto.driver.program import external

    path, *arguments = shlex.split(config.getoption("--kv-worker"))
    files, handed_on = config.getoption("--kv-file"), tuple(config.getoption("--kv-env"))
    for name in handed_on:
        if name not in os.environ:
            raise pytest.UsageError(f"--kv-env {name}: it is not set")
    return Program(path, external([path, *files]), tuple(arguments), handed_on)


def _params(config: pytest.Config) -> tuple[tuple[bytes, bytes], ...]:
    entries = [os.fsencode(text).partition(b"=") for text in config.getoption("--kv-param")]
    for name, equals, _value in entries:
        if not equals:
            raise pytest.UsageError(f"--kv-param {os.fsdecode(name)!r} is not NAME=VALUE")
    return tuple((name, value) for name, _equals, value in entries)


@pytest.fixture(scope="session")
def kv_program(pytestconfig: pytest.Config):
    """The worker of --kv-worker; without that the test is skipped."""
    if not pytestconfig.getoption("--kv-worker"):
        pytest.skip("no worker: pytest --kv-worker ./worker")
    return _session(pytestconfig).check.program


@pytest.fixture(scope="session")
def kv_params(pytestconfig: pytest.Config) -> dict[bytes, bytes]:
    """The parameters of --kv-param."""
    return dict(_params(pytestconfig))


@pytest.fixture(scope="session")
def kv_play(kv_program, pytestconfig: pytest.Config) -> Callable:
    """Play a schedule to the worker of --kv-worker; a Trace."""
    from kvproto.conformance.player import play

    timeout = pytestconfig.getoption("--kv-timeout")
    return lambda schedule: play(schedule, kv_program, timeout)
