"""The shortest beginning of a reduce's input on which it fails."""

import pytest
from support.jobs import program

from kvproto import ExternalProgram, encode_pairs
from kvproto.driver import shortest
from kvproto.driver.shortest import Pairs, Shortest, shortest_failing

PAIRS = [(b"key %d" % number, b"v" * (number % 5)) for number in range(40)]


@pytest.fixture
def frames(tmp_path):
    """A file with the pairs after three bytes of something else."""
    (tmp_path / "frames").write_bytes(b"0\nx" + encode_pairs(PAIRS))
    return tmp_path / "frames"


def search(directory, frames, body, tell=lambda *step: None):
    with ExternalProgram([program(directory, body)], idle=30) as worker:
        return shortest_failing(worker, str(frames), 3, tell)


def test_it_is_one_pair_longer_than_one_that_does_not_fail(tmp_path, frames):
    steps = []
    body = """
seen = {key for key, value in pairs()}
sys.exit(9 if {b"key 5", b"key 23"} <= seen else 0)
"""
    result = search(tmp_path, frames, body, lambda *step: steps.append(step))
    assert result == Shortest(24, len(encode_pairs(PAIRS[:24])), 40, PAIRS[23])
    assert steps[:3] == [(40, 40, True), (0, 40, False), (20, 40, False)]
    assert {(24, 40, True), (23, 40, False)} <= set(steps)


def test_another_failure_does_not_count(tmp_path, frames):
    body = "n = len(list(pairs()))\nsys.exit(9 if n > 30 else 3 if n > 4 else 0)\n"
    assert search(tmp_path, frames, body).n_pairs == 31


def test_a_program_that_fails_on_any_input_needs_no_pair(tmp_path, frames):
    assert search(tmp_path, frames, "sys.exit(1)") == Shortest(0, 0, 40, None)


def test_a_program_that_does_not_fail_has_none(tmp_path, frames):
    assert search(tmp_path, frames, "list(pairs())") is None


@pytest.mark.parametrize("n_bytes", [1, 7, 40, 1 << 20])
def test_pairs_are_found_whatever_the_blocks(frames, monkeypatch, n_bytes):
    monkeypatch.setattr(shortest, "_BLOCK", n_bytes)
    with open(frames, "rb") as file:
        pairs = Pairs(file.fileno(), 3)
        assert (pairs.n_pairs, pairs.n_bytes) == (40, len(encode_pairs(PAIRS)))
        for number in range(40):
            assert pairs.offset(number) == len(encode_pairs(PAIRS[:number]))
            assert pairs.at(number) == PAIRS[number]
        assert pairs.offset(40) == pairs.n_bytes
