"""Reports read back, each as its own kind of program would: what they say of which case, in which
mode.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

TEST_POINT = re.compile(r"(not ok|ok) (\d+) - (.*?)(?: # (SKIP|TODO) (.+))?")
NAME = re.compile(r"([\w-]+) \((map|reduce)\)")
VOID = {"meta", "br", "hr", "img", "link", "input"}


def junit(text):
    """[(id, mode, status)] of JUnit's XML; its counts are checked."""
    told = []
    root = ElementTree.fromstring(text)
    for suite in root:
        for case in suite:
            children = {child.tag: child for child in case}
            assert set(children) <= {"failure", "skipped", "system-out"} and len(children) <= 1
            told.append((*NAME.fullmatch(case.get("name")).groups(), _junit_status(children)))
            assert told[-1][0].startswith(suite.get("name") + "-")
    cases = root.findall("*/testcase")
    for tag, count in (("failure", "failures"), ("skipped", "skipped")):
        assert int(root.get(count)) == len([case for case in cases if case.find(tag) is not None])
        assert int(root.get(count)) == sum(int(suite.get(count)) for suite in root)
    assert int(root.get("tests")) == len(cases) == sum(int(suite.get("tests")) for suite in root)
    return told


def _junit_status(children):
    if "failure" in children:
        return "fixed" if children["failure"].get("type") == "fixed" else "fail"
    if "skipped" in children:
        reason = children["skipped"].get("message").partition(": ")[0]
        return {"known failure": "known", "not applicable": "n/a"}[reason]
    if "system-out" in children:
        assert children["system-out"].text.startswith("note: ")
        return "note"
    return "pass"


def as_json(text):
    """[(id, mode, status)] of the JSON document; its verdict and counts are checked."""
    document = json.loads(text)
    told = [(result["id"], result["mode"], result["status"]) for result in document["results"]]
    statuses = [status for *_, status in told]
    assert document["version"] == 1
    assert document["counts"] == {name: statuses.count(name) for name in document["counts"]}
    assert sum(document["counts"].values()) == len(told)
    assert (document["verdict"] == "conforms") == (not {"fail", "fixed"} & set(statuses))
    return told


def tap(text):
    """[(id, mode, status)] of TAP 14; each line of it is one of TAP, or belongs to a YAML block."""
    version, plan, *lines = text.removesuffix("\n").split("\n")
    assert version == "TAP version 14"
    told, block = [], None
    for line in lines:
        if block is not None:
            assert line.startswith("  "), line
            block = None if line == "  ..." else [*block, line[2:]]
        elif line == "  ---":
            block = []
        elif not line.startswith("#"):
            ok, number, name, directive, _ = TEST_POINT.fullmatch(line).groups()
            assert int(number) == len(told) + 1 and "#" not in name.replace("\\#", "")
            told.append(
                [*NAME.match(name).groups(), {"SKIP": "n/a", "TODO": "known"}.get(directive, ok)]
            )
        if block and block[-1].startswith("status: ") and told[-1][2] != "known":
            told[-1][2] = _noted(told[-1][2], json.loads(block[-1].removeprefix("status: ")))
    assert block is None and plan == f"1..{len(told)}"
    return [(id, mode, "pass" if status == "ok" else status) for id, mode, status in told]


def _noted(ok, status):
    """The status that a block says, if that is what `ok` or `not ok` may mean."""
    assert status in {"ok": ("note",), "not ok": ("fail", "fixed")}.get(ok, (ok,))
    return status


class Page(HTMLParser):
    """An HTML page: its tags must be closed as they are opened. `tags`, `ids`, `links`, `text`,
    `told`, `marked`.
    """

    WORDS = {  # noqa: RUF012
        "passes": "pass",
        "fails": "fail",
        "passes, listed as failing": "fixed",
        "known failure": "known",
        "note": "note",
        "not applicable": "n/a",
    }

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.told, self.marked = (
            [],
            set(),
            [],
            [],
            [],
            [],
        )
        self.text, self._id, self._mode = "", "", ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        assert not {"src", "srcset", "style", "onload", "onclick", "action"} & set(attributes)
        self.ids += [attributes[name] for name in ("id",) if name in attributes]
        self.links += [attributes[name] for name in ("href",) if name in attributes]
        self._mode = attributes.get("data-of", self._mode if tag == "a" else "").rstrip(":")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if self.open[-2:] == ["th", "code"]:
            self._id = data
        elif self.open[-1:] == ["mark"]:
            self.marked.append(data)
        elif self._mode and "td" in self.open:
            self.told.append((self._id, self._mode, self.WORDS[data]))


def as_html(text):
    """[(id, mode, status)] of the tables of a page."""
    return Page(text).told
