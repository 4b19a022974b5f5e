"""`pytest --kv-worker`: the cases as tests, in a pytest of its own, as a user runs it."""

import subprocess
import sys

import pytest
from support import catalogue

pytestmark = pytest.mark.slow

RAW = f"--kv-file={catalogue.HERE / 'raw.py'}"
LATE = f"--kv-worker={catalogue.HERE / 'answers_late.py'}"

OWN = """
from hypothesis import HealthCheck, given, settings
from kvproto.conformance import Setting, ahead, fault_of, pairs


@given(pairs())
@settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_any_pairs(kv_play, kv_params, some):
    trace = kv_play(ahead(Setting("map", tuple(kv_params.items())), some))
    assert fault_of(trace) is None
    assert trace.lists.n_records == len(some)
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest in a directory with a test of the user's own; the finished process."""
    (tmp_path / "test_own.py").write_text(OWN)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")

    def call(*arguments):
        argv = [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *map(str, arguments),
        ]
        return subprocess.run(
            argv,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return call


def test_each_case_is_a_test_and_a_good_worker_passes_all(run, identity):
    done = run(
        "-v", f"--kv-worker={identity}", "--kv-mode=map", "--kv-examples=5", "-k", "not 16-mib"
    )
    assert done.returncode == 0, done.stdout
    assert f"{identity}::MAP-lockstep[map] PASSED" in done.stdout
    assert "test_own.py::test_any_pairs PASSED" in done.stdout
    assert "[reduce]" not in done.stdout


def test_a_failure_shows_the_report_of_the_kit_and_keeps_its_evidence(run, tmp_path):
    done = run(LATE, RAW, "-k", "MAP-lockstep and not MAP-lockstep-")
    assert done.returncode == 1
    assert (
        "FAIL  MAP-lockstep (map)  MUST  MAP-4" in done.stdout
        and "you answer one pair late" in done.stdout
    )
    assert "1 failed" in done.stdout and "Traceback" not in done.stdout
    assert (tmp_path / "kvproto-check" / "MAP-lockstep.map" / "repro.sh").exists()


def test_known_failures_are_expected_and_must_fail(run, tmp_path):
    known = tmp_path / "known"
    known.write_text("MAP-lockstep  # soon\nMAP-no-pairs.map\n")
    done = run(
        "-rx",
        LATE,
        RAW,
        f"--kv-known-failing={known}",
        "-k",
        "MAP-no-pairs or (MAP-lockstep and not -lockstep-)",
    )
    assert done.returncode == 1
    assert "1 failed, " in done.stdout and "1 xfailed" in done.stdout
    assert "FIXED MAP-no-pairs (map)" in done.stdout


def test_a_case_that_does_not_apply_is_skipped_with_its_reason(run):
    worker = f"--kv-worker={catalogue.HERE / 'swallows_input.py'}"
    done = run("-rs", worker, RAW, "--kv-mode=reduce", "-k", "LIFECYCLE-full-stdout and not midway")
    assert "1 skipped" in done.stdout and "it writes nothing to stdout" in done.stdout


def test_parameters_and_arguments_reach_the_worker(run, tmp_path):
    worker = tmp_path / "my worker"
    worker.write_text(
        "#!/usr/bin/env python3\nimport sys\nimport raw\n"
        'assert sys.argv[1:-1] == ["an argument"] and raw.read_params() == b"1 a 3 b c\\n"\n'
        "while size := raw.stdin.read(4):\n"
        "    key = raw.take(*raw.struct.unpack('<I', size))\n"
        "    raw.write(raw.result_list((key, raw.take(*raw.struct.unpack('<I', raw.take(4))))))\n"
    )
    worker.chmod(0o755)
    done = run(
        f"--kv-worker='{worker}' 'an argument'",
        "--kv-param=a=b c",
        RAW,
        "-k",
        "any_pairs or MAP-ahead",
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_without_a_worker_there_are_no_cases_and_what_needs_one_is_skipped(run):
    done = run("-rs")
    assert done.returncode == 0
    assert "1 skipped" in done.stdout and "pytest --kv-worker ./worker" in done.stdout


def test_a_wrong_parameter_is_a_usage_error(run, identity):
    done = run(f"--kv-worker={identity}", "--kv-param=x", "-k", "MAP-ahead")
    assert "--kv-param 'x' is not KEY=VALUE" in done.stdout + done.stderr and done.returncode != 0


def test_a_variable_of_the_environment_reaches_the_worker_when_it_is_handed_on(
    run, tmp_path, monkeypatch
):
    monkeypatch.setenv("FOR_THE_WORKER", "1")
    worker = tmp_path / "worker"
    worker.write_text('#!/bin/sh\n[ "$FOR_THE_WORKER" ] && exec cat > /dev/null\nexit 3\n')
    worker.chmod(0o755)
    arguments = (f"--kv-worker={worker}", "--kv-mode=reduce", "-k", "LIFECYCLE-exit-status")
    assert run(*arguments).returncode == 1
    assert run("--kv-env=FOR_THE_WORKER", *arguments).returncode == 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--kv-env=NOT_SET_HERE", "NOT_SET_HERE: it is not set"),
        ("--kv-file=no-such-file", "no-such-file"),
        ("--kv-known-failing=no-such-file", "no-such-file"),
        ("--kv-param=x", "--kv-param 'x' is not KEY=VALUE"),
        ("--kv-worker=./worker 'argument", """--kv-worker "./worker 'argument": No closing"""),
        ("--kv-worker=  ", "--kv-worker '  ' names no program"),
        ("--kv-worker=", "--kv-worker '' names no program"),
        ("--kv-timeout=-1", "--kv-timeout -1 is not a number of seconds above 0"),
        ("--kv-timeout=nan", "--kv-timeout nan is not a number of seconds above 0"),
    ],
)
def test_an_option_that_is_wrong_is_one_usage_error(run, identity, option, words):
    done = run(f"--kv-worker={identity}", option)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.startswith("ERROR: ") and words in done.stderr
