"""`kvproto check` from outside: reports, exit statuses, evidence that replays without kvproto."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import catalogue
from support.command_line import kvproto_command

pytestmark = pytest.mark.slow

MUTANTS = catalogue.HERE / "conformance"
RAW = ("-f", catalogue.HERE / "raw.py")


LOGS = """#!{python} -IS
import os, struct
def take(n):
    data = b""
    while len(data) < n and (piece := os.read(0, n - len(data))):
        data += piece
        os.write(log, piece)
    return data
log = os.open("{log}", os.O_WRONLY | os.O_APPEND)
try:
    head = take(2)
    while size := take(4):
        pair = size
        for item in "key", "value":
            n, = struct.unpack("<I", size)
            data = take(n)
            size = take(4) if item == "key" else b""
            pair += data + size
            if len(data) < n:
                os._exit(1)
        answer = memoryview(b"\\1\\0\\0\\0" + pair)
        while answer:
            answer = answer[os.write(1, answer):]
except (struct.error, OSError):
    os._exit(1)
os._exit(len(head) != 2)
"""
"""A worker that returns each pair and appends all its input to a file."""


@pytest.fixture(scope="session")
def fast(tmp_path_factory):
    """Copy a Python worker with a first line that starts it fast; leave other arguments alone."""
    directory = tmp_path_factory.mktemp("fast")

    def copy(argument):
        if not isinstance(argument, Path) or argument.suffix != ".py" or argument.name == "raw.py":
            return str(argument)
        path = directory / argument.name
        path.write_bytes(catalogue.with_interpreter(argument.read_bytes()))
        path.chmod(0o755)
        return str(path)

    return copy


@pytest.fixture
def check(tmp_path, fast):
    """Run `kvproto check` in a directory of its own; the finished process."""

    def run(*arguments):
        done = kvproto_command("check", *map(fast, arguments), cwd=tmp_path)
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return run


def test_a_worker_that_conforms_ends_in_0_and_leaves_nothing(check, identity, tmp_path):
    done = check("--", identity)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{identity} conforms. ")
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_does_not_conform_ends_in_1_and_its_report_says_what_to_do(check):
    done = check(*RAW, "-k", "map-*", "--", catalogue.HERE / "prints_between.py")
    assert (done.returncode, done.stderr) == (1, "")
    head, *lines = done.stdout.splitlines()
    assert head == "FAIL  MAP-lists-alone (map)  MUST  MAP-3"
    assert "      got       'done with pair 0' at byte 14" in lines
    assert '      > 000e  64 6f 6e 65 20 77 69 74 68 20 70 61   "done with pa"' in lines
    assert "              ^^ the first wrong byte" in lines
    assert any("text on stdout: your program printed `done with pair 0`" in line for line in lines)
    assert "does not conform: 1 fault." in lines[-1]


def test_where_all_sizes_are_wrong_the_first_byte_is_marked(check):
    done = check(*RAW, "-k", "MAP-one*", "--", MUTANTS / "writes_big_endian.py")
    assert "      > 0000  00 00 00 01" in done.stdout and "sizes look big-endian" in done.stdout


def test_the_evidence_is_played_again_with_and_without_kvproto(check, tmp_path):
    check(*RAW, "-k", "MAP-cut-input", "--", MUTANTS / "cut_input_is_fine.py")
    evidence = tmp_path / "kvproto-check" / "MAP-cut-input.map"
    assert (evidence / "stdin").read_bytes() == b"0\n\1"
    repro = subprocess.run(
        [evidence / "repro.sh"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert repro.stdout.startswith("exit status: 0\nstdout, 0 bytes")
    again = check("--replay", evidence)
    assert again.returncode == 1 and again.stdout.startswith("FAIL  MAP-cut-input (map)")
    mended = check("--replay", evidence, "--", catalogue.HERE / "echo.py")
    assert mended.returncode == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda facts: [],
        lambda facts: {**facts, "case": "MAP-nothing"},
        lambda facts: {**facts, "schedules": [{**facts["schedules"][0], "argument": None}]},
        lambda facts: {
            **facts,
            "schedules": [{**facts["schedules"][0], "steps": [["Answers", "a"], ["Exit"]]}],
        },
        lambda facts: {
            **facts,
            "schedules": [{**facts["schedules"][0], "steps": [["Send", "AA==", "a"], ["Exit"]]}],
        },
    ],
)
def test_evidence_that_is_damaged_is_told_and_not_played(damage, check, tmp_path):
    check(*RAW, "-k", "MAP-cut-input", "--", MUTANTS / "cut_input_is_fine.py")
    evidence = tmp_path / "kvproto-check" / "MAP-cut-input.map"
    facts = json.loads((evidence / "schedule.json").read_text())
    (evidence / "schedule.json").write_text(json.dumps(damage(facts)))
    done = check("--replay", evidence)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr.startswith("kvproto: ")
        and str(evidence) in done.stderr
        and "Traceback" not in done.stderr
    )


def test_repro_shows_an_answer_that_is_held_back(check, tmp_path):
    check(*RAW, "-k", "MAP-lockstep", "--", catalogue.HERE / "answers_late.py")
    script = tmp_path / "kvproto-check" / "MAP-lockstep.map" / "repro.sh"
    repro = subprocess.run([script], capture_output=True, text=True, check=False)
    assert "seconds after the first 12 bytes of stdin: 0 bytes" in repro.stderr
    assert repro.stdout.startswith("exit status: 0\nstdout, 42 bytes")


def test_a_verdict_that_needs_two_runs_is_played_again(check, tmp_path):
    done = check(
        *RAW, "--mode", "reduce", "-k", "*-full-stdout", "--", MUTANTS / "ignores_write_errors.py"
    )
    evidence = tmp_path / "kvproto-check" / "LIFECYCLE-full-stdout.reduce"
    assert done.returncode == 1
    assert len(json.loads((evidence / "schedule.json").read_text())["schedules"]) == 2
    assert check("--replay", evidence).returncode == 1


def test_what_does_not_apply_is_not_passed(check):
    done = check(
        *RAW, "--mode", "reduce", "-k", "*-full-stdout", "--", catalogue.HERE / "swallows_input.py"
    )
    assert done.returncode == 0
    assert "n/a   LIFECYCLE-full-stdout (reduce): it writes nothing to stdout" in done.stdout
    assert "1 check: 0 pass, 0 fail, 1 not applicable" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--"], 2, "no worker"),
        (["--mode", "neither", "--", "./x"], 2, "neither"),
        (["--examples", "-1", "--", "./x"], 2, "is not a number of schedules"),
        (["--known-failing", "nowhere", "--", str(catalogue.HERE / "echo.py")], 2, "nowhere"),
        (["--replay", "nowhere"], 2, "nowhere"),
        (["--", "./no-such-worker"], 3, "no such file"),
        (["--", "  "], 3, "the path is blank"),
        (["--", str(catalogue.HERE / "no_interpreter.sh")], 3, "/no/such/interpreter"),
        (["--", "python3", "x.py"], 3, "give the path of the script"),
        (["-k", "NO-SUCH-CASE", "--", str(catalogue.HERE / "echo.py")], 4, "no case"),
        (["--explain", "NO-SUCH-CASE"], 4, "no case"),
    ],
)
def test_each_way_not_to_check_has_its_exit_status(check, arguments, status, words):
    done = check(*arguments)
    assert done.returncode == status
    assert words in done.stderr and "Traceback" not in done.stderr


def test_list_and_explain_tell_of_cases(check):
    listed = check("--list", "--level", "info").stdout.splitlines()
    assert any(
        line.startswith("MAP-lockstep ") and " MUST " in line and " MAP-4 " in line
        for line in listed
    )
    explained = check("--explain", "map-lockstep").stdout
    assert (
        "a pair is answered before the worker waits for the next one" in explained
        and 'key "a"' in explained
    )


def test_levels_choose_what_counts(check):
    untagged = (*RAW, "-k", "STDERR-*", "--", MUTANTS / "untagged_line.py")
    assert check(*untagged).returncode == 0
    assert check("--level", "should", *untagged).returncode == 1
    noted = check(*RAW, "--level", "info", "-k", "*-environment", "--", MUTANTS / "needs_home.py")
    assert noted.returncode == 0 and "note  LIFECYCLE-empty-environment (map)" in noted.stdout


def test_known_failures_must_fail(check, tmp_path):
    known, late = (
        tmp_path / "known",
        (*RAW, "--mode", "map", "--", catalogue.HERE / "answers_late.py"),
    )
    known.write_text("# soon\nMAP-lockstep.map  # flush\n\n")
    told = check("--known-failing", known, "-k", "MAP-lockstep", *late)
    assert told.returncode == 0 and "known MAP-lockstep (map): it waits for pair 2" in told.stdout
    assert "1 check: 0 pass, 0 fail, 1 known" in told.stdout
    mended = check("--known-failing", known, "-k", "MAP-lockstep", "--", catalogue.HERE / "echo.py")
    assert mended.returncode == 1 and "FIXED MAP-lockstep (map)" in mended.stdout
    assert "does not conform: 1 known failure that passes" in mended.stdout
    known.write_text("MAP-lockstep.reduce\n")
    wrong = check("--known-failing", known, *late)
    assert (
        wrong.returncode == 2
        and f"{known}, line 1: 'MAP-lockstep.reduce' is not a case" in wrong.stderr
    )


def test_a_worker_of_the_contract_is_judged_to_the_byte(check, tmp_path):
    echo = catalogue.HERE / "echo.py"
    assert check("-k", "*-empty-key", "--contract", "reference", "--", echo).returncode == 0
    done = check("--mode", "map", "-k", "map-fan", "--contract", "reference", "--", echo)
    assert done.returncode == 1 and "it does not answer as do=fan says" in done.stdout
    again = check("--replay", tmp_path / "kvproto-check" / "MAP-fan.map")
    assert again.returncode == 1 and "it does not answer as do=fan says" in again.stdout
    assert (
        check("-k", "map-fan", "--", echo).returncode == 4
    )  # without the contract there is no such case


def test_parameters_are_sent_before_the_pairs_of_every_case(check, tmp_path):
    worker = tmp_path / "worker"
    worker.write_text(
        "#!/usr/bin/env python3\nimport raw\n"
        "assert raw.read_params() == b'1 a 3 = b\\n'\n"
        "while size := raw.stdin.read(4):\n"
        "    key = raw.take(*raw.struct.unpack('<I', size))\n"
        "    raw.write(raw.result_list((key, raw.take(*raw.struct.unpack('<I', raw.take(4))))))\n"
    )
    worker.chmod(0o755)
    assert check(*RAW, "-p", "a== b", "-k", "MAP-lock*", "--", worker).returncode == 0
    assert check(*RAW, "-k", "MAP-lockstep", "--", worker).returncode == 1
    assert check("-p", "a", "--", worker).returncode == 2


def test_the_seed_says_which_schedules_are_drawn(check, tmp_path):
    worker, log = tmp_path / "worker", tmp_path / "log"
    worker.write_text(LOGS.format(python=sys.executable, log=str(log)))
    worker.chmod(0o755)
    stdin = []
    for seed in ("1", "1", "2"):
        log.write_bytes(b"")
        done = check("-k", "MAP-drawn", "--examples", "8", "--seed", seed, "--", worker)
        assert done.returncode == 0, done.stdout
        stdin.append(log.read_bytes())
    assert stdin[0] == stdin[1] != stdin[2]


def test_the_same_seed_ends_in_the_same_evidence(check, tmp_path):
    arguments = (*RAW, "-k", "MAP-drawn", "--mode", "map", "--examples")
    worker = MUTANTS / "short_reads.py"
    none = check(*arguments, "0", "--", worker)
    assert none.returncode == 0 and "n/a   MAP-drawn" in none.stdout
    evidence = []
    for _ in range(2):
        assert check(*arguments, "40", "--seed", "1", "--", worker).returncode == 1
        path = tmp_path / "kvproto-check" / "MAP-drawn.map" / "schedule.json"
        evidence.append(path.read_text())
    assert evidence[0] == evidence[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kvproto-check"]


def test_a_driver_is_checked_through_its_adapter(check, tmp_path):
    adapter = (sys.executable, "-P", "-m", "kvproto.conformance.drivers.adapter")
    done = check("--driver", "-k", "FRAME-*", "--", *adapter)
    assert done.returncode == 0 and "adapter conforms. " in done.stdout
    bad = check("--driver", "-k", "FRAME-pairs", "--mode", "map", "--", "/bin/cat")
    assert bad.returncode == 1 and "FAIL  FRAME-pairs (map)" in bad.stdout
    assert (tmp_path / "kvproto-check" / "FRAME-pairs.map" / "repro.sh").exists()
    assert check("--driver", "--", "/no/such/adapter").returncode == 3
    for option in (
        ("--known-failing", "x"),
        ("-p", "a=b"),
        ("-f", "x"),
        ("--seed", "1"),
        ("--replay", "x"),
    ):
        refused = check("--driver", *option, "--", *adapter)
        assert refused.returncode == 2 and " is for workers" in refused.stderr, option
    assert (
        "answers that come before their pairs"
        in check("--driver", "--explain", "MAP-unasked").stdout
    )


def test_after_some_hangs_that_cannot_be_proved_the_rest_is_asked_with_less_patience(
    check, tmp_path
):
    worker = catalogue.HERE / "never_reads.sh"
    done = check(
        "--timeout", "0.5", "--mode", "map", "-k", "MAP-*", "--json", "report", "--", worker
    )
    assert done.returncode == 1
    results = json.loads((tmp_path / "report").read_text())["results"]
    assert {result["status"] for result in results} == {"fail"}
    patience = [
        re.search(r"no byte moved for (.*) s", result["finding"]["got"])[1] for result in results
    ]
    assert patience.count("0.5") >= 6 and "0.05" in patience


def test_a_variable_of_the_environment_reaches_the_worker_only_when_it_is_handed_on(
    check, tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    worker = tmp_path / "worker"
    worker.write_text(
        "#!/usr/bin/env python3\nimport raw\n"
        "for pair in raw.read_pairs():\n    raw.stdout.write(raw.result_list(pair))\n"
    )
    worker.chmod(0o755)
    never_flushes = ("-k", "MAP-lockstep", *RAW, "--", worker)
    assert check(*never_flushes).returncode == 1
    handed_on = check("--env", "PYTHONUNBUFFERED", *never_flushes)
    assert handed_on.returncode == 0, handed_on.stdout
    repro = tmp_path / "kvproto-check" / "MAP-lockstep.map" / "repro.sh"
    assert "0 bytes" in subprocess.run([repro], capture_output=True, text=True, check=False).stderr
    for name, words in (
        ("NOT_SET_HERE", "is not set"),
        ("A=b", "is not the name of an environment variable"),
    ):
        refused = check("--env", name, *never_flushes)
        assert refused.returncode == 2 and words in refused.stderr


def test_where_proc_tells_nothing_a_correct_worker_conforms_and_what_cannot_be_seen_does_not_apply(
    tmp_path,
):
    argv = [
        sys.executable,
        "-P",
        "-m",
        "kvproto",
        "check",
        "--level",
        "info",
        "--timeout",
        "1",
        "--mode",
        "map",
    ]
    script = 'mount -t tmpfs none /proc || exit 77; exec "$@"'
    command = [
        "unshare",
        "-m",
        "sh",
        "-c",
        script,
        "sh",
        *argv,
        "-k",
        "*-[bf][ol][ta]*",
        "--",
        catalogue.HERE / "echo.pl",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or done.returncode == 77:
        pytest.skip("no mounts may be made here")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for case in ("MAP-both-full", "LIMITS-flat-memory"):
        assert (
            f"n/a   {case} (map): the /proc of this machine does not show what the worker is doing"
            in done.stdout
        )
