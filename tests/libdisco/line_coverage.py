"""Line coverage of csrc/ by the tests: libdisco, the compiled module kvproto._disco, and the
programs that start workers.

Everything is built with --coverage in a scratch directory, the last two inside a copy of the
installed package. Prints a table; fails when a file has fewer than MINIMUM percent (environment,
default 95) of its lines run. A process that is killed by a signal, or runs as another user, writes
no counts; neither does `confine`, which keeps all files from itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from support.disco_programs import LIBRARY, WRAPPED

import kvproto

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CSRC = ROOT / "csrc"

MEASURED = [
    "gcc",
    "--coverage",
    "-O0",
    "-g",
    f"-I{ROOT / 'include'}",
    f"-I{CSRC / 'libdisco'}",
    f"-I{CSRC / 'native'}",
]
NATIVE = sorted(CSRC.glob("native/*.c"))
CORE = [CSRC / f"libdisco/{name}.c" for name in ("messages", "params", "wire")]
SUPERVISE, REMOVE_TREE, FORK = (
    CSRC / f"launch/{name}.c" for name in ("supervise", "remove_tree", "fork")
)
PROTOCOL = [
    "test_native",
    "test_sums",
    "test_deal_pairs",
    "test_deal_typed",
    "test_flat_map",
    "test_dealing",
    "test_typed",
    "test_frames",
    "test_stream",
    "test_vectors",
]
TESTS = [f"protocol/{name}" for name in PROTOCOL] + [
    "driver/test_attacks",
    "driver/test_external",
    "driver/test_supervise",
    "engine/test_sort_memory",
    "classic/test_frame_sums",
]
LIBDISCO = ["test_faults", "test_libdisco", "test_pipes", "test_streams"]


def main(minimum: float) -> bool:
    """Measure and print; is every file good enough?"""
    with tempfile.TemporaryDirectory(prefix="kvproto-coverage-") as name:
        libdisco, package = Path(name) / "libdisco", Path(name) / "package"
        libdisco.mkdir()
        run_tests(
            [HERE / f"{test}.py" for test in LIBDISCO],
            "-k",
            "not sanitized",
            DISCO_COVERAGE=str(libdisco),
        )
        build_package(package)
        run_tests([ROOT / "tests" / f"{test}.py" for test in TESTS], PYTHONPATH=str(package))
        table = [coverage_of(libdisco, source) for source in LIBRARY if source not in CORE]
        table += [coverage_of(package, source) for source in [*CORE, *NATIVE, FORK]]
        launch = package / "launch"
        table += [coverage_of(launch, SUPERVISE), coverage_of(launch, REMOVE_TREE, package)]
    for source, percent, n_lines in table:
        print(f"{percent:6.2f} % of {n_lines:3d} lines  {source.relative_to(ROOT)}")
    return all(percent >= minimum for _, percent, _ in table)


def run_tests(tests: list[Path], *options: str, **environment: str) -> None:
    # -P: the package is the installed one or its copy, not the sources in the current directory.
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        *options,
        *map(str, tests),
    ]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **environment})


def build_package(directory: Path) -> None:
    """A copy of the installed package whose C is measured, built as csrc/meson.build says."""
    package = directory / "kvproto"
    shutil.copytree(Path(kvproto.__file__).parent, package)
    binding = directory / "_disco.c"
    subprocess.run(
        [
            sys.executable,
            CSRC / "native/bind.py",
            binding,
            ROOT / "include/disco.h",
            CSRC / "native/native.h",
        ],
        check=True,
    )
    [module] = package.glob("_disco.*.so")
    python = [
        f"-I{sysconfig.get_path('include')}",
        "-DPy_LIMITED_API=0x030b0000",
        "-fvisibility=hidden",
    ]
    # Objects beside their notes, by gcc's own rule: it compiles in the current directory.
    sources = [binding, *NATIVE, *CORE, FORK, REMOVE_TREE]
    compile_measured(directory, [*python, "-fPIC", "-c", *sources])
    compile_measured(
        directory, ["-shared", *(f"{source.stem}.o" for source in sources), "-o", module]
    )
    core = [f"{source.stem}.o" for source in CORE]
    compile_measured(directory, [HERE / "core.c", *core, "-o", "core"])
    subprocess.run([directory / "core"], check=True)
    # As GNU C, gcc has fork() and exec() write the counts first; faults.c sees to _exit().
    launch = directory / "launch"
    launch.mkdir()
    compile_measured(launch, ["-std=gnu11", "-c", SUPERVISE, REMOVE_TREE, HERE / "faults.c"])
    objects = ["supervise.o", "remove_tree.o", "faults.o", *WRAPPED, "-Wl,-u,__gcov_dump"]
    compile_measured(launch, [*objects, "-o", package / "bin" / "supervise"])


def compile_measured(directory: Path, arguments: list) -> None:
    subprocess.run([*MEASURED, *arguments], check=True, cwd=directory)


def coverage_of(directory: Path, source: Path, *others: Path) -> tuple[Path, float, int]:
    """(source, percent of its lines that ran, number of its lines); the others are printed.

    A source that was compiled in `others` too is taken together.
    """
    lines = lines_of(directory, source)
    for other in others:
        counts = lines_of(other, source)
        lines = {line: lines[line] or counts[line] for line in lines}
    missed = [line for line, has_run in lines.items() if not has_run]
    for line in missed:
        print(f"not run: {source.name}:{line}")
    return source, 100 - 100 * len(missed) / len(lines), len(lines)


def lines_of(directory: Path, source: Path) -> dict[str, bool]:
    """ "number: text" of each line with code -> whether it ran."""
    command = ["gcov", "--stdout", f"{source.stem}.gcno"]
    text = subprocess.run(command, check=True, cwd=directory, capture_output=True, text=True).stdout
    _, is_there, text = text.partition(f":Source:{source}\n")
    if not is_there:
        raise SystemExit(f"gcov says nothing of {source}")
    counted = [line.split(":", 1) for line in text.partition(":Source:")[0].splitlines()]
    return {
        line[1].strip(): line[0].strip() != "#####" for line in counted if line[0].strip() != "-"
    }


if __name__ == "__main__":
    minimum = float(os.environ.get("MINIMUM", "95"))
    if not main(minimum):
        sys.exit(f"coverage: a file is under {minimum:g} %")
