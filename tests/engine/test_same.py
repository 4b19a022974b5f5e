"""What makes two functions the same, and which files a function comes from."""

import functools
import importlib
import sys

import cloudpickle
import pytest

from kvproto.classic import external
from kvproto.engine.same import edited, is_same
from kvproto.engine.sources import changed, scripts_of, sources_of
from kvproto.engine.spec import External


def copied(value):
    """Another object, as after it was saved."""
    return cloudpickle.loads(cloudpickle.dumps(value))


def made(text, **names):
    """The function `f` of a text that is not in a file."""
    exec(text, names)
    return names["f"]


def adder(n):
    return lambda x: x + n


class Point:
    def __init__(self, x):
        self.x = x


FUNCTION = "def f(x, y=1):\n    return [g(z) for z in x] + LIMITS\ndef g(x):\n    return x + 1"


@pytest.mark.parametrize(
    "value",
    [
        made(FUNCTION, LIMITS=[1, {2: "b"}]),
        made("def f(n):\n    return f(n - 1) if n else 0"),
        adder(3),
        functools.partial(made("def f(x, y):\n    return x"), y=[1, 2]),
        External({"op": b"program"}, b"params", {"idle": 3.0}),
        [Point(3), {"a": Point({1, 2, 3})}, float("nan"), None, b"bytes", (1, "2")],
        made("class f:\n    def method(self):\n        return 1"),
        made("class C:\n    def method(self):\n        return 1\nf = C().method"),
    ],
    ids=["globals", "recursive", "closure", "partial", "program", "values", "class", "method"],
)
def test_a_value_is_the_same_after_it_was_saved(value):
    assert is_same(copied(value), value) and is_same(value, copied(value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (made("def f(x):\n    return x + 1"), made("def f(x):\n    return x + 2")),
        (made("def f(x):\n    return x"), made("def f(y):\n    return y")),
        (made("def f(x=1):\n    return x"), made("def f(x=2):\n    return x")),
        (made("def f(*, x=1):\n    return x"), made("def f(*, x=2):\n    return x")),
        (made(FUNCTION, LIMITS=[1]), made(FUNCTION, LIMITS=[2])),
        (made(FUNCTION), made(FUNCTION.replace("x + 1", "x - 1"))),
        (adder(1), adder(2)),
        (External({"op": b"1"}), External({"op": b"2"})),
        (External({"op": b"1"}), External({"op": b"1", "file": b""})),
        (Point(1), Point(2)),
        ([1, 2], (1, 2)),
        ([1, 2], [1, 2, 3]),
        ({"a": 1}, {"b": 1}),
        (1, True),
        (1, 1.0),
        (None, made("def f():\n    pass")),
    ],
)
def test_values_that_differ_are_not_the_same(one, other):
    assert not is_same(copied(one), other) and not is_same(other, copied(one))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module with a function of each kind, and the directory of its file."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "helper_of_sources.py").write_text("import json\ndef help(x):\n    return x\n")
    (tmp_path / "module_of_sources.py").write_text(
        "from helper_of_sources import help\n"
        "def f(x):\n    return help(x)\n"
        "def make():\n    def inner(x):\n        return help(x)\n    return inner\n"
    )
    yield importlib.import_module("module_of_sources")
    for name in ("module_of_sources", "helper_of_sources"):
        sys.modules.pop(name, None)


def test_the_sources_of_a_function_are_its_module_and_what_that_imports(module, tmp_path):
    sources = sources_of([("map", module.f), ("reduce", module.f), ("params", {"a": sorted})])
    paths = {source.path for source in sources}
    assert paths == {str(tmp_path / f"{name}_of_sources.py") for name in ("module", "helper")}
    assert {source.part for source in sources} == {"map"}
    assert changed(sources) == []
    (tmp_path / "helper_of_sources.py").write_text("# other\n")
    assert changed(sources) == [
        f"map: {tmp_path}/helper_of_sources.py has changed since the job ran"
    ]
    (tmp_path / "helper_of_sources.py").unlink()
    assert changed(sources) == []


def test_of_a_function_that_is_saved_with_its_code_only_that_code_counts(module, tmp_path):
    inner = module.make()
    paths = [source.path for source in sources_of([("map", inner)])]
    assert paths == [str(tmp_path / "helper_of_sources.py")]
    scripts = scripts_of([("map", inner)])
    path = tmp_path / "module_of_sources.py"
    text = path.read_text()
    saved = copied(inner)
    assert edited([("map", saved)], scripts) == []
    path.write_text(f"# a comment\n{text}\nother = 1\n")
    assert edited([("map", saved)], scripts) == []
    path.write_text(text.replace("return help(x)", "return help(x) + 1"))
    assert edited([("map", saved)], scripts) == [
        f"map: make.<locals>.inner in {path} has changed since the job ran"
    ]
    path.write_text("def nothing(:\n")
    assert edited([("map", saved)], scripts) == []


def test_the_sources_of_a_program_are_the_files_that_it_was_read_from(tmp_path):
    (tmp_path / "op").write_text("#!/bin/sh\n")
    (tmp_path / "op").chmod(0o755)
    sources = sources_of([("map", External(external([tmp_path / "op"])))])
    assert [source.path for source in sources] == [str(tmp_path / "op")]
    assert sources_of([("map", External({"op": b"in memory"}))]) == []
