"""libdisco: an echo worker in a shell pipe, by the three ways to read and write.

The classic functions with sight of glibc's buffers, the same on the portable way, which knows
nothing of them and flushes before every read, and a `disco_stream`.
"""

import shlex
import subprocess

from measure import ROOT, alternate, directory, pair_file, row, run

N_PAIRS = 1_000_000
SOURCES = [path for path in (ROOT / "csrc/libdisco").glob("*.c") if path.name != "probe_stdio.c"]


def build(name: str, program: str, *flags: str) -> str:
    """Compile a program of tests/libdisco with libdisco; returns its path, quoted."""
    target = directory() / name
    source = ROOT / "tests/libdisco" / program
    include = f"-I{ROOT / 'include'}"
    subprocess.run(
        ["gcc", "-O3", "-std=c11", include, *flags, source, *SOURCES, "-pthread", "-o", target],
        check=True,
    )
    return shlex.quote(str(target))


def main():
    glibc = f"{build('glibc', 'script.c', '-DDISCO_STDIO_GLIBC')} echo"
    portable = f"{build('portable', 'script.c')} echo"
    stream = f"{build('stream', 'streams.c', '-DDISCO_STDIO_GLIBC')} echo 0 1"
    for key_size, value_size in (8, 8), (16, 100):
        path = pair_file(directory(), N_PAIRS, key_size, value_size)
        calls = [
            lambda worker=worker, path=path: run(["sh", "-c", f"cat | {worker} | cat"], path)
            for worker in (glibc, portable, stream)
        ]
        classic, slow, by_stream = alternate(*calls, rounds=5)
        size = f"{key_size}+{value_size}"
        row(f"{size}, M pairs/s", N_PAIRS / classic / 1e6)
        row(f"{size}, times the portable way", slow / classic)
        row(f"{size}, a disco_stream, times read_kv and write_kv", classic / by_stream)


main()
