"""The build option `stdio_internals`: it is tried out when it is configured, not assumed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.disco_programs import ROOT

SIGHT = "-DDISCO_STDIO_GLIBC"


def configure(tree: Path, directory: Path, setting: str) -> subprocess.CompletedProcess[str]:
    """Configure libdisco alone, as `make lib` does."""
    meson = Path(sys.executable).with_name("meson")
    command = [meson, "setup", directory, tree, f"-Dstdio_internals={setting}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def flags_of_stream(directory: Path) -> list[str]:
    commands = json.loads((directory / "compile_commands.json").read_text())
    [command] = [each["command"] for each in commands if each["file"].endswith("/stream.c")]
    return command.split()


@pytest.fixture
def other_glibc(tmp_path) -> Path:
    """The sources for a C library that looks like glibc and keeps its buffers in another way."""
    tree = tmp_path / "sources"
    for name in ("csrc", "include"):
        shutil.copytree(ROOT / name, tree / name)
    for name in ("meson.build", "meson.options"):
        shutil.copy(ROOT / name, tree)
    header = tree / "csrc/libdisco/buffers.h"
    there = "input->_IO_read_ptr += n_bytes;"
    text = header.read_text()
    assert there in text
    header.write_text(text.replace(there, "(void)n_bytes;"))
    return tree


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "sees"), [("auto", True), ("disabled", False)])
def test_the_option_decides_whether_libdisco_sees_the_buffers(tmp_path, setting, sees):
    done = configure(ROOT, tmp_path / "build", setting)
    assert done.returncode == 0, done.stdout
    assert (SIGHT in flags_of_stream(tmp_path / "build")) == sees


def test_a_c_library_that_works_otherwise_is_left_alone(tmp_path, other_glibc):
    done = configure(other_glibc, tmp_path / "build", "auto")
    assert done.returncode == 0, done.stdout
    assert not any("DISCO_STDIO" in flag for flag in flags_of_stream(tmp_path / "build"))


def test_asking_for_what_does_not_work_is_an_error(tmp_path, other_glibc):
    done = configure(other_glibc, tmp_path / "build", "enabled")
    assert done.returncode != 0
    assert "stdio_internals: neither the way of glibc nor that of musl works" in done.stdout
