"""Report files of the kit: each form is read back and says of each result what it is, whatever a
worker wrote.
"""

import base64
import dataclasses
import json
import os
import stat
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from support import catalogue, driver_mutants, report_readers
from support import conformance_mutants as mutants
from support.scripts import script

from kvproto.conformance.drivers.cases import CASES as DRIVER_CASES
from kvproto.conformance.drivers.runner import run as run_driver
from kvproto.conformance.player import Program
from kvproto.conformance.report.as_html import as_html
from kvproto.conformance.report.machine import MOST_BYTES, as_json, junit, tap
from kvproto.conformance.report.parts import failures
from kvproto.conformance.runner import Check, run, select
from kvproto.driver.files import external

pytestmark = pytest.mark.slow

SOME = (
    "MAP-lockstep*",
    "MAP-ahead",
    "MAP-no-pairs",
    "MAP-one*",
    "REDUCE-ahead",
    "LIFECYCLE-full-stdout",
    "*-environment",
)
STATUSES = {"pass", "fail", "fixed", "known", "note", "n/a"}
RAW = ("-f", catalogue.HERE / "raw.py")

NASTY = (
    b"]]></failure></script><script>alert(1)</script><!-- & ' \" # TODO \x1b[31m \x00\x07\x0c "
    b"\r\xff\xfe "
    b"\xed\xa0\x80 \xe2\x80\xae\xc2\x85 \n  ...\nok 1 - x\n"
)
"""What may break a report: syntax of XML, HTML, YAML and TAP, bytes that are not XML or UTF-8."""

HOSTILE = f"""
import os, sys
sys.stdin.buffer.read()
os.write(1, {NASTY!r})
os.write(2, {NASTY!r})
"""


def page(subject, results, directories):
    return as_html(subject, results, directories, {"program": subject, "kvproto": "0"})


FORMS = {"junit": junit, "as_json": as_json, "tap": tap, "as_html": page}


