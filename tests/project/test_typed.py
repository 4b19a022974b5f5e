"""Programs that use kvproto, in tests/typed, as type checkers see them."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.documentation import blocks

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize("page", ["README.md", "docs/jobs.md"])
def test_an_editor_has_no_complaint_about_the_documented_jobs(page, tmp_path):
    jobs = [text for language, text in blocks(page) if language == "python" and "Job" in text]
    assert jobs
    for number, text in enumerate(jobs):
        (tmp_path / f"job{number}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-P", "-m", *CHECKERS["pyright"], *map(str, tmp_path.glob("*.py"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
