"""What driver and workers leave for each other."""

import pytest

from kvproto.engine.events import Message
from kvproto.engine.exchange import Exchange, Run, State
from kvproto.engine.stage import Attempt


@pytest.fixture
def exchange(tmp_path):
    exchange = Exchange(str(tmp_path / "exchange" / "one"))
    exchange.make()
    return exchange


def run(worker, task=0):
    return Run("map-0", Attempt(task, 1), worker)


def test_runs_come_in_the_order_in_which_they_began(exchange):
    exchange.begin_run(run("a-host:9:200"))
    exchange.begin_run(run("b.host:1:1000", 12345))
    exchange.begin_run(run("z:10:99"))
    runs, batches = exchange.look()
    assert runs == [run("z:10:99"), run("a-host:9:200"), run("b.host:1:1000", 12345)]
    assert batches == {}
    exchange.forget_run(runs[0])
    assert exchange.look()[0] == runs[1:]


def test_events_come_in_order_and_once(exchange):
    events = [Message("map", 0, f"{number}") for number in range(12)]
    for number, event in enumerate(events):
        exchange.write_events(run("host:1:2"), number, [event])
    _, batches = exchange.look()
    assert set(batches.values()) == {run("host:1:2")}
    first, *_ = batches
    assert exchange.take_events(first) == events[:1]
    assert exchange.take_events(first) == []
    assert exchange.take_all_events(run("host:1:2"), 12) == events[1:]


def test_a_file_that_is_being_written_is_no_run_and_no_batch(exchange, tmp_path):
    for name in ("run,map-0-00000-1,host:1:2", "events,map-0-00000-1,host:1:2,000000"):
        (tmp_path / "exchange" / "one" / f"{name}.0badcafe.part").touch()
    assert exchange.look() == ([], {})


def test_the_state_of_a_driver_is_gone_when_the_job_has_ended(exchange):
    state = State(7, 60.0, frozenset({"map-0-00003-1"}))
    exchange.write_state(state)
    assert exchange.read_state() == state
    exchange.remove()
    with pytest.raises(FileNotFoundError):
        exchange.read_state()
