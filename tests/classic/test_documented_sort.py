"""What is documented of sorting, in real jobs."""

import os
import shutil

import pytest
from support.jobs import results

from kvproto.classic.func import nop_reduce


@pytest.mark.documented("2 sort: the reduce gets its pairs in ascending order of keys")
@pytest.mark.parametrize("kind", [str, bytes, int])
def test_a_sorted_reduce_gets_equal_keys_together_in_ascending_order(kind):
    keys = {
        str: ["b", "a", "", "é", "a", "\n", "b"],
        bytes: [b"b", b"\xff", b"", b"\0", b"\n", b"\xff", b"b"],
        int: [3, 10, -1, 3, 0, 10],
    }[kind]
    pairs = [(key, index) for index, key in enumerate(keys)]
    given = results(
        input=["raw://x", "raw://y"], map=lambda entry, params: pairs, reduce=nop_reduce, sort=True
    )
    assert [key for key, _ in given] == sorted(keys * 2)
    assert sorted(given) == sorted(pairs * 2)


@pytest.mark.documented(
    "2 sort: is done on disk by the program sort",
    "2 sort_buffer_size: is the memory for a sort, as for sort -S",
)
def test_a_sort_is_done_by_the_program_sort_with_the_buffer_size_given(tmp_path, monkeypatch):
    told = tmp_path / "told"
    fake = tmp_path / "bin" / "sort"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >>{told}\nexec {shutil.which("sort")} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    value = "v" * 1000
    n_pairs = 5000

    def map(entry, params):
        return [(f"{n * 7 % n_pairs:06}", value) for n in range(n_pairs)]

    given = results(input=["raw://x"], map=map, reduce=nop_reduce, sort=True, sort_buffer_size="1M")
    assert given == [(f"{n:06}", value) for n in range(n_pairs)]
    assert " -S 1M " in told.read_text()
