"""Around the cases for drivers: adapters that do not do their part, the report, the evidence, the
end of a check.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support import driver_mutants as mutants

import kvproto
from kvproto.conformance.drivers.case import explain
from kvproto.conformance.drivers.cases import CASES
from kvproto.conformance.drivers.play import play
from kvproto.conformance.drivers.request import Request, read
from kvproto.conformance.drivers.runner import keep, run
from kvproto.conformance.report.parts import failures
from kvproto.conformance.report.text import report
from kvproto.conformance.runner import select_from
from kvproto.errors import WorkerNotStarted

pytestmark = pytest.mark.slow

LONG = 60.0
SHORT = 0.2
PAGE = (Path(kvproto.__file__).parent / "conformance" / "drivers" / "ADAPTER.md").read_text(
    encoding="utf-8"
)


def of(pattern, modes=("map",)):
    return select_from(CASES, modes, "INFO", pattern)


def ignore(result):
    pass


def python(code):
    """An adapter of one line, which has read its request."""
    return [sys.executable, "-IS", "-c", f"import sys; sys.stdin.read(); {code}"]


@pytest.mark.parametrize(
    ("code", "clause", "words"),
    [
        ("", "ADAPTER-5", "not one JSON document"),
        ("import os; os.kill(os.getppid(), 9)", "ADAPTER-4", "it was killed"),
        ("print('[' * 100000)", "ADAPTER-5", "not one JSON document"),
        ("print('[]')", "ADAPTER-5", 'its "verdict" is neither'),
        ("""print('{"verdict": "yes"}')""", "ADAPTER-5", 'its "verdict" is neither'),
        ("""print('{"verdict": "success", "lists": [["k"]]}')""", "ADAPTER-6", "are malformed"),
        (
            """print('{"verdict": "success", "lists": [], "messages": [1]}')""",
            "ADAPTER-6",
            "are malformed",
        ),
        (
            """print('{"verdict": "error", "error": "no"}'); sys.exit(1)""",
            "ADAPTER-4",
            "exit status 1",
        ),
    ],
)
def test_an_adapter_that_gives_no_answer_is_told_what_it_lacks(code, clause, words):
    [result] = run(of("FRAME-pairs"), python(code), LONG, ignore)
    assert result.fails and result.verdict.clause == clause and words in result.verdict.what


def test_an_adapter_that_runs_nothing_is_told_so():
    [result] = run(
        of("LIFECYCLE-exit-1"),
        python("""print('{"verdict": "error", "error": "no"}')"""),
        LONG,
        ignore,
    )
    assert result.verdict.cause == "not started"


@pytest.mark.parametrize("adapter", [["./no-such-adapter"], [str(mutants.HERE)], ["{}"]])
def test_an_adapter_that_cannot_be_started_is_an_error(adapter, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(WorkerNotStarted):
        run(of("FRAME-pairs"), [part.format(broken) for part in adapter], LONG, ignore)


def test_after_some_times_that_the_watchdog_ended_it_the_rest_is_asked_with_less_patience():
    results = run(of("FRAME-*"), ["sleep", "1000"], SHORT, ignore)
    assert all(result.fails for result in results)
    assert [result.verdict.play.limit for result in results[:6]] == [SHORT] * 6
    assert results[-1].verdict.play.limit == SHORT / 3
    text = report("sleep", results, dict.fromkeys(names(results), "somewhere"))
    assert f"had not finished after {SHORT:g} s" in text


def names(results):
    return [f"{result.case.id}.{result.mode}" for result in results]


def test_an_end_in_the_middle_leaves_nothing(private):
    def end(result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            [*of("FRAME-pairs"), *of("LIFECYCLE-hangs-*") * 3],
            [*mutants.NAIVE, "has no limits of time"],
            LONG,
            end,
        )


def test_one_fault_is_one_report_that_marks_the_first_wrong_byte():
    results = run(of("FRAME-*s"), [*mutants.NAIVE, "writes big-endian"], LONG, ignore)
    assert sum(result.fails for result in results) > 3
    assert len(failures(results)) == 1
    text = report("./driver", results, dict.fromkeys(names(results), "somewhere"))
    assert text.startswith("FAIL  FRAME-pairs (map)  MUST  FRAME-3\n      pairs go out")
    assert "> 0002  00 00 00 01 61" in text and "the same fault in" in text
    assert "./driver does not conform: 1 fault." in text


@pytest.mark.parametrize("name", ["LIFECYCLE-exit-1", "FILES-directory"])
def test_the_evidence_is_played_again_without_kvproto(name, tmp_path):
    adapter = [*mutants.NAIVE, "ignores the exit status", "keeps the program's name"]
    [result] = run(of(name), adapter, LONG, ignore)
    keep(result, adapter, tmp_path / name)
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    repro = subprocess.run(
        [tmp_path / name / "repro.sh"], capture_output=True, text=True, env=environment, check=False
    )
    assert repro.stderr == ""
    assert (
        "exit status: 0" in repro.stdout
        and '"verdict": "success"' in repro.stdout
        and "000000 30 0a" in repro.stdout
    )
    assert (tmp_path / name / "stdin").read_bytes().startswith(b"0\n")


def test_the_documents_that_the_page_shows_are_what_is_said_and_read():
    request, answer = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    shown = Request("map", (("k", b"\xff\0"), "a line"), limits={"idle": 0.5})
    assert json.loads(shown.to_json(Path("/tmp/kit/program"), [], 300)) == json.loads(request)
    assert read(answer.encode()).lists == [[(b"k", b"\xff\0")], []]


def test_clauses_that_are_cited_are_on_the_page():
    folder = Path(kvproto.__file__).parent / "conformance" / "drivers"
    cited = {
        clause
        for path in folder.rglob("*.py")
        for clause in re.findall(r"ADAPTER-\d", path.read_text())
    }
    assert cited and all(f"**{clause}**" in PAGE for clause in cited)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_case_is_explained(case):
    text = explain(case)
    assert case.title in text and "the worker:" in text and max(map(len, text.splitlines())) < 140


def test_an_adapter_that_waits_for_ever_is_proved_to_hang():
    code = "import os; never, _ = os.pipe(); os.read(never, 1)"
    (result,) = run(of("FRAME-pairs"), python(code), LONG, ignore)
    assert result.verdict.cause == "FRAME-pairs: no end"
    assert "proved: all its processes wait" in result.verdict.got


@pytest.mark.parametrize(
    ("process", "seconds", "ending"),
    [("os.fork() or os.read(never, 1)", LONG, "stuck"), ("os.getppid()", 1.0, "watchdog")],
)
def test_only_the_end_of_one_of_its_own_processes_cannot_end_a_wait(process, seconds, ending):
    code = f"""
