"""The pool with a directory of required files: task processes work in it, import from it, load
libraries from it.
"""

import ctypes
import os
import subprocess
import sys

import pytest

from kvproto.engine.pool import LocalPool
from kvproto.engine.stage import Stage


@pytest.fixture
def in_files(tmp_path):
    """Call a function in a task process of a pool that has required files."""
    files = tmp_path / "files"
    files.mkdir()
    directories = {
        "log_directory": str(tmp_path),
        "tmp_directory": str(tmp_path),
        "files_directory": str(files),
    }

    def call(fn):
        with LocalPool(1, **directories) as pool:
            [(_, result)] = pool.run_stage(
                Stage("stage", [None], 0, lambda event: None), lambda _: fn()
            )
        return result

    return files, call


def test_a_task_works_in_the_directory_of_the_required_files(in_files):
    files, call = in_files
    (files / "data.txt").write_text("required")
    assert call(lambda: (os.getcwd(), open("data.txt").read())) == (str(files), "required")  # noqa: SIM115


def test_a_required_module_is_found_before_one_of_the_same_name_elsewhere(
    in_files, tmp_path, monkeypatch
):
    files, call = in_files
    for directory, text in ((files, "required"), (tmp_path, "elsewhere")):
        (directory / "a_module_of_the_job.py").write_text(f"TEXT = {text!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def read():
        import a_module_of_the_job  # noqa: PLC0415

        return a_module_of_the_job.TEXT

    assert call(read) == "required"


def test_modules_are_found_through_relative_entries_of_sys_path_as_in_the_driver(
    in_files, tmp_path, monkeypatch
):
    _, call = in_files
    (tmp_path / "sub").mkdir()
    (tmp_path / "beside_the_script.py").write_text("TEXT = 'beside'\n")
    (tmp_path / "sub" / "below_the_script.py").write_text("TEXT = 'below'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "sub", "__hook_of_an_editable_install__", *sys.path])

    def read():
        import below_the_script  # noqa: PLC0415
        import beside_the_script  # noqa: PLC0415

        return (
            beside_the_script.TEXT,
            below_the_script.TEXT,
            "__hook_of_an_editable_install__" in sys.path,
        )

    assert call(read) == ("beside", "below", True)


@pytest.mark.parametrize("before", [None, "/nowhere"])
def test_a_required_library_is_found_by_its_bare_name(in_files, tmp_path, monkeypatch, before):
    files, call = in_files
    source = tmp_path / "mylib.c"
    source.write_text("int fast_function(int n) { return n + 1; }\n")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", str(files / "mylib.so"), str(source)], check=True
    )
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    if before:
        monkeypatch.setenv("LD_LIBRARY_PATH", before)
    expected = f"{files}:{before}" if before else str(files)
    assert call(
        lambda: (ctypes.CDLL("mylib.so").fast_function(41), os.environ["LD_LIBRARY_PATH"])
    ) == (42, expected)


def test_without_required_files_a_task_works_where_the_driver_does(tmp_path):
    with LocalPool(1, log_directory=str(tmp_path), tmp_directory=str(tmp_path)) as pool:
        assert list(pool.run_stage(Stage("stage", [None], 0, print), lambda _: os.getcwd())) == [
            (0, os.getcwd())
        ]
