"""The examples: each runs as its docstring says, and gives what a computation of another kind
gives.
"""

import collections
import csv
import importlib
import json
import math
import pkgutil
import random
import re
import shlex
import sqlite3
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from support.documentation import ROOT, table
from support.jobs import LIBRARY, counted

import kvproto.examples

pytestmark = pytest.mark.slow

SOURCES = [str(path) for path in sorted((LIBRARY / "email").glob("*.py"))]
MODULES = [module.name for module in pkgutil.iter_modules(kvproto.examples.__path__)]

_COMMAND = re.compile(r"^    (?:python -m )?(kvproto.+)$", re.MULTILINE)


def documented(name, cwd, **given):
    """Run the command line of an example's docstring, with what is given for its words in capitals;
    its stdout.
    """
    words = []
    for word in shlex.split(
        _COMMAND.search(importlib.import_module(f"kvproto.examples.{name}").__doc__)[1]
    ):
        value = given.pop(word.rstrip("."), word)
        words += [value] if isinstance(value, str) else value
    assert not given, f"the command line of {name} has no {', '.join(given)}"
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["chain", "kmeans"])
def test_a_script_without_its_arguments_shows_its_command_line(name):
    done = subprocess.run(
        [sys.executable, "-m", f"kvproto.examples.{name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        done.returncode == 1
        and done.stderr == f"{importlib.import_module(f'kvproto.examples.{name}').__doc__}\n"
    )


def test_each_example_says_when_to_use_it_and_is_in_the_guide():
    listed = table("docs/jobs.md", "| file | when to use it |")
    for path in (ROOT / "kvproto" / "examples").glob("*.*"):
        if path.name != "__init__.py":
            assert f"| `kvproto/examples/{path.name}` | " in listed, path.name
    for name in MODULES:
        assert "When to use it: " in importlib.import_module(f"kvproto.examples.{name}").__doc__, (
            name
        )


def test_grep_gives_the_lines_that_match_with_their_file(tmp_path):
    expected = [
        f"{path}\t{line}"
        for path in SOURCES
        for line in Path(path).read_text().splitlines()
        if "822" in line.partition("RFC")[2]
    ]
    assert len(expected) > 10
    given = documented(
        "grep", tmp_path, **{"params=err|warn": "params=RFC.*822", "/var/log": SOURCES}
    )
    assert sorted(given.splitlines()) == sorted(expected)


def test_wordcount_counts_as_a_counter_does(tmp_path):
    expected = collections.Counter(
        word for path in SOURCES for word in Path(path).read_text().split()
    )
    given = (
        line.split("\t") for line in documented("wordcount", tmp_path, TEXT=SOURCES).splitlines()
    )
    assert {word: int(count) for word, count in given} == expected


def test_the_demo_with_a_program_in_c_shows_the_most_frequent_words(tmp_path):
    words = counted(SOURCES, rb"[\w\x80-\xff]+")
    shown = documented("demo", tmp_path, TEXT=SOURCES).splitlines()[:20]
    assert [int(line.split()[0].replace(",", "")) for line in shown] == sorted(
        words.values(), reverse=True
    )[:20]


def test_the_inverted_index_has_each_word_with_its_files(tmp_path):
    texts = {path: set(re.findall(r"\w+", Path(path).read_text().lower())) for path in SOURCES}
    given = [
        json.loads(line)
        for line in documented("inverted_index", tmp_path, TEXT=SOURCES).splitlines()
    ]
    assert len(given) == len(set().union(*texts.values()))
    for word, urls in given:
        assert urls == [path for path in SOURCES if word in texts[path]], word


def test_the_join_gives_the_rows_that_sql_gives(tmp_path):
    draw = random.Random(1)
    customers = [(f"c{number}", f'"{number}", née\nSmith') for number in range(300)]
    orders = [(number, f"c{draw.randrange(600)}", draw.randrange(10_000)) for number in range(2000)]
    for name, columns, rows in (
        ("customers", ["customer_id", "name"], customers),
        ("orders", ["order", "customer_id", "cents"], orders),
    ):
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    tables = sqlite3.connect(":memory:")
    tables.execute("create table customers (id, name)")
    tables.execute("create table orders (number, id, cents)")
    tables.executemany("insert into customers values (?, ?)", customers)
    tables.executemany("insert into orders values (?, ?, ?)", orders)
    expected = tables.execute(
        "select id, name, number, cents from customers join orders using (id)"
    ).fetchall()
    assert 500 < len(expected) < 2000
    given = [json.loads(line) for line in documented("join", tmp_path).splitlines()]
    assert sorted(
        (key, row["name"], int(row["order"]), int(row["cents"])) for key, row in given
    ) == sorted(expected)


def test_kmeans_ends_where_each_centre_is_the_mean_of_its_points(tmp_path):
    draw = random.Random(2)
    points = [(draw.gauss(10 * (n % 3), 1), draw.gauss(10 * (n % 2), 1)) for n in range(600)]
    (tmp_path / "points.csv").write_text("".join(f"{x},{y}\n" for x, y in points))
    given = documented("kmeans", tmp_path, **{"POINTS.csv": "points.csv", "NUMBER_OF_GROUPS": "6"})
    centres = [tuple(map(float, line.split(","))) for line in given.splitlines()]
    groups = collections.defaultdict(list)
    for point in points:
        groups[min(centres, key=lambda centre: math.dist(centre, point))].append(point)
    assert len(groups) == 6
    for centre, group in groups.items():
        assert centre == pytest.approx(
            tuple(statistics.fmean(axis) for axis in zip(*group, strict=True))
        )
    assert sorted((round(x / 10), round(y / 10)) for x, y in centres) == [
        (x, y) for x in range(3) for y in range(2)
    ]


def test_the_chain_counts_how_many_words_there_are_how_often(tmp_path):
    words = collections.Counter(word for path in SOURCES for word in Path(path).read_text().split())
    expected = sorted(collections.Counter(words.values()).items())
    given = documented("chain", tmp_path, TEXT=SOURCES)
    assert given == "".join(f"{n}\t{n_words}\n" for n, n_words in expected)


def test_pi_is_estimated_from_every_seed_the_same_each_time(tmp_path):
    given = documented("pi", tmp_path)
    name, estimate = given.split()
    assert name == "pi" and float(estimate) == pytest.approx(
        math.pi, abs=0.004
    )  # 3 standard deviations of 2 M points
    assert given == documented("pi", tmp_path)


def test_the_ctypes_map_gives_the_bessel_function(tmp_path):
    numbers = [0.0, 0.5, 1.0, 2.404825557695773, 10.0, 25.5]
    (tmp_path / "numbers.txt").write_text("".join(f"{x}\n" for x in numbers))
    given = documented("ctypes_map", tmp_path, **{"NUMBERS.txt": "numbers.txt"})
    for line, x in zip(given.splitlines(), numbers, strict=True):
        number, value = map(float, line.split("\t"))
        angles = (math.pi * (n + 0.5) / 100 for n in range(100))
        integral = statistics.fmean(
            math.cos(x * math.sin(angle)) for angle in angles
        )  # J0 by its integral
        assert number == x and value == pytest.approx(integral, abs=1e-12)