import os, select, sys
sys.stdin.read()
never, _ = os.pipe()
poll = select.poll()
poll.register(os.pidfd_open({process}))
poll.poll()
"""
    (result,) = run(of("FRAME-pairs"), [sys.executable, "-IS", "-c", code], seconds, ignore)
    assert result.verdict.play.ending == ending


def test_a_process_that_is_left_and_writes_without_end_does_not_delay_the_verdict():
    code = """
import os, sys
sys.stdin.read()
is_flooding, flooding = os.pipe()
if os.fork():
    os.close(flooding)
    os.read(is_flooding, 1)  # end of file
    os._exit(0)
while True:
    os.write(1, b"x" * (1 << 20))
    if flooding:
        flooding = os.close(flooding)
"""
    (result,) = run(of("FRAME-pairs"), [sys.executable, "-IS", "-c", code], LONG, ignore)
    assert result.verdict.clause == "ADAPTER-5"


def test_a_limit_that_expires_before_the_worker_has_done_its_part_is_tried_longer(tmp_path):
    code = f"""
import json, sys
limits = json.load(sys.stdin)["limits"]
print(limits["idle"], file=open({str(tmp_path / "limits")!r}, "a"))
print('{{"verdict": "error", "error": "out of time", "messages": []}}')
"""
    (result,) = run(of("LIFECYCLE-deaf"), [sys.executable, "-IS", "-c", code], 6.0, ignore)
    assert result.verdict is None
    limits = (tmp_path / "limits").read_text().split()
    assert list(map(float, limits)) == pytest.approx([0.3, 1.2, 4.8])


def test_a_case_whose_files_cannot_be_written_leaves_no_descriptor(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ((case, mode),) = of("FRAME-pairs")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="File name too long"):
        play(replace(case, files=(("x" * 256, b""),)), mode, python(""), LONG)
    assert os.listdir("/proc/self/fd") == before
    assert os.listdir(tmp_path) == []
