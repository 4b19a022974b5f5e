"""The names of the first release stay importable from the modules that had them.

public_names.txt has each of these modules and the names in its `__all__`.
"""

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from kvproto.classic.running import Run
from kvproto.classic.tags import TagStore

from kvproto.classic.threads import JobThread
from kvproto.storage import hunks, tags

LINES = (Path(__file__).parent / "public_names.txt").read_text(encoding="ascii")
NAMES = {
    module: names.split()
    for module, _, names in (
        line.partition(":") for line in LINES.replace("\n    ", " ").splitlines()
    )
}


@pytest.mark.parametrize("module", NAMES)
def test_each_name_of_a_module_is_importable_from_it(module):
    script = {}
    exec(f"import {module}\nfrom {module} import {', '.join(NAMES[module])}", script)
    assert sys.modules[module].__name__ == module
    for name in NAMES[module]:
        assert script[name] is getattr(sys.modules[module], name)


@pytest.mark.parametrize("module", [name for name in NAMES if "." in name])
def test_a_module_is_an_attribute_of_its_package(module):
    package, _, name = module.rpartition(".")
    script = {}
    exec(f"from {package} import {name}", script)
    assert script[name] is importlib.import_module(module)


def test_the_objects_are_those_of_the_new_modules():
    assert TagStore is tags.TagStore
    assert Run is JobThread


def test_what_was_pickled_under_an_old_name_can_be_loaded():
    assert pickle.loads(b"ckvproto.classic.hunks\nBytes\n.") is hunks.Reader


def test_a_name_that_no_module_had_is_an_import_error():
    with pytest.raises(ModuleNotFoundError, match=r"kvproto.classic.nothing"):
        importlib.import_module("kvproto.classic.nothing")
    with pytest.raises(ImportError, match=r"kvproto has no 'nothing' in kvproto.classic.tags"):
        exec("from kvproto.classic.tags import nothing", {})


def test_importing_the_classic_interface_loads_none_of_the_old_modules():
    code = "import kvproto.classic, sys; print(sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert {"kvproto.classic.tags", "kvproto.cli"} & set(ast.literal_eval(result.stdout)) == set()
