"""The figures of the progress of a job: its share, its rates, the time left."""

import pytest
from support.progress import HALF, MAP, SORTED, WHOLE, at

from kvproto._text import amount
from kvproto.classic.progress import Stage, stages_of


def staged(begun, *progress):
    stage = Stage(begun)
    for event in progress:
        stage.update(event)
    return stage


def test_time_left_is_by_the_share_that_is_done():
    assert staged(MAP, HALF).figures().endswith("  617 items/s  0:01 left")
    tenth = {**HALF, "time": 500.0, "bytes": 400_000}
    assert staged(MAP, tenth).figures().endswith("  1:00:00 left")


def test_no_time_left_is_told_before_there_is_anything_to_tell_it_from():
    assert "left" not in staged(MAP, {**HALF, "bytes": 0, "records": 0}).figures()


def test_time_left_is_never_nothing_while_work_goes_on():
    almost = {**HALF, "time": 100.1, "bytes": 3_999_999}
    assert staged(MAP, almost).figures().endswith("0:01 left")
    [_, reduce] = stages_of(SORTED)
    reduce.update(at(2, 4_000_000, 1000))
    assert reduce.figures().endswith("0:01 left")


@pytest.mark.parametrize("n_done, share", [(0, 0.0), (1, 0.5), (2, 1.0)])
def test_without_a_known_size_the_share_is_that_of_the_tasks(n_done, share):
    assert staged({**MAP, "bytes": 0}, {**HALF, "done": n_done}).share == share


def test_all_is_done_when_the_tasks_are_and_not_when_the_bytes_are():
    assert (
        staged(MAP, {**HALF, "bytes": 9_000_000}).share == 0.99
    )  # an attempt that failed has read some of them
    assert staged(MAP, {**WHOLE, "bytes": 1}).share == 1.0


def test_a_stage_without_tasks_is_done():
    assert staged({**MAP, "tasks": 0, "bytes": 0}).figures() == "0/0 tasks  100 %  0 bytes, 0 items"


def test_where_room_is_scarce_what_matters_least_is_left_out_first():
    stage = staged(MAP, HALF)
    widths = {len(stage.figures(n)): stage.figures(n) for n in range(80, -1, -1)}
    assert list(widths.values()) == [
        "0/2 tasks   50 %  2.0 MB, 617 items  2.0 MB/s  617 items/s  0:01 left",
        "0/2 tasks   50 %  2.0 MB/s  617 items/s  0:01 left",
        " 50 %  2.0 MB/s  617 items/s  0:01 left",
        " 50 %  617 items/s  0:01 left",
        " 50 %  0:01 left",
        " 50 %",
        "",
    ]
    assert all(len(stage.figures(n)) <= n for n in range(80))


@pytest.mark.parametrize(
    "n_bytes, told",
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999.4, "999 bytes"),
        (999.6, "1.0 kB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (2e12, "2000.0 GB"),
    ],
)
def test_an_amount_has_the_unit_that_suits_it(n_bytes, told):
    assert amount(n_bytes) == told
