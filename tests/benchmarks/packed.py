"""Compressed text: the job with map and reduce in C over it, and the same job over plain text."""

import importlib.util
import shutil
import sys

from measure import left_out, n_text_bytes, row, run, run_in_turn
from words import count, expected_counts, job_in_c, set_environment, zipf_text


def main():
    set_environment()
    text = zipf_text(n_text_bytes())
    expected = expected_counts(text)
    measure_gzip(text, expected)
    if shutil.which("zstd"):
        measure_zstd(text, expected)
    else:
        left_out("text.zst: zstd")


def measure_gzip(text, expected):
    """The job takes no longer than to unpack the text first, by isal where it is installed."""
    packed = text.with_suffix(".gz")
    run(["gzip", "-c"], text, packed)
    unpack, command = "gzip -dc", ["gzip", "-dc"]
    if importlib.util.find_spec("isal"):
        unpack, command = "isal", [sys.executable, "-m", "isal.igzip", "-d", "-c"]
    plain, unpacking, ours = run_in_turn(
        lambda: count(job_in_c("reduce", text), expected),
        lambda: run(command, packed),
        lambda: count(job_in_c("reduce", packed), expected),
    )
    ratio = ours.seconds / (unpacking.seconds + plain.seconds)
    row(f"text.gz, times {unpack} and the job on text", ratio, at_most=1.15)


def measure_zstd(text, expected):
    packed = text.with_suffix(".zst")
    run(["zstd", "-q", "-c"], text, packed)
    plain, ours = run_in_turn(
        lambda: count(job_in_c("reduce", text), expected),
        lambda: count(job_in_c("reduce", packed), expected),
    )
    row("text.zst, times the job on text", ours.seconds / plain.seconds, at_most=1.2)


main()
