"""The progress of a job as a person sees it: on a terminal of any width, off one, as JSON lines."""

import io
import json
import os
import re
import sys

import pytest
from support.progress import (
    DONE,
    ENDED,
    FAILED,
    HALF,
    HELLO,
    MAP,
    MAPPED,
    REDUCE,
    RETRY,
    SORTED,
    STATUS,
    WHOLE,
    Screen,
    at,
)

from kvproto.classic.progress import _SECONDS_BETWEEN, KINDS, Progress


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def screen():
    screens = []

    def made(n_columns=120):
        screens.append(Screen(n_columns))
        return screens[-1], Progress("auto", screens[-1].file)

    yield made
    for each in screens:
        each.close()


@pytest.fixture
def without_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)


def said(kind, *events):
    file = io.StringIO()
    progress = Progress(kind, file)
    for event in events:
        progress(event)
    return file.getvalue()


# --- off a terminal ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "auto"])
def test_off_a_terminal_progress_is_plain_lines(kind):
    lines = [f"map:1: {STATUS['text']}", "map:1: hello", f"map    {MAPPED}", ENDED]
    assert said(kind, MAP, HALF, STATUS, HELLO, WHOLE, DONE).splitlines() == lines


def test_a_dumb_terminal_gets_plain_lines(screen, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    shown, progress = screen()
    shown.show(progress, MAP, HALF, HELLO, WHOLE, DONE)
    assert shown.said == f"map:1: hello\r\nmap    {MAPPED}\r\n{ENDED}\r\n"


def test_jsonl_progress_is_every_event():
    events = [MAP, HALF, STATUS, HELLO, RETRY, WHOLE, DONE]
    assert [json.loads(line) for line in said("jsonl", *events).splitlines()] == events


def test_no_progress_is_nothing_and_an_unknown_kind_is_refused():
    assert said("none", MAP, HALF, STATUS, HELLO, RETRY, WHOLE, FAILED) == ""
    with pytest.raises(ValueError, match="auto, bar, plain, jsonl, none"):
        Progress("fancy")
    assert KINDS == ("auto", "bar", "plain", "jsonl", "none")


def test_a_failure_that_comes_again_is_told_once():
    again = {**RETRY, "attempt": 2}
    lines = ["map:1: attempt 1 failed, trying again:", "DataError: bad", "input: x"]
    assert said("plain", MAP, RETRY, again).splitlines() == [
        *lines,
        "map:1: attempt 2 failed in the same way, trying again",
    ]
    first = {
        **RETRY,
        "text": "the process (12) of /home/jobs/x/tmp/tmpab12 at 0x7f00aa11bb was killed",
    }
    second = {
        **again,
        "text": "the process (345) of /home/jobs/x/tmp/tmpcd34 at 0x7f00cc22dd was killed",
    }
    assert said("plain", MAP, first, second).splitlines()[2:] == [
        "map:1: attempt 2 failed in the same way, trying again"
    ]
    other = {**again, "text": "another"}
    assert said("plain", MAP, RETRY, other).splitlines() == [
        *lines,
        "map:1: attempt 2 failed, trying again:",
        "another",
    ]


# --- on a terminal -------------------------------------------------------------------------------


def test_on_a_terminal_the_lines_are_drawn_again_below_what_is_said(screen, without_rich):
    shown, progress = screen()
    shown.show(progress, MAP, HELLO)
    assert shown.rows() == ["map:1: hello", "map    0/2 tasks    0 %  0 bytes, 0 items"]
    shown.show(progress, RETRY, WHOLE, REDUCE)
    retried = [
        "map:1: hello",
        "map:1: attempt 1 failed, trying again:",
        "DataError: bad",
        "input: x",
    ]
    assert shown.rows() == [
        *retried,
        f"map    {MAPPED}",
        "reduce 0/1 tasks    0 %  0 bytes, 0 items",
    ]
    assert "\x1b[3" not in shown.said


def test_with_rich_there_are_bars_besides_the_same_figures(screen):
    shown, progress = screen()
    shown.show(progress, MAP, WHOLE, DONE)
    assert re.fullmatch(f"map    ━{{40}} {MAPPED}", shown.rows()[0])
    assert shown.rows()[1:] == [ENDED, ""] and "\x1b[38;5;" in shown.said


def test_no_color_is_honoured(screen, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown, progress = screen()
    shown.show(progress, MAP, WHOLE, DONE)
    assert "━" in shown.said and set(re.findall(r"\x1b\[.*?[A-Za-z]", shown.said)) == {"\x1b[J"}


def test_a_terminal_that_is_not_utf_8_gets_bars_of_ascii(screen):
    shown, _ = screen()
    latin = open(os.dup(shown.file.fileno()), "w", encoding="latin-1", errors="strict", newline="")  # noqa: SIM115
    with latin:
        shown.show(Progress("auto", latin), MAP, WHOLE, DONE)
    assert shown.rows()[0] == f"map    {'-' * 40} {MAPPED}"


@pytest.mark.parametrize("n_columns", [1, 8, 12, 20, 40, 80, 120])
def test_lines_fit_on_a_terminal_of_any_width(screen, n_columns):
    shown, progress = screen(n_columns)
    shown.show(
        progress, MAP, WHOLE, REDUCE, {**STATUS, "stage": "reduce"}, {**WHOLE, "stage": "reduce"}
    )
    assert len(shown.rows()) == 3 and all(len(row) < n_columns for row in shown.rows())
    shown.show(progress, DONE)
    assert "".join(shown.rows()[2:]).replace(" ", "") == ENDED.replace(" ", "")


def test_a_terminal_made_narrower_has_its_lines_erased_in_all_the_rows_that_they_take_now(
    screen, without_rich
):
    shown, progress = screen(120)
    shown.show(progress, MAP, WHOLE)
    shown.resize(30)
    before = len(shown.said)
    shown.show(progress, HELLO)
    assert shown.said[before:].startswith(
        "\r" + "\x1b[A" * 2 + "\x1b[Jmap:1: hello\r\n"
    )  # 73 characters in 3 rows


def test_status_messages_stand_below_the_lines_one_at_a_time_and_go_at_the_end(
    screen, without_rich
):
    shown, progress = screen()
    shown.show(progress, MAP, STATUS, {**STATUS, "text": "200000 items mapped"}, WHOLE)
    assert shown.rows() == [f"map    {MAPPED}", "map:1: 200000 items mapped"]
    shown.show(progress, DONE)
    assert shown.rows() == [f"map    {MAPPED}", ENDED, ""]


def test_the_lines_of_a_job_that_fails_stay_and_its_error_begins_below(screen, without_rich):
    shown, progress = screen()
    shown.show(progress, MAP, FAILED)
    assert shown.rows() == ["map    0/2 tasks    0 %  0 bytes, 0 items", ""]


def test_who_stops_looking_leaves_the_lines_and_what_is_written_next_begins_below(
    screen, without_rich
):
    shown, progress = screen()
    shown.show(progress, MAP, STATUS)
    progress.close()
    progress.close()
    shown.show(progress, STATUS)
    assert shown.rows() == ["map    0/2 tasks    0 %  0 bytes, 0 items", ""]


def test_control_characters_in_a_message_move_nothing_on_a_terminal(screen, without_rich):
    shown, progress = screen()
    shown.show(progress, MAP, {**HELLO, "text": "\x1b[2J\rgone\tthere\x9b1A"})
    assert shown.rows()[0] == r"map:1: \x1b[2J\x0dgone	there\x9b1A"
    assert said("plain", MAP, {**HELLO, "text": "\x1b[2J\rgone"}) == "map:1: \\x1b[2J\\x0dgone\n"


def test_another_job_of_the_same_progress_has_lines_of_its_own(screen, without_rich):
    shown, progress = screen()
    shown.show(progress, MAP, WHOLE, DONE, {"event": "job", "job": "second"}, MAP)
    again = "map    0/2 tasks    0 %  0 bytes, 0 items"
    assert shown.rows() == [f"map    {MAPPED}", ENDED, again]
    shown.show(progress, {**HALF, "time": 100.5, "done": 2, "records": 7}, DONE)
    assert shown.rows()[-2:] == ["done: 7 items, 2.0 MB, 3.0 s", ""]


# --- a reduce that sorts first -------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch):
    """Each event is shown."""
    for kind in _SECONDS_BETWEEN:
        monkeypatch.setitem(_SECONDS_BETWEEN, kind, 0.0)


def test_a_sort_and_its_reduce_have_a_line_each(screen, without_rich, at_once):
    shown, progress = screen()
    shown.show(progress, MAP, WHOLE, SORTED, at(1, 1_000_000, 0))
    assert shown.rows()[1:] == [
        "sort    25 %  1.0 MB  1.0 MB/s",
        "reduce 0/1 tasks    0 %  0 items  0:07 left",
    ]
    shown.show(progress, at(4, 4_000_000, 0))
    assert shown.rows()[1:] == [
        "sort    99 %  4.0 MB  1.0 MB/s",
        "reduce 0/1 tasks    0 %  0 items  0:04 left",
    ]
    shown.show(progress, at(6, 4_000_000, 500))
    assert shown.rows()[1:] == [
        "sort   100 %  4.0 MB",
        "reduce 0/1 tasks   50 %  500 items  83 items/s  0:02 left",
    ]
    shown.show(progress, at(8, 4_000_000, 1000, done=1), DONE)
    assert shown.rows()[1:] == [
        "sort   100 %  4.0 MB",
        "reduce 1/1 tasks  100 %  1,000 items  125 items/s  0:08",
        ENDED,
        "",
    ]


def test_off_a_terminal_the_part_that_is_under_way_is_shown(at_once):
    progress = Progress("plain", file := io.StringIO())
    progress(SORTED)
    for event in (at(1, 1_000_000, 0), at(6, 4_000_000, 500), at(8, 4_000_000, 1000, done=1)):
        progress(event)
    assert [line.split()[0] for line in file.getvalue().splitlines()] == [
        "sort",
        "reduce",
        "reduce",
    ]


@pytest.mark.parametrize("n_columns", [20, 40, 80])
def test_the_lines_of_a_sort_fit_on_a_terminal_of_any_width(screen, n_columns):
    shown, progress = screen(n_columns)
    shown.show(progress, SORTED, at(8, 4_000_000, 1000, done=1))
    assert len(shown.rows()) == 2 and all(len(row) < n_columns for row in shown.rows())
