"""Jobs made of events alone, and a reader of the page about a job."""

import os
from html.parser import HTMLParser

from kvproto.engine.event_log import EventLog
from kvproto.engine.events import Done, Failed, JobStarted, Progress, StageStarted, TaskEnded
from kvproto.engine.job_handle import JobHandle
from kvproto.report.as_html import as_html
from kvproto.report.course import read_course

VOID = {"meta", "br"}
T0 = 1_700_000_000.0


def written(name, *events):
    """The job that has these (second, event), and nothing else."""
    handle = JobHandle(f"{name}@20231114-221320-00000000")
    os.makedirs(handle.paths.path, mode=0o700)
    log = EventLog(handle.paths.events, None)
    for second, event in events:
        log(event, T0 + second)
    log.close()
    return handle


def ended(stage, task, start, end, outcome="done", number=0, **fields):
    """The event of an attempt, at its end."""
    of_all = {"host": "one", "pid": 7, **fields}
    return end, TaskEnded(stage, task, number, outcome, T0 + start, T0 + end, **of_all)


def in_stages(maps, reduces, last):
    """The events of a job with these attempts, and the last event."""
    n_maps, n_reduces = ({one.task for _, one in some} for some in (maps, reduces))
    begin = max(second for second, _ in maps)
    return [
        (0, JobStarted("name", len(n_maps), 1000, "machine")),
        (0, StageStarted("map", len(n_maps), 1000)),
        *maps,
        (begin, Progress("map", len(n_maps), len(n_maps), 1000, 10)),
        (begin, StageStarted("reduce", len(n_reduces), 1000)),
        *reduces,
        last,
    ]


def done(second):
    return second, Done([], second)


def failed(second, text, **details):
    return second, Failed(text, second, details=details)


def page_of(handle, now=None):
    """The page about a job, read."""
    return Page(as_html(read_course(handle, now)))


class Page(HTMLParser):
    """A page: its tags are closed as they were opened, and nothing in it comes from elsewhere.

    `text` is what a person reads, `rows` the cells of each table by its class, `titles` those of
    parts of images, and `kinds` the classes of all elements.
    """

    def __init__(self, text):
        super().__init__()
        self.source = text
        self.text, self.scripts = "", []
        self.open, self.rows, self.titles, self.kinds, self.pre = [], {}, [], [], []
        self._table = None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert tag not in {"link", "img", "iframe", "object", "base", "form", "a"}
        assert not {"src", "href", "style", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        self.kinds.append((tag, *attributes.get("class", "").split()))
        if tag == "table":
            self._table = self.rows.setdefault(attributes.get("class"), [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        elif tag in ("pre", "title", "script"):
            {"pre": self.pre, "title": self.titles, "script": self.scripts}[tag].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert "svg" in self.open, tag  # elsewhere a browser ignores the slash
        self.kinds.append((tag, *dict(attributes).get("class", "").split()))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag, some in (("pre", self.pre), ("title", self.titles), ("script", self.scripts)):
            if tag in self.open:
                some[-1] += data
        if not {"style", "script", "title"} & set(self.open):
            self.text += data
        if {"td", "th"} & set(self.open):
            self._table[-1][-1] += data
