"""A worker that flushes after every write, as the original library's programs do: against a driver
that waits for each list.

What waiting costs is the price of a wake-up, and that depends on where the scheduler puts the two:
on one core it is a switch, across two cores many times that. Both are measured. What this worker
can do at all is what it does in a shell pipe.
"""

import os
import shlex
import subprocess

from measure import alternate, directory, kvproto_map, pair_file, row, run, worker

N_WAITED = 20_000
N_PAIRS = 1_000_000
PAIR_BYTES, LIST_BYTES = 24, 28


def wait_for_each_list(command, pairs):
    """The least that a lock-step driver can do, and no more: no decoding, no checks, sizes known
    beforehand.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        stdin, stdout = process.stdin.fileno(), process.stdout.fileno()
        os.write(stdin, b"0\n")
        for at in range(0, N_WAITED * PAIR_BYTES, PAIR_BYTES):
            os.write(stdin, pairs[at : at + PAIR_BYTES])
            n_bytes = 0
            while n_bytes < LIST_BYTES:
                n_bytes += len(os.read(stdout, LIST_BYTES))
        process.stdin.close()


def wait_across_cores(program, pairs, cores):
    """The same with this process on one core and the worker on another."""
    os.sched_setaffinity(0, cores[:1])
    try:
        wait_for_each_list(["taskset", "-c", str(cores[1]), program, "map"], pairs)
    finally:
        os.sched_setaffinity(0, cores)


def main():
    program = worker("flush_each_write.c", directory())
    path = pair_file(directory(), N_PAIRS, 8, 8)
    in_a_pipe = f'(printf "0\\n"; cat) | {shlex.quote(str(program))} map | cat'
    with open(path, "rb") as f:
        pairs = f.read(N_WAITED * PAIR_BYTES)
    cores = sorted(os.sched_getaffinity(0))
    calls = [
        lambda: run(kvproto_map(program), path),
        lambda: run(["sh", "-c", in_a_pipe], path),
        lambda: wait_for_each_list([program, "map"], pairs),
    ]
    if len(cores) > 1:
        calls.append(lambda: wait_across_cores(program, pairs, cores))
    ours, piped, *waiting = alternate(*calls, rounds=3)
    row("M pairs/s", N_PAIRS / ours / 1e6)
    row("times the speed of the same worker in a shell pipe", piped / ours)
    for where, taken in zip(
        ("where the scheduler puts it", "across two cores"), waiting, strict=False
    ):
        row(
            f"times a driver that waits, {where}",
            (N_PAIRS / ours) / (N_WAITED / taken),
            "{:.1f}",
            at_least=20,
        )


main()
