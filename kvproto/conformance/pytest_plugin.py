"""The kit in pytest: `pytest --kv-worker "./worker"` runs each case of `kvproto check` as a test.

Without --kv-worker, pytest has only the options and fixtures, and does not load the kit. The
worker's command is split into words as in a shell, but no shell runs it. A failing test shows the
kit's report.

Fixtures for tests of your own:

    kv_program   kvproto.conformance.Program: the worker of --kv-worker
    kv_play      Schedule -> Trace: plays a schedule to it
    kv_params    dict of bytes: the parameters of --kv-param
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kvproto.conformance.player import Program
    from kvproto.conformance.pytest_cases import Session
    from kvproto.conformance.schedule import Schedule
    from kvproto.conformance.trace import Trace

__all__ = ["params_of"]

_CASES = "kvproto.conformance.pytest_cases"
_LEVELS = ("must", "should", "info")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; they are those of `kvproto check`."""
    group = parser.getgroup("kvproto", "conformance of a worker (kvproto)")
    group.addoption(
        "--kv-worker", metavar="COMMAND", help="check this worker: its path and its arguments"
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
        help="default: must; info cases only inform and never fail",
    )
    group.addoption(
        "--kv-param",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a parameter that the worker needs; may be repeated",
    )
    group.addoption(
        "--kv-file",
        metavar="FILE",
        action="append",
        default=[],
        help="a supporting file, which is put beside the worker; may be repeated",
    )
    group.addoption(
        "--kv-env",
        metavar="NAME",
        action="append",
        default=[],
        help="an environment variable to pass on to the worker; may be repeated",
    )
    group.addoption(
        "--kv-known-failing", metavar="FILE", help="a list of cases that become strict xfails"
    )
    group.addoption(
        "--kv-examples",
        metavar="N",
        type=int,
        default=50,
        help="how many random schedules to try (default: 50)",
    )
    group.addoption(
        "--kv-seed",
        metavar="N",
        type=int,
        default=0,
        help="the seed of the random schedules (default: 0)",
    )
    group.addoption(
        "--kv-timeout",
        metavar="SECONDS",
        type=float,
        default=10.0,
        help="how long the worker may be silent if the kit cannot prove that it hangs "
        "(default: 10)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the kit when there is a worker to check."""
    if config.getoption("--kv-worker") is not None:
        config.pluginmanager.import_plugin(_CASES)
        _session(config)


def params_of(config: pytest.Config) -> dict[bytes, bytes]:
    """Read the --kv-param options."""
    entries = [os.fsencode(text).partition(b"=") for text in config.getoption("--kv-param")]
    for name, equals, _value in entries:
        if not equals:
            raise pytest.UsageError(f"--kv-param {os.fsdecode(name)!r} is not KEY=VALUE")
    return {name: value for name, _equals, value in entries}


def _session(config: pytest.Config) -> Session:
    cases = config.pluginmanager.get_plugin(_CASES)
    if cases is None:
        pytest.skip("no worker: pytest --kv-worker ./worker")
    session: Session = cases.session_of(config)
    return session


@pytest.fixture(scope="session")
def kv_program(pytestconfig: pytest.Config) -> Program:
    """The worker of --kv-worker; without one the test is skipped.

    Returns
    -------
    kvproto.conformance.Program
    """
    return _session(pytestconfig).check.program


@pytest.fixture(scope="session")
def kv_params(pytestconfig: pytest.Config) -> dict[bytes, bytes]:
    """The parameters of --kv-param.

    Returns
    -------
    dict of bytes to bytes
    """
    return params_of(pytestconfig)


@pytest.fixture(scope="session")
def kv_play(kv_program: Program, pytestconfig: pytest.Config) -> Callable[[Schedule], Trace]:
    """Play a schedule to the worker of --kv-worker.

    Returns
    -------
    callable
        Takes a kvproto.conformance.Schedule and returns its Trace.
    """
    return _session(pytestconfig).play
