"""What the files of a program let it read, wherever its interpreter and its libraries were
installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from kvproto.conformance.confinement import readable


@pytest.fixture
def at(tmp_path):
    """Make an executable file at a path below tmp_path, which has a home too; return the path."""

    def make(path: str, text: str = "\x7fELF") -> str:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return str(file)

    (tmp_path / "home").mkdir()
    return make


def roots(tmp_path, op: str, **environment) -> set[str]:
    """What a script may read below tmp_path, relative to it."""
    environment = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"} | environment
    found = readable({"op": op.encode()}, environment)
    return {os.path.relpath(path, tmp_path) for path in found if path.startswith(f"{tmp_path}/")}


def test_the_systems_programs_are_readable_and_the_files_of_users_are_not():
    found = readable({"op": b"#!/bin/sh\necho\n"}, {"HOME": "/root", "PATH": "/usr/bin:/bin"})
    assert {"/usr", "/bin", "/proc", "/dev/urandom", "/etc/ld.so.cache"} <= set(found)
    no_root = {
        "/",
        "/home",
        "/root",
        "/tmp",
        "/var",
        "/srv",
        "/etc",
        "/etc/passwd",
        "/dev",
        "/run",
        "/dev/shm",
    }
    assert no_root & set(found) == set()


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash on this machine")
def test_bash_reads_the_shell_of_the_user_where_none_is_in_the_environment(tmp_path, at):
    environment = {"HOME": "/root", "PATH": f"{tmp_path}/shims:/usr/bin:/bin"}
    assert "/etc/passwd" in readable({"op": b"#!/usr/bin/env bash\n"}, environment)
    at("shims/python3", "#!/usr/bin/env bash\nexec /usr/bin/python3\n")
    assert "/etc/passwd" in readable({"op": b"#!/usr/bin/env python3\n"}, environment)
    assert "/etc/passwd" not in readable(
        {"op": b"#!/usr/bin/env python3\n"}, {**environment, "SHELL": "/bin/bash"}
    )


def test_a_link_is_there_as_it_is_and_as_it_leads(tmp_path, at):
    at("real/python/bin/python3.11")
    (tmp_path / "current").symlink_to("real/python")
    assert roots(tmp_path, f"#!{tmp_path}/current/bin/python3.11\n") >= {"current", "real/python"}


def test_an_interpreter_elsewhere_brings_its_prefix(tmp_path, at):
    at("perl-5.40/bin/perl")
    assert roots(tmp_path, f"#!{tmp_path}/perl-5.40/bin/perl -w\n") == {
        "perl-5.40",
        "perl-5.40/bin/perl",
    }


@pytest.mark.parametrize(
    "line", ["/usr/bin/env node", "/usr/bin/env -S node --flag", "/usr/bin/env -S A=1 node"]
)
def test_what_env_finds_counts_as_the_interpreter(line, tmp_path, at):
    at("js/bin/node")
    path = f"{tmp_path}/js/bin:/usr/bin"
    assert "js" in roots(tmp_path, f"#!{line}\n", PATH=path)
    assert roots(tmp_path, f"#!{line}\n") == set()


def test_a_virtual_environment_brings_the_python_that_it_was_made_of(tmp_path, at):
    at("base/bin/python3.11")
    at("venv/pyvenv.cfg", f"home = {tmp_path}/base/bin\nversion = 3.11\n")
    (tmp_path / "venv/bin").mkdir()
    (tmp_path / "venv/bin/python").symlink_to("/usr/bin/python3")
    assert {"venv", "base"} <= roots(tmp_path, f"#!{tmp_path}/venv/bin/python\n")


def test_a_real_virtual_environment_is_readable_wholly():
    found = readable({"op": f"#!{sys.executable}\n".encode()})
    for prefix in (sys.prefix, sys.base_prefix):
        real = os.path.realpath(prefix)
        assert any(real == path or real.startswith(f"{path}/") for path in found), prefix


def test_a_version_managers_shim_brings_the_manager_and_what_runs_the_shim(tmp_path, at):
    at("manager/shims/python3", "#!/usr/bin/env odd-shell\n")
    at("shells/bin/odd-shell")
    path = f"{tmp_path}/manager/shims:{tmp_path}/shells/bin:/usr/bin"
    assert {"manager", "shells"} <= roots(tmp_path, "#!/usr/bin/env python3\n", PATH=path)


def test_the_programs_that_a_shell_script_calls_by_name_are_readable(tmp_path, at):
    at("jdk/bin/java")
    at("other/bin/unused")
    path = f"{tmp_path}/jdk/bin:{tmp_path}/other/bin:/usr/bin:/bin"
    assert roots(tmp_path, '#!/bin/sh\nexec java -cp . Main "$@"\n', PATH=path) == {
        "jdk",
        "jdk/bin/java",
    }
    assert roots(tmp_path, "#!/usr/bin/perl\nexec 'java'\n", PATH=path) == set()
    assert roots(tmp_path, f"#!/bin/sh\nexec {tmp_path}/other/bin/unused\n") == set()


def test_a_program_at_home_does_not_bring_the_home(tmp_path, at):
    for path in ("bin/tool", "lib/y", ".local/bin/python3", ".local/lib/x", "lonely"):
        at(f"home/{path}")
    assert roots(tmp_path, f"#!{tmp_path}/home/bin/tool\n") == {"home/bin/tool", "home/lib"}
    assert roots(tmp_path, f"#!{tmp_path}/home/.local/bin/python3\n") == {
        "home/.local/bin/python3",
        "home/.local/lib",
    }
    assert roots(tmp_path, f"#!{tmp_path}/home/lonely\n") == {"home/lonely"}


def test_pythons_packages_of_the_user_are_readable_for_python_alone(tmp_path, at):
    at("home/.local/lib/python3.11/site-packages/x.py")
    assert roots(tmp_path, "#!/usr/bin/python3\n") == {"home/.local/lib/python3.11/site-packages"}
    assert roots(tmp_path, "#!/usr/bin/perl\n") == set()


def test_variables_that_name_libraries_are_followed(tmp_path, at):
    at("lib/a.pm")
    at("more/b.pm")
    named = {"PERL5LIB": f"{tmp_path}/lib:relative::{tmp_path}/more:{tmp_path}/absent"}
    assert roots(tmp_path, "#!/usr/bin/perl\n", **named) == {"lib", "more"}


@pytest.mark.parametrize(
    ("op", "environment", "is_readable"),
    [
        ("#!/usr/bin/env tclsh\n", {"HOME": "/root"}, True),
        ("#!/bin/sh\nexec java Main\n", {"HOME": "/root"}, True),
        ("#!/usr/bin/python3\n", {"HOME": "/root"}, False),
        ("#!/usr/bin/python3\n", {}, True),
        ("\x7fELF", {}, False),
    ],
)
def test_the_list_of_users_is_readable_for_interpreters_that_ask_for_it(
    op, environment, is_readable, at, tmp_path
):
    at("bin/java")
    found = readable({"op": op.encode()}, {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", **environment})
    assert ("/etc/passwd" in found) == is_readable


def test_what_interpreters_look_for_above_the_workers_directory_is_readable(
    tmp_path, at, monkeypatch
):
    at("package.json")
    at("private/package.json")
    at("private/other.json")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))
    assert roots(tmp_path, "#!/usr/bin/env node\n") == {"package.json", "private/package.json"}


@pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("ldd"), reason="needs gcc and ldd")
@pytest.mark.parametrize(
    "named", [["{lib}"], ["-L{deep}", "-la", "-Wl,-rpath,{deep}"]], ids=["by path", "by name"]
)
def test_the_libraries_of_a_binary_are_readable_wherever_the_loader_finds_them(named, tmp_path):
    source, lib = tmp_path / "a.c", tmp_path / "deep" / "liba.so"
    lib.parent.mkdir()
    source.write_text("int a(void) { return 0; }")
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", lib], check=True)
    source.write_text("int a(void); int main(void) { return a(); }")
    program = tmp_path / "program"
    libraries = [word.format(lib=lib, deep=lib.parent) for word in named]
    subprocess.run(["gcc", source, *libraries, "-o", program], check=True)
    files = {"op": b"#!/bin/sh\n", "program": program.read_bytes()}
    found = readable(files, {"HOME": "/root", "PATH": "/usr/bin:/bin"})
    assert [path for path in found if path.startswith(str(tmp_path))] == [str(lib)]
