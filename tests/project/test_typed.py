"""Programs that use kvproto, in tests/typed, as type checkers see them."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.documentation import blocks, guides

pytestmark = pytest.mark.slow

PROGRAMS = sorted(map(str, (Path(__file__).parents[1] / "typed").glob("*.py")))
MYPY = ["mypy", "--python-executable", sys.executable, "--cache-dir", "cache"]
PYRIGHT = ["pyright", "--pythonpath", sys.executable]


@pytest.fixture
def documented(tmp_path):
    """The programs of the documentation, as they are printed."""
    for page in ("README.md", *guides()):
        programs = [text for language, text in blocks(page) if language == "python"]
        for number, text in enumerate(programs):
            if "import disco" not in text and "from disco" not in text:
                (tmp_path / f"{Path(page).stem}{number}.py").write_text(text)
    files = sorted(map(str, tmp_path.glob("*.py")))
    assert len(files) > 5
    return files


def check(checker, files, tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", *checker, *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_that_uses_kvproto_is_typed(tmp_path):
    check([*MYPY, "--strict"], PROGRAMS, tmp_path)


def test_mypy_has_no_complaint_about_the_documented_programs(documented, tmp_path):
    """They have no annotations, which `mypy --strict` asks for."""
    check(MYPY, documented, tmp_path)


def test_an_editor_has_no_complaint_about_any_of_them(documented, tmp_path):
    check(PYRIGHT, [*PROGRAMS, *documented], tmp_path)
