"""The plan: large files are cut, small ones share a task, and every line is read exactly once."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kvproto.engine.plan import MAX_TASK, MAX_TASKS, MIN_TASK, plan_maps, task_bytes
from kvproto.inputs.schemes import Input, open_input


def test_a_large_file_is_cut_so_that_all_processes_work_on_it():
    [*tasks] = plan_maps([Input("big", 80 * MIN_TASK, True)], 2, cut=True)
    assert len(tasks) == len(plan_maps([Input("odd", 80 * MIN_TASK + 7, True)], 2, cut=True)) == 8
    assert [split.start for [split] in tasks] == [number * 10 * MIN_TASK for number in range(8)]
    assert tasks[-1][0].end == 80 * MIN_TASK


def test_no_task_gets_much_more_than_the_largest_size():
    tasks = plan_maps([Input("huge", 1000 * MAX_TASK, True)], 2, cut=True)
    assert max(split.n_bytes for [split] in tasks) <= MAX_TASK


def test_more_than_ten_thousand_tasks_become_larger_instead():
    tib = 1 << 40
    assert task_bytes(MAX_TASKS * MAX_TASK, 1000) == MAX_TASK
    assert task_bytes(10 * tib, 1000) == -(-10 * tib // MAX_TASKS) > MAX_TASK
    files = [Input(f"file-{number}", tib // 100, True) for number in range(1000)]
    assert MAX_TASKS <= len(plan_maps(files, 1000, cut=True)) <= 1.1 * MAX_TASKS
    assert len(plan_maps(files, 5000, cut=True)) >= 4 * 5000
    small = [Input(f"file-{number}", 50 << 20, True) for number in range(100_000)]
    assert len(plan_maps(small, 1000, cut=True)) <= 1.1 * MAX_TASKS


def test_a_reader_of_the_users_own_gets_whole_files():
    tasks = plan_maps([Input("big", 80 * MIN_TASK, True)] * 2, 2, cut=False)
    assert [[(s.start, s.end) for s in task] for task in tasks] == [[(0, None)], [(0, None)]]


def test_thousands_of_small_files_are_a_handful_of_tasks_in_their_order():
    inputs = [Input(f"{number:04}", 5000, True) for number in range(2000)]
    tasks = plan_maps(inputs, 2, cut=True)
    assert 8 <= len(tasks) <= 11
    assert [split.url for task in tasks for split in task] == [found.url for found in inputs]


def test_an_input_of_unknown_size_is_a_task_of_its_own():
    inputs = [Input("a", 10, True), Input("http://x", None, False), Input("b", 10, True)]
    assert [[s.url for s in task] for task in plan_maps(inputs, 2, cut=True)] == [
        ["a"],
        ["http://x"],
        ["b"],
    ]


def test_no_inputs_are_no_tasks_and_empty_files_are_one():
    assert plan_maps([], 2, cut=True) == []
    assert len(plan_maps([Input("a", 0, True), Input("b", 0, True)], 2, cut=True)) == 1


@given(
    lines=st.lists(
        st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=20
    ),
    unended=st.sampled_from([b"", b"the last line"]),
    cuts=st.lists(st.integers(0, 300), max_size=4),
)
def test_wherever_a_file_is_cut_each_line_is_read_once_and_whole(
    tmp_path_factory, lines, unended, cuts
):
    path = tmp_path_factory.mktemp("plan") / "file"
    path.write_bytes(b"".join(lines) + unended)
    offsets = [0, *sorted(cut for cut in cuts if 0 < cut < path.stat().st_size), None]
    read = []
    for start, end in itertools.pairwise(offsets):
        file, size = open_input(str(path), start, end)
        with file:
            data = file.read()
        assert len(data) == size
        assert data == b"" or data.endswith((b"\n", unended)) or end is None
        read.append(data)
    assert b"".join(read) == path.read_bytes()
