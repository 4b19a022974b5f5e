"""Programs that use kvproto, in tests/typed, as type checkers see them."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parents[1] / "typed").glob("*.py"))
CHECKERS = {
    "mypy": ["mypy", "--strict", "--python-executable", sys.executable, "--cache-dir", "cache"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_program_that_uses_kvproto_is_typed(checker, tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", *CHECKERS[checker], *map(str, PROGRAMS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
