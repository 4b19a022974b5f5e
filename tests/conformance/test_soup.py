"""Workers that do anything whatever: each is told what is wrong with it, and none of them brings
the kit down.

SOUPS=500 pytest tests/conformance/test_soup.py tries so many of them.
"""

import contextlib
import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import catalogue

from kvproto import cli
from kvproto.conformance.workers import CASES

pytestmark = pytest.mark.slow

N_EXAMPLES = int(os.environ.get("SOUPS", "25"))

SOUP = catalogue.with_interpreter((catalogue.HERE / "soup.py").read_bytes())

LINES = (
    b"**<MSG> hi\n",
    b"**<ERR> no\n",
    b"**<ERR> \x1b[31m\x07\xff\r",
    b"a\x0bb\x85\xe2\x80\xa8c\n",
    b"Traceback\n",
)
LISTS = (
    b"\0\0\0\0",
    b"\1\0\0\0" + bytes(8),
    b"\1\0\0\0\1\0\0\0k\1\0\0\0v",
    b"\xff\xff\xff\xff",
    b"\0\0\0\1",
    bytes(999),
)
DATA = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(LINES + LISTS),
    st.binary(min_size=1, max_size=2).map(lambda b: b * 999),
)
SOME = DATA.filter(bool)
FDS, OUTPUTS = st.integers(0, 3), st.sampled_from((1, 1, 2))
SIGNALS = st.sampled_from(
    (
        signal.SIGTERM,
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGALRM,
        signal.SIGPIPE,
        signal.SIGABRT,
        40,
    )
)
NAMES = st.sampled_from((b"x\x0bState:\tZ", b"\r\n(\\)", b"\x1b[31mred", b"\xff\xfe", b""))


def action(name, *arguments):
    return st.tuples(st.just(name), *arguments)


FEW = st.integers(0, 3)
ACTION = st.one_of(
    action("read", st.integers(0, 20)),
    action("params"),
    action("echo", FEW),
    action("drain"),
    action("write", OUTPUTS, DATA, st.sampled_from((1, 3, 300))),
    action("flood", OUTPUTS, SOME),
    action("drip", OUTPUTS, SOME),
    action("close", FDS),
    action("exit", st.sampled_from((0, 1, 3, 127, 255))),
    action("sleep", st.sampled_from((0.01, 1000))),
    action("pause"),
    action("kill", SIGNALS),
    action("ignore", st.just(15)),
    action("catch", st.just(14)),
    action("alarm", FEW),
    action("fork", st.booleans()),
    action("leave"),
    action("name", NAMES),
    action("to_pipes_of_parent", DATA),
    action("to_own_pipes", DATA),
    action("read_own_stdout"),
    action("small_pipe", FDS),
    action("no_wait", FDS),
    action("remove"),
    action("read_only"),
    action("directories", st.sampled_from((1, 3000))),
    action("run", st.sampled_from(("cat", "true", "yes", "no-such-program"))),
    action("stop_parent"),
    action("kill_parent"),
    action("touch", st.sampled_from((b"\xff\n\x1b", b"../\xff\n\x1b"))),
)
BEGINNING = st.sampled_from(
    ((), (("params",),), (("params",), ("echo", 1)), (("params",), ("echo", 2000)), (("drain",),))
)


@st.composite
def workers(draw):
    return [*draw(BEGINNING), *draw(st.lists(ACTION, max_size=5)), *draw(BEGINNING)]


@contextlib.contextmanager
def printed_to(path):
    """What this process writes to its standard descriptors goes to a file."""
    kept = [os.dup(fd) for fd in (1, 2)]
    with open(path, "wb") as file:
        for fd in (1, 2):
            os.dup2(file.fileno(), fd)
    try:
        yield
    finally:
        for fd, old in zip((1, 2), kept, strict=True):
            os.dup2(old, fd)
            os.close(old)


@contextlib.contextmanager
def temporary_files_in(directory):
    """Workers get their directories there."""
    before, tempfile.tempdir = tempfile.tempdir, directory
    try:
        yield
    finally:
        tempfile.tempdir = before


@settings(max_examples=N_EXAMPLES)
@given(
    workers(),
    st.sampled_from(("map", "reduce")),
    st.sampled_from([case.id for case in CASES if case.contract == "any"]),
)
def test_whatever_a_worker_does_is_a_verdict(actions, mode, case):
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.chdir(directory),
        temporary_files_in(directory),
    ):
        worker = Path("worker")
        worker.write_bytes(SOUP)
        worker.chmod(0o755)
        Path("actions").write_text(repr(actions))
        reports = [f"--{kind}=report.{kind}" for kind in ("junit", "json", "tap", "html")]
        chosen = [
            "--mode",
            mode,
            "-k",
            case,
            "--level",
            "info",
            "--timeout",
            "0.3",
            "--examples",
            "3",
        ]
        with printed_to("printed"):
            status = cli.main(["check", *reports, *chosen, "-f", "actions", "--", "./worker"])
        printed = Path("printed").read_bytes()
        assert status in (0, 1, 4), printed
        assert {path.name for path in Path().glob("kvproto-*")} <= {
            "kvproto-check"
        }  # nothing temporary is left
        assert not set(printed) & {*range(10), *range(11, 32), 127}, printed
