"""The package as a whole: its version is one, its names are there, and `pip install .` gives all
that is promised.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import kvproto
from kvproto.protocol import native as _native

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_tests_test_the_installed_package_with_its_compiled_part():
    assert ROOT not in Path(kvproto.__file__).parents or ".venv" in kvproto.__file__
    assert _native.NATIVE or os.environ.get("KVPROTO_PURE") == "1"


def test_the_version_is_the_same_everywhere():
    header = (ROOT / "include/disco.h").read_text()
    parts = [
        re.search(rf"DISCO_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR", "PATCH")
    ]
    versions = {
        kvproto.__version__,
        metadata.version("kvproto"),
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())[1],
        re.search(r'DISCO_VERSION "([^"]+)"', header)[1],
        ".".join(parts),
        _native.ffi.string(_native.lib.disco_version()).decode(),
        re.search(r"^## ([0-9.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1],
    }
    assert len(versions) == 1


def test_every_public_name_is_there_and_documented():
    for name in kvproto.__all__:
        assert getattr(kvproto, name).__doc__


def test_the_reference_is_selected_by_the_environment():
    code = (
        "import kvproto, kvproto.protocol.native as n; print(n.NATIVE, "
        "kvproto.decode_pairs(kvproto.encode_pairs([('k', 'v')])))"
    )
    for value, native in (("1", "False"), ("0", "True"), ("", "True")):
        told = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "KVPROTO_PURE": value},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout == f"{native} [(b'k', b'v')]\n"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A wheel built from the sources, installed into an empty folder; its `bin` has the command."""
    top = tmp_path_factory.mktemp("wheel")
    wheel = [
        sys.executable,
        "-m",
        "pip",
        "-q",
        "--disable-pip-version-check",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        f"-Cbuild-dir={ROOT / 'build' / 'wheel'}",  # where `make build` compiles
    ]
    # where meson and ninja are
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [*wheel, "-w", str(top), str(ROOT)], check=True, env={**os.environ, "PATH": path}
    )
    (built,) = top.glob("*.whl")
    assert "-abi3-" in built.name
    install = [
        sys.executable,
        "-m",
        "pip",
        "-q",
        "--disable-pip-version-check",
        "install",
        "--no-deps",
    ]
    subprocess.run([*install, "--target", str(top / "site"), str(built)], check=True)
    return top / "site"


def command(site: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-P", str(site / "bin" / "kvproto"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.documented("13 a header and a small library around the interface")
def test_a_wheel_gives_the_command_the_library_and_a_way_to_link_it(elsewhere, tmp_path):
    prefix = elsewhere / "kvproto"
    assert command(elsewhere, "config", "--prefix").strip() == str(prefix)
    assert command(elsewhere, "config", "--version").strip() == kvproto.__version__
    for path in (
        "include/disco.h",
        "lib/libdisco.a",
        "lib/pkgconfig/disco.pc",
        "bin/supervise",
        "bin/confine",
    ):
        assert (prefix / path).is_file()
    flags = command(elsewhere, "config", "--cflags", "--libs").split()
    worker = tmp_path / "worker"
    subprocess.run(
        ["cc", str(ROOT / "kvproto/examples/identity.c"), *flags, "-o", str(worker)], check=True
    )
    with kvproto.ExternalProgram([worker]) as program:
        assert list(program.map(["x"])) == [[(b"", b"x")]]


def test_pkg_config_finds_the_wheels_library_wherever_it_lies(elsewhere, tmp_path):
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed: apt-get install pkg-config")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(elsewhere / "kvproto/lib/pkgconfig")}
    query = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "disco"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    worker = tmp_path / "worker"
    subprocess.run(
        ["cc", str(ROOT / "kvproto/examples/identity.c"), *query.stdout.split(), "-o", str(worker)],
        check=True,
    )
    assert (
        subprocess.run([worker, "map"], input=b"0\n", capture_output=True, check=False).returncode
        == 0
    )


def test_make_install_gives_both_libraries_and_a_header_under_a_prefix(tmp_path):
    subprocess.run(
        [
            "make",
            "-s",
            "install",
            "PREFIX=/opt/disco",
            f"DESTDIR={tmp_path}",
            f"PYTHON={sys.executable}",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    top = tmp_path / "opt/disco"
    library = top / "lib/libdisco.a"
    assert library.is_file()
    assert (top / "include/disco.h").is_file()
    assert (library.parent / "libdisco.so.0").is_symlink()
    assert "prefix=/opt/disco\n" in (library.parent / "pkgconfig/disco.pc").read_text()
    worker = tmp_path / "worker"
    source = str(ROOT / "kvproto/examples/identity.c")
    link = ["-L", str(library.parent), "-ldisco", f"-Wl,-rpath,{library.parent}"]
    subprocess.run(["cc", source, "-I", str(top / "include"), *link, "-o", str(worker)], check=True)
    linked = subprocess.run(["ldd", worker], capture_output=True, text=True, check=True).stdout
    assert f"libdisco.so.0 => {library.parent}" in linked
    with kvproto.ExternalProgram([worker]) as program:
        assert list(program.map(["x"])) == [[(b"", b"x")]]
