"""The core file of a worker that crashes is moved to the directory that the user names."""

import tempfile
from pathlib import Path

import pytest
from support.scripts import script

from kvproto import ExternalProgram, errors
from kvproto.driver import cores


def crash(tmp_path, body, **options):
    worker = script(tmp_path, f"import os\n{body}\nos.abort()\n")
    with (
        ExternalProgram([worker], **options) as program,
        pytest.raises(errors.WorkerCrashed) as caught,
    ):
        list(program.map(["x"]))
    return caught.value


@pytest.mark.parametrize("name", ["core", "core.worker.17"])
def test_a_core_file_is_moved(tmp_path, private, name):
    kept = tmp_path / "kept"
    kept.mkdir()
    error = crash(tmp_path, f"open({name!r}, 'w').write('memory')", core_directory=str(kept))
    (core,) = kept.iterdir()
    assert (core.read_text(), error.core) == ("memory", str(core))
    assert f"  its core file: {core}\n" in str(error)
    assert f"gdb {tmp_path / 'worker'} {core} shows where it crashed" in str(error)
    assert list(private.iterdir()) == []


@pytest.mark.parametrize(
    "body",
    [
        "os.symlink('/etc/passwd', 'core')",
        "os.mkdir('core')",
        "os.mkfifo('core')",
        "open('score', 'w').close()",
    ],
)
def test_a_link_or_anything_else_that_is_no_core_file_stays(tmp_path, private, body):
    kept = tmp_path / "kept"
    kept.mkdir()
    error = crash(tmp_path, body, core_directory=str(kept))
    assert error.core is None
    assert list(kept.iterdir()) == []


def test_a_supporting_file_with_that_name_is_no_core_file(tmp_path):
    (tmp_path / "core").write_text("a file")
    (tmp_path / "kept").mkdir()
    worker = script(tmp_path, "import os; os.abort()")
    with (
        ExternalProgram(
            [worker, tmp_path / "core"], core_directory=str(tmp_path / "kept")
        ) as program,
        pytest.raises(errors.WorkerCrashed) as caught,
    ):
        list(program.map(["x"]))
    assert caught.value.core is None


def test_a_directory_that_is_not_there_is_said_in_a_note(tmp_path):
    error = crash(tmp_path, "open('core', 'w').close()", core_directory=str(tmp_path / "missing"))
    assert error.core is None
    assert "its core file could not be kept" in error.__notes__[0]


def test_a_core_file_goes_to_another_file_system(tmp_path):
    (tmp_path / "core").write_bytes(b"memory")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        target = Path(directory) / "kept"
        assert cores.keep_core(str(tmp_path), (), str(target))
        assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"memory", 0o600)
