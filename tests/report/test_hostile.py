"""Text from outside cannot change the page."""

import os

import pytest
from support.job_pages import T0, ended, failed, in_stages, page_of, written

from kvproto.engine.events import Counted, JobStarted, Message, Note, Retry
from kvproto.report.course import read_course
from kvproto.report.failures import MAX_TEXT
from kvproto.report.table import as_tsv

HOSTILE = [
    "</script><script>alert(1)</script>",
    "</pre></title></style><img src=x onerror=alert(1)>",
    "\0\x1b[2J\x07",
    "\u202eabc\u2066",
    "a\tb\nc",
    '"><svg onload=alert(1)>',
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(text):
    about = {text: text}
    attempts = [
        ended("map", 0, 0, 1, text, host=text, parts=[1, 2]),
        ended("map", 1, 0, 1, "failed", host=text),
    ]
    started = (0, JobStarted(text, 1, 1, text, text, about, about, about))
    handle = written(
        "hostile",
        *in_stages(attempts, [], (2, Note(text))),
        started,
        (2, Retry("map", 0, 1, text)),
        (2, Message("map", 0, text)),
        (2, Counted({text: 5})),
        failed(3, text, **dict.fromkeys(("kind", "task", "program", "what", "stderr"), text)),
    )
    page = page_of(handle)
    assert len(page.scripts) == 1 and "alert" not in page.scripts[0]
    page.source.encode()
    assert not set(page.source) & set("\0\x1b\x07\u202e\u2066")
    assert as_tsv(read_course(handle).attempts).count("\n") == 3


def test_a_value_of_a_megabyte_is_cut():
    text = "x" * (1 << 20)
    handle = written("large", *in_stages([ended("map", 0, 0, 1)], [], failed(2, text, record=text)))
    page = page_of(handle)
    assert len(page.source) < 3 * MAX_TEXT
    assert f"[cut: {(1 << 20) - MAX_TEXT:,} more characters]" in page.text


def test_numbers_of_any_size_do_not_break_the_page():
    handle = written("numbers", *in_stages([ended("map", 0, 0, 1)], [], (2, Note("last"))))
    with open(handle.paths.events, "a", encoding="utf-8") as file:
        for value in ("1e300", str(10**18), "0.0"):
            file.write(
                f'{{"time": {T0 + 3}, "event": "task", "stage": "map", "task": 0, "attempt": 0, '
                f'"outcome": "done", "start": 0, "end": {value if "e" not in value else 1e18}, '
                f'"parts": [{10**400}, {10**18}], "bytes": {10**18}}}\n'
            )
    assert "lost its driver" in page_of(handle).text


def test_the_page_lets_only_its_own_script_run():
    page = page_of(written("policy", *in_stages([ended("map", 0, 0, 1)], [], (2, Note("x")))))
    assert "default-src 'none'" in page.source
    assert page.source.index("Content-Security-Policy") < page.source.index("<style>")
    assert os.linesep in page.scripts[0]
