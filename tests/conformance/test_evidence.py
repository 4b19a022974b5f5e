"""The evidence of a failure: its repro.sh plays what the kit played, whatever the schedule is."""

import subprocess

import pytest

from kvproto.conformance.answers import pair
from kvproto.conformance.evidence import keep
from kvproto.conformance.oracle import fault_of
from kvproto.conformance.player import Program, play
from kvproto.conformance.runner import Check, Result
from kvproto.conformance.schedule import SMALL, Answers, Send, Setting, stdin, until_exit
from kvproto.conformance.workers import CASES

MAP = Setting("map")
CASE = next(case for case in CASES if case.id == "MAP-drawn")
AB = Send(stdin(MAP, SMALL[:2]))


def repro(directory, body, schedule):
    """Keep the evidence of a worker's fault in a schedule, and return the path of its repro.sh."""
    program = Program(str(directory / "worker"), {"op": b"#!/bin/sh\n" + body})
    (directory / "worker").write_bytes(program.files["op"])
    finding = fault_of(play(schedule, program, 60.0))
    assert finding is not None
    keep(Result(CASE, "map", finding), Check(program), directory / "evidence")
    return directory / "evidence" / "repro.sh"


@pytest.mark.parametrize(
    ("body", "steps", "n_bytes"),
    [
        pytest.param(b"exit 3", (AB, Answers(2)), 22, id="it fails before the first answers"),
        pytest.param(b"cat >&2", (AB, Answers(2)), 22, id="it holds back the first answers"),
        pytest.param(
            b"cat >&2",
            (Send(b"0\n"), Send(pair(b"a", b"1"), 3), Answers(3)),
            32,
            id="a step sends its bytes several times",
        ),
    ],
)
def test_repro_looks_for_an_answer_where_the_kit_waited_for_one(body, steps, n_bytes, tmp_path):
    script = repro(tmp_path, body, until_exit(MAP, *steps)).read_text()
    assert f"after the first {n_bytes} bytes of stdin" in script


def test_repro_has_the_supporting_files_whose_names_begin_with_a_dot(tmp_path):
    schedule = until_exit(MAP, AB, files=(("...", b"four"), ("-n", b"")))
    script = repro(tmp_path, b"cat >&2; cat ./...", schedule)
    shown = subprocess.run([script], capture_output=True, text=True, check=False)
    assert (tmp_path / "evidence" / "stdout").read_bytes() == b"four"
    assert "stdout, 4 bytes" in shown.stdout
