"""The counts in an error are true, and the same in every run: no descriptor decides by chance."""

import pytest
from support import catalogue

from kvproto import ExternalProgram, encode_pairs, errors

PAIRS = [(b"key %d" % index, b"value") for index in range(100)]

THREE = r"""
#include <disco.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Answers three pairs, and fails at the next one in the way that its first argument names. */
int main(int argc, char **argv)
{
    p_entry *key = NULL, *value = NULL;
    volatile char *nothing = NULL;
    disco_params_free(disco_params_read());
    for (int n_pairs = 0; read_kv(&key, &value); n_pairs++) {
        if (n_pairs == 3 && argc > 1) {
            fflush(stdout);
            if (strstr(argv[1], "text") != NULL && write(1, "done with 3\n", 12) != 12)
                return 9;
            if (strstr(argv[1], "err") != NULL)
                fputs("**<ERR> no such word\n", stderr);
            if (strstr(argv[1], "crash") != NULL)
                *nothing = 1;
            _exit(strstr(argv[1], "exit0") != NULL ? 0 : 1);
        }
        write_num_prefix(1);
        write_kv(key, value);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    directory = tmp_path_factory.mktemp("three")
    source = directory / "three.c"
    source.write_text(THREE)
    return catalogue.compile_worker(source, directory / "three")


def frames(worker):
    return worker.map_frames([encode_pairs(PAIRS)])


def pairs(worker):
    return worker.map(PAIRS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("err", "WorkerReported"),
        ("err-exit0", "WorkerReported"),
        ("text-err", "WorkerReported"),
        ("text", "WorkerWroteText"),
        ("crash", "WorkerCrashed"),
        ("exit0", "WorkerExitedEarly"),
        ("exit1", "WorkerExitedEarly"),
    ],
)
@pytest.mark.parametrize("run", [pairs, frames], ids=lambda run: run.__name__)
def test_a_failure_after_three_answers_is_at_number_3_in_each_of_many_runs(how, error, run, three):
    reports = set()
    for _ in range(12):
        with ExternalProgram([three], args=[how]) as worker:
            with pytest.raises(errors.WorkerError) as caught:
                list(run(worker))
            failed = caught.value
            reports.add((type(failed).__name__, failed.pair_index, failed.record, str(failed)))
    assert [report[:3] for report in reports] == [(error, 3, (3, *PAIRS[3], 0, None))]


@pytest.mark.clause("STDERR-7")
def test_an_err_line_after_wrong_output_is_the_error(three):
    with (
        ExternalProgram([three], args=["text-err"]) as worker,
        pytest.raises(errors.WorkerReported, match="no such word"),
    ):
        list(worker.map(PAIRS))
