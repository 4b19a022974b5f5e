"""What the codec and the jobs must not use, and what an import must not load.

The order of imports is in pyproject.toml; `make lint-imports` checks it.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kvproto

PACKAGE = Path(__file__).parents[2] / "kvproto"


def imports_of(path: Path) -> set[str]:
    """The dotted names of all that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def roots_of(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


def names_used_in(path: Path) -> set[str]:
    """Names called or looked up: `open`, and `os.pipe` where it is an attribute of a plain name."""
    used = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.add(f"{node.value.id}.{node.attr}")
    return used


@pytest.mark.parametrize("name", ["frames", "params", "messages", "reference", "stream"])
def test_the_codec_opens_no_files_and_runs_no_code(name):
    forbidden = {"open", "print", "input", "exec", "eval", "__import__"}
    assert names_used_in(PACKAGE / "protocol" / f"{name}.py") & forbidden == set()


@pytest.mark.parametrize("package", ["classic", "engine"])
def test_jobs_know_no_pipes(package):
    # Exceptions: three modules start and watch task processes, and one has the program `sort`.
    names = "prepared.py", "prepared_main.py", "task_process.py", "sort.py"
    exempt = {PACKAGE / "engine" / name for name in names}
    paths = [path for path in (PACKAGE / package).rglob("*.py") if path not in exempt]
    assert paths
    for path in paths:
        assert roots_of(path) & {"subprocess", "select", "selectors", "fcntl", "pty"} == set(), path
        forbidden = {"os.pipe", "os.fork", "os.execv", "os.posix_spawn", "os.popen", "os.system"}
        assert names_used_in(path) & forbidden == set(), path


def test_importing_the_package_imports_nothing_heavy():
    code = "import kvproto, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "kvproto.protocol.frames" in loaded
    assert (
        set(loaded)
        & {"asyncio", "multiprocessing", "subprocess", "cloudpickle", "rich", "json", "http", "ssl"}
        == set()
    )


def test_what_is_exported_is_there_and_has_words():
    for name in (
        "PairDecoder",
        "ListDecoder",
        "MessageParser",
        "encode_pair",
        "decode_params",
        "KVProtoError",
    ):
        assert getattr(kvproto, name).__doc__
