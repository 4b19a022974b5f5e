"""The events file: what is in it, and when."""

import json
from pathlib import Path

import pytest

from kvproto.engine.event_log import EventLog
from kvproto.engine.events import Failed, Message, Progress


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "events.jsonl")


def written(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_an_event_is_in_the_file_before_it_is_told(path):
    seen = []
    log = EventLog(path, lambda event: seen.append((event, written(path))))
    log(Message("map", 3, "caf\u00e9\n"))
    log.close()
    [(event, in_file)] = seen
    assert in_file == [event] and event["time"] > 0
    del event["time"]
    assert event == {
        "event": "message",
        "stage": "map",
        "task": 3,
        "kind": "MSG",
        "text": "caf\u00e9\n",
    }


def test_of_progress_the_file_has_one_a_second_and_the_last_of_a_stage_and_the_listener_has_all(
    path,
):
    told = []
    log = EventLog(path, told.append)
    events = [(100.0, 1), (100.5, 1), (101.0, 1), (101.9, 9), (102.0, 1)]
    for time, done in events:
        log(Progress("map", done, 9, 0, 0), time)
    log.close()
    assert [(event["time"], event["done"]) for event in told] == events
    assert [event["time"] for event in written(path)] == [100.0, 101.0, 101.9]


def test_the_file_has_the_last_progress_before_a_failure(path):
    log = EventLog(path, None)
    for time, done in [(100.0, 1), (100.2, 5), (100.4, 7)]:
        log(Progress("map", done, 9, 0, 0), time)
    log(Failed("it failed", 0.5), 100.5)
    log(Failed("again", 0.6), 100.6)
    log.close()
    assert [(event["event"], event.get("done")) for event in written(path)] == [
        ("progress", 1),
        ("progress", 7),
        ("failed", None),
        ("failed", None),
    ]
