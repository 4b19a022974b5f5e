"""The README is true: its programs build, run and print what it says; its tables are those of the code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvproto import errors

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"(?:/\*|#) (\w+\.\w+)(?: \*/)?\n")


def environment(home: Path) -> dict[str, str]:
    """The environment of somebody who has installed the package: its commands come first, jobs live in `home`."""
    commands = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "KVPROTO_HOME": str(home / "jobs"),
    }


def run(command: list[str], directory: Path) -> str:
    done = subprocess.run(
        command, cwd=directory, env=environment(directory), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stderr}"
    return done.stdout


def run_console(block: str, directory: Path) -> None:
    """Type each `$ ` line; what it prints must be the lines below it."""
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        assert run(["bash", "-c", command], directory) == expected, command


def test_every_program_and_command_of_the_readme_in_its_order(tmp_path):
    assert {language for language, _block in BLOCKS} >= {"c", "python", "console"}
    for language, block in BLOCKS:
        if named := FILE_NAME.match(block):
            (tmp_path / named[1]).write_text(block)
        elif language == "python":
            run([sys.executable, "-c", block], tmp_path)
        elif language == "console":
            run_console(block, tmp_path)
        else:
            assert language == "sh", f"a block in {language} that nothing tests"


@pytest.mark.parametrize("block", [block for language, block in BLOCKS if language == "sh"])
def test_every_make_command_of_the_readme_is_a_target(block):
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    targets = re.findall(r"^make (\S+)", block, re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_error_table_has_a_row_for_each_error_in_the_order_of_the_tree():
    table = README[README.index("| error |") :].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", table, re.MULTILINE)
    names = [name for name, _when, _what_to_do in rows]
    assert sorted(names) == sorted(errors.__all__)
    for name in names:
        parent = getattr(errors, name).__mro__[1].__name__
        assert parent == "Exception" or names.index(parent) < names.index(name)


def test_the_names_in_the_readme_are_there():
    for path in re.findall(r"^\| .*?`((?:[\w.]+/)+[\w.]*)`", README, re.MULTILINE):
        assert (Path(__file__).parents[2] / path).exists(), path
