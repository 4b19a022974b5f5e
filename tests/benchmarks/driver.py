"""The driver: `kvproto map --in kv --out kv -- identity`, whole process from start to exit, a file
to /dev/null.
"""

from measure import alternate, directory, kvproto_map, pair_file, row, run, worker


def main():
    identity = worker("identity.c", directory())
    command = kvproto_map(identity)

    small = pair_file(directory(), 5_000_000, 8, 8)
    peaks = []
    ours, cat = alternate(
        lambda: peaks.append(run(command, small).peak_bytes),
        lambda: run(["sh", "-c", "cat | cat"], small),
    )
    row("5 M pairs of 8+8, M pairs/s", 5 / ours, at_least=6)
    row("5 M pairs of 8+8, times the time of `cat | cat`", ours / cat)

    large = pair_file(directory(), 2_000_000, 16, 100)
    ours, cat = alternate(
        lambda: peaks.append(run(command, large).peak_bytes),
        lambda: run(["sh", "-c", "cat | cat"], large),
    )
    row("2 M pairs of 16+100, times the time of `cat | cat`", ours / cat, at_most=2.5)
    row("2 M pairs of 16+100, MB/s", large.stat().st_size / ours / 1e6, "{:.0f}")
    row("peak memory, MB", max(peaks) / 1e6, "{:.0f}", at_most=150)

    four_times = pair_file(directory(), 8_000_000, 16, 100)
    row(
        "peak memory at four times the input, MB",
        run(command, four_times).peak_bytes / 1e6,
        "{:.0f}",
        at_most=150,
    )
    four_times.unlink()

    lines = directory() / "lines"
    lines.write_bytes(b"the quick brown fox jumps over the lazy dog\n" * 2_000_000)
    ours, cat = alternate(
        lambda: run(kvproto_map(identity, "lines", "text"), lines),
        lambda: run(["sh", "-c", "cat | cat"], lines),
        rounds=3,
    )
    row("2 M lines to text, M lines/s", 2 / ours)


main()
