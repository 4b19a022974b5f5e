"""The parameters of a job, as the README and `help(Job.run)` tell them, are those that there are."""

import inspect
import re
from pathlib import Path

from kvproto.classic import Job
from kvproto.classic.worker import PARAMETERS

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
