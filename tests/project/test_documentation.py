"""README.md and docs/: programs build, run and print what the text says; tables match the code."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.documentation import DOCS, ROOT, blocks, guides, page, table

from kvproto import errors

pytestmark = pytest.mark.slow

FILE_NAME = re.compile(r"(?:#!.*\n)?(?:/\*|#) (\w+\.\w+)(?: \*/)?\n")
PAGES = ["README.md", *guides()]
WITH_MAKE = ["README.md", "docs/development.md"]


def environment(home: Path) -> dict[str, str]:
    """The environment after `pip install`: its commands come first, and jobs live in `home`."""
    commands = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "KVPROTO_HOME": str(home / "jobs"),
    }


def run(command: list[str], directory: Path) -> str:
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stderr}"
    return done.stdout


def run_console(block: str, directory: Path) -> None:
    """Type each `$ ` line; what it prints must be the lines below it."""
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        assert run(["bash", "-c", command], directory) == expected, command


def run_block(language: str, block: str, directory: Path) -> None:
    """Save a program that begins with its file name; run everything else."""
    if named := FILE_NAME.match(block):
        (directory / named[1]).write_text(block)
    elif language == "python":
        run([sys.executable, "-c", block], directory)
    elif language == "console":
        run_console(block, directory)
    else:
        assert language == "sh", f"a block in {language} that nothing tests"


@pytest.mark.parametrize("pages", [["README.md"], guides()], ids=["readme", "guides"])
def test_every_program_and_command_in_its_order(pages, tmp_path):
    all_blocks = [block for name in pages for block in blocks(name)]
    assert {language for language, _block in all_blocks} >= {"c", "python", "console"}
    for language, block in all_blocks:
        run_block(language, block, tmp_path)


@pytest.mark.parametrize(
    "block",
    [
        block
        for name in WITH_MAKE
        for language, block in blocks(name)
        if language == "sh" and "kvproto run" not in block
    ],
)
def test_every_make_command_is_a_target(block):
    targets = re.findall(r"^make (\S+)", block, re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", page("Makefile"), re.MULTILINE), target


def test_the_error_table_has_a_row_for_each_error_in_the_order_of_the_tree():
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \| (.+) \|$", table("docs/errors.md", "| error |"), re.MULTILINE
    )
    names = [name for name, _when, _what_to_do in rows]
    assert sorted(names) == sorted(errors.__all__)
    for name in names:
        parent = getattr(errors, name).__mro__[1].__name__
        assert parent == "Exception" or names.index(parent) < names.index(name)


@pytest.mark.parametrize("command", ["map", "run", "check"])
def test_the_options_in_the_guides_are_those_of_the_command(command, tmp_path):
    options = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
    usage = run(["kvproto", command, "--help"], tmp_path).partition("\nexamples:\n")[0]
    known = set(options.findall(usage))
    if command == "check":
        listed = set(options.findall(table("docs/kit.md", "| option |")))
        assert listed | {"-h", "--help", "--param", "--file"} == known
    elif command == "run":
        assert set(options.findall(table("docs/jobs.md", "| option |"))) <= known
    else:
        section = page("docs/workers.md").partition("\n## Parameters and supporting files\n")[2]
        assert known >= set(options.findall(section.partition("\n## Debugging\n")[0])) > {"--in"}


def test_the_functions_of_libdisco_in_the_guide_are_in_its_header():
    section = page("docs/workers.md").partition("\n### What libdisco does for you\n")[2]
    functions = set(re.findall(r"`(\w+)\(\)`", section.partition("\n## ")[0]))
    header = set(re.findall(r"(\w+)\(", page("include/disco.h")))
    assert len(functions) > 10 and functions - {"fread", "printf"} <= header


@pytest.mark.parametrize("name", PAGES)
def test_the_paths_in_tables_are_there(name):
    for path in re.findall(r"^\| .*?`((?:[\w.]+/)+[\w.]*)`", page(name), re.MULTILINE):
        assert (ROOT / path).exists(), path


def test_the_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", page("README.md"))
    assert {f"docs/{name.name}" for name in DOCS.glob("*.md")} >= {*links} - {"PROTOCOL.md"}
    assert len(links) > 5


def test_the_readme_says_of_bad_workers_what_was_measured():
    def rows(name):
        cells = [row.strip("| ").split(" | ") for row in table(name, "| the worker").splitlines()]
        return {row[0]: row[1:] for row in cells[2:]}

    measured = rows("docs/figures.md")
    assert rows("README.md").keys() == measured.keys()
    for tool, cells in rows("README.md").items():
        for said, cell in zip(cells, measured[tool], strict=True):
            ending, _, loss = said.partition(", ")
            if ending == "success":
                assert cell.startswith("exit 0")
                expected = {
                    "": "nothing lost$",
                    "wrong data": "wrong line",
                    "99 % lost": r"99\.0 %",
                }
                assert re.search(expected[loss], cell)
            else:
                assert cell.startswith(ending.removeprefix("waits "))


@pytest.mark.parametrize(
    "module", ["kvproto", "kvproto.classic", "kvproto.conformance", "kvproto.errors"]
)
def test_the_api_reference_has_each_public_name(module):
    reference = page(f"docs/api/{module.rpartition('.')[2]}.md")
    described = set(
        re.findall(r"^\.\. (?:auto\w+|py:data):: (\w+)(?:\(\))?$", reference, re.MULTILINE)
    )
    elsewhere = set(re.findall(r"`(\w+)`", reference))
    public = set(importlib.import_module(module).__all__)
    assert described <= public <= described | elsewhere
