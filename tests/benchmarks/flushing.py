"""A worker that flushes after every write, as the original library's programs do: against a driver that waits for each list."""

import os
import subprocess

from measure import alternate, directory, kvproto_map, pair_file, row, run, worker

N_WAITED = 50_000
N_PAIRS = 1_000_000
PAIR_BYTES, LIST_BYTES = 24, 28


def wait_for_each_list(program, pairs):
    """The least that a lock-step driver can do, and no more: no decoding, no checks, sizes known beforehand."""
    with subprocess.Popen([program, "map"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        stdin, stdout = process.stdin.fileno(), process.stdout.fileno()
        os.write(stdin, b"0\n")
        for at in range(0, N_WAITED * PAIR_BYTES, PAIR_BYTES):
            os.write(stdin, pairs[at : at + PAIR_BYTES])
            n_bytes = 0
            while n_bytes < LIST_BYTES:
                n_bytes += len(os.read(stdout, LIST_BYTES))
        process.stdin.close()


def main():
    program = worker("flush_each_write.c", directory())
    path = pair_file(directory(), N_PAIRS, 8, 8)
    with open(path, "rb") as f:
        pairs = f.read(N_WAITED * PAIR_BYTES)
    ours, waiting = alternate(
        lambda: run(kvproto_map(program), path), lambda: wait_for_each_list(program, pairs), rounds=3
    )
    row("M pairs/s", N_PAIRS / ours / 1e6)
    row("M pairs/s, waiting for each list", N_WAITED / waiting / 1e6, "{:.3f}")
    row("times a driver that waits", (N_PAIRS / ours) / (N_WAITED / waiting), "{:.1f}", at_least=20)


main()
