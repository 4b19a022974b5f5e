"""The card about a job in a notebook."""

import os
from html.parser import HTMLParser

import pytest
from support.job_pages import ended, failed, in_stages, written

from kvproto.classic import Job
from kvproto.engine.events import Counted, JobStarted, Progress, StageStarted
from kvproto.engine.job_handle import JobHandle
from kvproto.errors import JobError


class Card(HTMLParser):
    """The text of a card, and the styles in it."""

    def __init__(self, text):
        super().__init__()
        self.text, self.styles, self.open = "", "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert set(dict(attributes)) <= {"style"} and tag in {"div", "span", "b", "code"}
        self.styles += dict(attributes).get("style", "") + ";"
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def card(job):
    return Card(job._repr_html_())


def test_a_job_that_is_not_started_says_so():
    assert card(Job("fresh")).text == "fresh is not started"


def test_a_job_that_is_done_shows_its_figures_and_the_command_for_its_page():
    def tell(line, params):
        count("lines")  # noqa: F821
        yield line, 1

    job = Job("finished").run(input=["raw://a", "raw://b"], map=tell)
    job.wait()
    text = card(job).text
    assert f"{job.name} is done" in text and "2 of 2 tasks" in text and "lines: 2" in text
    assert text.endswith(f"kvproto report {job.name}")


def test_a_job_that_failed_shows_the_first_line_of_its_error():
    def fail(line, params):
        raise ValueError("no")

    job = Job("fails").run(input=["raw://a"], map=fail)
    with pytest.raises(JobError):
        job.wait()
    text = card(job).text
    assert f"{job.name} failed" in text and "task map:0 failed: Traceback" in text


def test_the_error_of_a_program_is_on_one_line():
    details = {"task": "map:3", "program": "./op map", "what": "was killed by SIGSEGV"}
    attempts = [ended("map", 0, 0, 1)]
    handle = written("crashed", *in_stages(attempts, [], failed(2, "all of it", **details)))
    assert "map:3: ./op map was killed by SIGSEGV" in card(Job(handle.job)).text


def test_the_card_takes_its_colours_from_the_notebook():
    attempts = [ended("map", 0, 0, 1)]
    handle = written("coloured", *in_stages(attempts, [], failed(2, "the error")))
    styles = card(Job(handle.job)).styles
    assert "background:#fff" not in styles and "color:#000" not in styles
    assert "width:100.0%" in styles


def test_a_job_under_way_shows_how_far_it_is():
    handle = written(
        "half",
        (0, JobStarted("half", 1, 1)),
        (0, StageStarted("map", 8, 1)),
        (1, Progress("map", 2, 8, 1, 1)),
    )
    shown = card(Job(handle.job))
    assert "2 of 8 tasks" in shown.text and "width:25.0%" in shown.styles


def test_many_counters_are_counted():
    counters = {f"c{number:02}": number for number in range(30)}
    attempts = [ended("map", 0, 0, 1)]
    handle = written("counts", *in_stages(attempts, [], (2, Counted(counters))))
    assert "c07: 7, and 22 more counters" in card(Job(handle.job)).text


def test_hostile_text_does_nothing_in_a_card():
    text = "</div><script>alert(1)</script>\u202e"
    attempts = [ended("map", 0, 0, 1)]
    handle = written("hostile", *in_stages(attempts, [], (2, Counted({text: 1}))), failed(2, text))
    assert "<script>alert(1)</script>" in card(Job(handle.job)).text


def test_a_damaged_log_has_a_card():
    handle = JobHandle("damaged@20231114-221320-00000000")
    os.makedirs(handle.paths.path, mode=0o700)
    with open(handle.paths.events, "w", encoding="utf-8") as file:
        file.write("nothing\n")
    assert "has no readable events" in card(Job(handle.job)).text
