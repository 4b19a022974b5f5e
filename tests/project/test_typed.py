"""Programs that use kvproto, in tests/typed, as type checkers see them."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.documentation import blocks, guides

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


@pytest.mark.parametrize("checker", CHECKERS)
def test_an_editor_has_no_complaint_about_the_documented_programs(checker, tmp_path):
    """As they are printed: they have no annotations, which `mypy --strict` asks for."""
    for page in ("README.md", *guides()):
        programs = [text for language, text in blocks(page) if language == "python"]
        for number, text in enumerate(programs):
            if "import disco" not in text and "from disco" not in text:
                (tmp_path / f"{Path(page).stem}{number}.py").write_text(text)
    files = sorted(map(str, tmp_path.glob("*.py")))
    assert len(files) > 5
    command = [word for word in CHECKERS[checker] if word != "--strict"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", *command, *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