def checked(program, patterns, known=frozenset()):
    """The results of the cases that fit these globs, of all levels, in both modes."""
    chosen = [one for pattern in patterns for one in select(["map", "reduce"], "INFO", pattern)]
    return run(chosen, Check(program, known=known), lambda result: None)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Name -> results: of a worker with a result of each status, of one that writes NASTY, of a
    driver.
    """
    directory = tmp_path_factory.mktemp("workers")
    swallows = mutants.program("swallows_input.py", directory)
    worker = script(directory, HOSTILE)
    cases = [
        (case, mode)
        for case in DRIVER_CASES
        if case.id in ("FRAME-pairs", "FRAME-sizes")
        for mode in case.modes
    ]
    return {
        "each status": checked(swallows, SOME, frozenset({"MAP-ahead", "MAP-no-pairs"})),
        "hostile": checked(
            Program(str(worker), external([worker])), ("MAP-one*", "MAP-lists-alone", "STDERR-*")
        ),
        "driver": run_driver(
            cases, [*driver_mutants.NAIVE, "writes big-endian"], 60.0, lambda result: None
        ),
    }


def written(form, results, subject="./worker"):
    directories = {one.result.name: f"evidence/{one.result.name}" for one in failures(results)}
    return FORMS[form](subject, results, directories)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["each status", "hostile", "driver"])
def test_each_result_is_told_once_and_as_what_it_is(form, name, runs):
    results = runs[name]
    told = getattr(report_readers, form)(written(form, results))
    assert sorted(told) == sorted(
        (result.case.id, result.mode, result.status) for result in results
    )
    assert len(told) == len(set(told))


def test_the_worker_of_these_tests_has_a_result_of_each_status(runs):
    assert {result.status for result in runs["each status"]} == STATUSES
    assert len(failures(runs["each status"])) < sum(
        result.status == "fail" for result in runs["each status"]
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_known_failure_that_passes_is_enough_not_to_conform(form, runs):
    results = [result for result in runs["each status"] if result.status != "fail"]
    text = written(form, results)
    assert len(getattr(report_readers, form)(text)) == len(results)
    assert {"junit": 'failures="1"', "tap": "\nnot ok "}.get(form, "does not conform") in text


def test_a_number_sign_in_a_title_is_no_directive_of_tap(runs):
    result = next(result for result in runs["each status"] if result.status == "pass")
    titled = result._replace(case=dataclasses.replace(result.case, title="a # TODO \\ b\n"))
    assert written("tap", [titled]).splitlines()[-1].endswith(": a \\# TODO \\\\ b")


@pytest.mark.parametrize("form", FORMS)
def test_what_a_worker_writes_does_no_harm(form, runs):
    text = written(form, runs["hostile"], "./<b>&\x1b\udcff\x00")
    assert not set(text) & set("\x1b\x00\x07\x0c\r\u202e\x85\udcff\ud800")
    assert "<script" not in text or form in ("as_json", "tap")
    assert text.encode("utf-8").decode("utf-8") == text
    getattr(report_readers, form)(text)


def test_control_characters_and_bytes_that_are_no_text_stay_readable(runs):
    for form in ("junit", "tap", "as_html"):
        assert "\\x1b[31m \\x00\\x07\\x0c \\r\\xff\\xfe" in written(form, runs["hostile"]), form


def test_junit_tells_a_fault_once_and_the_others_where_it_is_told(runs):
    results = runs["each status"]
    (fault,) = failures(results)
    root = ElementTree.fromstring(written("junit", results))
    cases = [case for case in root.iter("testcase") if case.find("failure") is not None]
    told = {case.get("name"): case.find("failure") for case in cases}
    name = f"{fault.result.case.id} ({fault.result.mode})"
    assert f"FAIL  {name}" in told[name].text and "      stdin, 12 bytes" in told[name].text
    assert f"evidence/{fault.result.name}/" in told[name].text
    for other in fault.others:
        text = told[f"{other.case.id} ({other.mode})"].text
        assert (
            text.startswith(f"the same fault as {name}")
            and f"found     {other.verdict.what}" in text
        )


def test_tap_gives_the_whole_report_as_a_block_and_says_why(runs):
    text = written("tap", runs["each status"])
    assert "  report: |\n    FAIL  MAP-one-list-each (map)  MUST  MAP-2\n" in text
    assert "# SKIP it writes nothing to stdout" in text
    assert "# TODO known failure: it answers" in text
    assert 'status: "fixed"\n  message: "it is listed as a known failure but passes' in text


def test_json_has_the_bytes_cut_at_a_length_that_is_told(runs):
    results = runs["each status"]
    document = json.loads(written("as_json", results))
    by_name = {f"{one['id']}.{one['mode']}": one for one in document["results"]}
    for result in results:
        told = by_name[result.name]
        assert (told["finding"] is not None) == (result.status in ("fail", "note", "known"))
        if told["finding"]:
            trace, stdin = result.verdict.trace, told["finding"]["stdin"]
            data = base64.b64decode(stdin["base64"], validate=True)
            assert data == trace.schedule.stdin[:MOST_BYTES] and stdin["length"] == len(
                trace.schedule.stdin
            )
            assert (
                told["finding"]["expected"] == result.verdict.expected
                and told["level"] == result.case.level
            )
    large = by_name["MAP-lockstep-large.map"]["finding"]["stdin"]
    assert large["length"] > MOST_BYTES == len(base64.b64decode(large["base64"]))
    (fault,) = failures(results)
    assert by_name[fault.result.name]["finding"]["evidence"] == f"evidence/{fault.result.name}"
    assert {by_name[other.name]["finding"]["same_as"] for other in fault.others} == {
        fault.result.name
    }


def test_json_of_a_driver_has_what_the_worker_read(runs):
    document = json.loads(written("as_json", runs["driver"]))
    finding = next(
        result["finding"] for result in document["results"] if result["status"] == "fail"
    )
    read = base64.b64decode(finding["stdin"]["base64"])
    assert (
        finding["at"] == 2 and read.startswith(b"0\n\x00\x00\x00\x01") and finding["likely"] is None
    )


@pytest.mark.parametrize("name", ["each status", "hostile", "driver"])
def test_the_page_needs_nothing_but_itself(name, runs):
    page = report_readers.Page(text := written("as_html", runs[name]))
    assert not page.tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links) and page.links
    assert len(page.ids) == len(set(page.ids))
    assert (
        "url(" not in text
        and "@import" not in text
        and "http:" not in text
        and "https:" not in text
    )


def test_the_page_opens_each_fault_with_its_first_wrong_byte_marked(runs):
    page = report_readers.Page(text := written("as_html", runs["hostile"]))
    assert text.count("<details open ") == len(failures(runs["hostile"])) == len(page.ids)
    assert page.marked[:2] == ["5d", "the first wrong byte"]
    driver = report_readers.Page(written("as_html", runs["driver"]))
    assert driver.marked[:2] == ["00", "the first wrong byte"]


def test_the_page_marks_the_end_where_output_is_missing(tmp_path):
    results = checked(mutants.program("list_short_ends.py", tmp_path), ["MAP-one*"])
    assert report_readers.Page(written("as_html", results)).marked == [
        "> 000e" + " " * 40 + "the end"
    ]


def test_the_page_says_the_verdict_and_what_it_is_about_in_words(runs):
    text = report_readers.Page(written("as_html", runs["each status"])).text
    assert "./worker does not conform\nIt has 1 fault, described below. " in text
    assert "Known failures that pass: 1, described below." in text
    assert "reads pairs of a key and a value on its standard input" in text
    assert "In a map, the worker answers each pair" in text
    assert "kvproto check --replay evidence/MAP-one-list-each.map" in text
    driver = report_readers.Page(written("as_html", runs["driver"])).text
    assert "A driver starts workers" in driver and "--replay" not in driver


@pytest.fixture
def check(tmp_path):
    """Run `kvproto check` in a directory of its own; the finished process."""

    def run(*arguments):
        argv = [sys.executable, "-P", "-m", "kvproto", "check", *map(str, arguments)]
        return subprocess.run(
            argv,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run


OPTIONS = {"--junit": "junit", "--json": "as_json", "--tap": "tap", "--html": "as_html"}


@pytest.mark.parametrize(("source", "status"), [("echo.py", 0), ("swallows_input.py", 1)])
def test_the_command_writes_the_reports_that_it_is_asked_for(check, tmp_path, source, status):
    (tmp_path / "--junit").write_text("an old report")
    files = [word for option in OPTIONS for word in (option, tmp_path / option)]
    done = check(*RAW, *files, "-k", "MAP-one*", "--", catalogue.HERE / source)
    assert (done.returncode, done.stderr) == (status, "")
    for option, form in OPTIONS.items():
        told = getattr(report_readers, form)((tmp_path / option).read_text(encoding="utf-8"))
        assert told == [("MAP-one-list-each", "map", "fail" if status else "pass")]
    assert {path.name for path in tmp_path.iterdir()} == {*OPTIONS, *["kvproto-check"] * status}
    assert stat.S_IMODE((tmp_path / "--html").stat().st_mode) & 0o444 == 0o444 & ~_umask()
    page = (tmp_path / "--html").read_text()
    assert "seed 0" in page and str(catalogue.HERE / source) in page


def _umask():
    now = os.umask(0)
    os.umask(now)
    return now


def test_evidence_that_is_played_again_is_reported_too(check, tmp_path):
    check(*RAW, "-k", "MAP-one*", "--", catalogue.HERE / "swallows_input.py")
    done = check(
        "--replay", "kvproto-check/MAP-one-list-each.map", "--tap", "again", "--html", "page"
    )
    assert done.returncode == 1 and "played again" in (tmp_path / "page").read_text()
    assert report_readers.tap((tmp_path / "again").read_text()) == [
        ("MAP-one-list-each", "map", "fail")
    ]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    ("path", "words"), [("no/such/file", "No such file or directory"), ("there", "Is a directory")]
)
def test_a_report_that_cannot_be_written_is_told_before_the_worker_runs(
    check, tmp_path, option, path, words
):
    (tmp_path / "there").mkdir()
    worker = script(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')")
    done = check(option, path, "-k", "MAP-one*", "--", worker)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"kvproto: {path}: {words}\n")
    assert not (tmp_path / "ran").exists()


def test_two_reports_in_one_file_are_refused(check):
    done = check("--tap", "x", "--json", "x", "--", catalogue.HERE / "echo.py")
    assert done.returncode == 2 and "x: two reports cannot go into one file" in done.stderr


def test_an_old_report_stays_where_there_is_no_new_one(check, tmp_path):
    (tmp_path / "report").write_text("old")
    assert check("--tap", "report", "--", "./no-such-worker").returncode == 3
    assert [path.name for path in tmp_path.iterdir()] == ["report"] and (
        tmp_path / "report"
    ).read_text() == "old"


def test_a_pipe_is_written_to_and_stays_a_pipe(check, tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert (
        check(*RAW, "--tap", "pipe", "-k", "MAP-one*", "--", catalogue.HERE / "echo.py").returncode
        == 0
    )
    assert pipe.is_fifo()
    assert report_readers.tap(os.read(reader, 1 << 16).decode()) == [
        ("MAP-one-list-each", "map", "pass")
    ]
    os.close(reader)


def test_a_link_to_a_report_stays_a_link(check, tmp_path):
    (tmp_path / "link").symlink_to("report")
    check(*RAW, "--tap", "link", "-k", "MAP-one*", "--", catalogue.HERE / "echo.py")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "report").read_text().startswith(
        "TAP version 14"
    )
