"""The parameters of a job, as the README and `help(Job.run)` tell them, are those that there are."""

import inspect
import re
from pathlib import Path

import pytest

from kvproto.classic import Job
from kvproto.classic.worker import PARAMETERS, SYNONYMS, Worker

README = (Path(__file__).parent.parent / "README.md").read_text()
OF_RUN = [name for name, parameter in inspect.signature(Job.run).parameters.items() if parameter.kind == parameter.KEYWORD_ONLY]


def test_the_readmes_table_names_the_parameters_that_there_are():
    table = README[README.index("| parameter | default |") :].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", table, re.MULTILINE)
    assert [name for name, _ in rows] == [*PARAMETERS, *OF_RUN]
    for name, default in rows:
        if default.startswith("`"):
            assert default.split("`")[1] == repr(PARAMETERS.get(name)), name


def test_the_help_of_run_names_the_parameters_that_there_are():
    told = re.findall(r"^(\w+)  +\S", inspect.getdoc(Job.run), re.MULTILINE)
    assert told == [*OF_RUN, *PARAMETERS]


def test_readme_and_help_give_the_same_signatures():
    def signatures(text):
        return set(re.findall(r"\b(?:map|map_init|map_reader|combiner|partition|reduce|reduce_init|reduce_reader)\([a-z_, ]+\)", text))

    section = README[README.index("\n## Jobs\n") :].split("\n## ")[1]
    assert signatures(section) == signatures(Job.run.__doc__) and len(signatures(section)) == 9


@pytest.mark.parametrize("old, new", SYNONYMS.items())
def test_a_parameter_is_found_under_the_name_that_older_code_gives_it(old, new):
    class Old(Job):
        pass

    setattr(Old, old, "of the class")
    default = Worker()[new]
    assert Worker().getitem(new, Job(), {}) == default
    assert Worker(**{old: "of the worker"}).getitem(new, Job(), {}) == "of the worker"
    assert Worker(**{old: "of the worker"}).getitem(new, Old(), {}) == "of the class"
    assert Worker().getitem(new, Old(), {old: "given"}) == Worker().getitem(new, Old(), {new: "given"}) == "given"
