"""The events file: what is in it, and when."""

import json
from pathlib import Path

import pytest

from kvproto.engine.events import EventLog


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "events.jsonl")


def written(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def progress(time, done=1, total=9):
    return {"event": "progress", "time": time, "done": done, "total": total}


def test_an_event_is_in_the_file_before_it_is_told(path):
    seen = []
    log = EventLog(path, lambda event: seen.append((event, written(path))))
    log({"event": "message", "text": "caf\u00e9\n"})
    log.close()
    [(event, in_file)] = seen
    assert in_file == [event] and event["text"] == "caf\u00e9\n" and event["time"] > 0


def test_of_progress_the_file_has_one_a_second_and_the_last_of_a_stage_and_the_listener_has_all(
    path,
):
    told = []
    log = EventLog(path, told.append)
    events = [
        progress(100.0),
        progress(100.5),
        progress(101.0),
        progress(101.9, done=9),
        progress(102.0),
    ]
    for event in events:
        log(event)
    log.close()
    assert told == events
    assert [event["time"] for event in written(path)] == [100.0, 101.0, 101.9]
