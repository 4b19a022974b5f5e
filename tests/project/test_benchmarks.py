"""`make bench` runs, takes no wrong result for a right one, and draws what it measured."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from benchmarks import chart
from support.documentation import ROOT, page, table

pytestmark = pytest.mark.slow


def bench(output: Path, path: str) -> subprocess.CompletedProcess[str]:
    """The whole jobs over a small text; `path` is where programs are looked for first."""
    command = ["benchmarks.run", "--only", "wordcount", "--size", "1", "--output", str(output)]
    return subprocess.run(
        [sys.executable, "-P", "-m", *command],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "tests"),
            "PATH": f"{path}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def words(svg: str) -> list[str]:
    return [element.text for element in ElementTree.fromstring(svg).iter() if element.text]


def test_whole_jobs_are_measured_against_their_peers(tmp_path):
    done = bench(tmp_path, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"C, times one C process +[\d.]+ +<= 2.00", done.stdout)
    figures, drawn = (
        (tmp_path / "figures.md").read_text(),
        words((tmp_path / "bench.svg").read_text()),
    )
    for name in "one C process", "kvproto, map and reduce in C", "kvproto, Python functions":
        assert f"| {name} |" in figures and name in drawn


def test_a_peer_with_wrong_counts_is_not_measured(tmp_path):
    peer = tmp_path / "parallel"
    peer.write_text("#!/bin/sh\nprintf 'the\\t1\\n'\n")
    peer.chmod(0o755)
    done = bench(tmp_path, str(tmp_path))
    assert done.returncode == 1
    assert "wrong counts: bash" in done.stderr and "1 broken" in done.stdout


def test_the_chart_stands_alone_and_has_each_name_as_it_is():
    bars = [chart.Bar("a job", "<&>", "ours", 1.0), chart.Bar("a job", "a | b", "peer", 0.0)]
    svg = chart.draw(bars, "two cores")
    assert {"a job", "<&>", "a | b", "1.00 s", "0.00 s", "two cores"} <= set(words(svg))
    assert 400 <= float(ElementTree.fromstring(svg).attrib["width"]) <= 1000
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"<script|href|url\(|@import", svg)


def test_the_readme_shows_the_chart_of_the_run_in_its_table():
    assert 'src="docs/bench.svg"' in page("README.md")
    rows = table("README.md", "| | | s |").splitlines()[2:]
    shown = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    drawn = words(page("docs/bench.svg"))
    names = [name.replace("\\|", "|") for _job, name, *_figures in shown]
    seconds = [f"{cells[2]} s" for cells in shown]
    assert [word for word in drawn if word in names] == names
    assert [word for word in drawn if re.fullmatch(r"[\d.]+ s", word)] == seconds
