"""Inputs: files, directories, globs, replicas, the address itself; what is not there is named."""

import os

import pytest

from kvproto.classic.schemes import find_inputs, open_input
from kvproto.engine.plan import plan_maps
from kvproto.errors import DataError


def read(url, *range_):
    file, size = open_input(url, *range_)
    with file:
        return file.read(), size


@pytest.fixture
def tree(tmp_path):
    for name, data in {"b.txt": b"bb", "a.txt": b"a", "sub/c.txt": b"ccc", "sub/d.bin": b""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def names(tree, found):
    return [os.path.relpath(one.url, tree) for one in found]


def test_a_file_is_found_by_path_and_by_url_with_its_size(tree):
    for url in (str(tree / "b.txt"), f"file://{tree}/b.txt", f"file://localhost{tree}/b%2Etxt", tree / "b.txt"):
        [found] = find_inputs([url])
        assert (found.url, found.n_bytes, found.seekable) == (str(tree / "b.txt"), 2, True)
        assert read(found.url) == (b"bb", 2)


def test_a_directory_is_its_files_recursively_in_order(tree):
    assert names(tree, find_inputs([str(tree)])) == ["a.txt", "b.txt", "sub/c.txt", "sub/d.bin"]


def test_a_directory_without_a_file_is_refused_by_its_name(tree):
    (tree / "empty" / "deeper").mkdir(parents=True)
    with pytest.raises(DataError, match=f"input {tree}/empty: there are no files in {tree}/empty"):
        find_inputs([str(tree / "empty")])


def test_a_glob_is_the_files_that_match(tree):
    assert names(tree, find_inputs([f"{tree}/*"])) == ["a.txt", "b.txt"]
    assert names(tree, find_inputs([f"{tree}/**/*.txt"])) == ["a.txt", "b.txt", "sub/c.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree):
    (tree / "[a].txt").write_bytes(b"bracket")
    assert names(tree, find_inputs([f"{tree}/[a].txt"])) == ["[a].txt"]


def test_a_relative_path_is_found_from_any_directory_later(tree, monkeypatch):
    monkeypatch.chdir(tree)
    [found] = find_inputs(["a.txt"])
    monkeypatch.chdir("/")
    assert read(found.url) == (b"a", 1)


@pytest.mark.parametrize(
    "url, says",
    [
        ("/no/such/file", "input /no/such/file: No such file or directory"),
        ("/no/such/*.txt", "no file matches"),
        ("nonsense://x", "no scheme nonsense://.*http://"),
        ("file://elsewhere/x", "host 'elsewhere'"),
    ],
)
def test_what_is_not_there_is_named(url, says):
    with pytest.raises(DataError, match=says):
        find_inputs([url])


def test_a_pipe_is_refused_and_left_out_of_a_directory(tree):
    os.mkfifo(tree / "pipe")
    with pytest.raises(DataError, match=f"input {tree}/pipe: not a regular file"):
        find_inputs([str(tree / "pipe")])
    assert "pipe" not in names(tree, find_inputs([str(tree)]))


def test_a_list_is_the_replicas_of_one_input_and_those_that_are_not_there_are_left_out(tree):
    for name in ("b2.txt", "b3.txt"):
        (tree / name).write_bytes(b"bb")
    [one, other] = find_inputs([["/no/such", f"{tree}/b.txt", tree / "b2.txt", f"file://{tree}/b3.txt"], f"{tree}/a.txt"])
    assert one == (f"{tree}/b.txt", 2, True, (f"{tree}/b2.txt", f"{tree}/b3.txt"), None)
    assert other == (f"{tree}/a.txt", 1, True, (), None)


def test_replicas_of_different_sizes_or_of_an_unknown_one_are_not_cut(tree):
    assert find_inputs([[f"{tree}/a.txt", f"{tree}/b.txt"]]) == [(f"{tree}/a.txt", 1, False, (f"{tree}/b.txt",), None)]
    [found] = find_inputs([[f"{tree}/a.txt", "http://127.0.0.1/x"]])
    assert (found.seekable, found.replicas) == (False, ("http://127.0.0.1/x",))


def test_when_no_replica_can_be_found_the_error_says_why_for_each():
    with pytest.raises(DataError) as caught:
        find_inputs([["/no/such", "nonsense://x", "file://elsewhere/x"]])
    for reason in ("input /no/such: No such file", "no scheme nonsense://", "host 'elsewhere'"):
        assert reason in str(caught.value)


def test_a_list_of_one_is_that_one_and_an_empty_list_a_mistake(tree):
    assert names(tree, find_inputs([[str(tree / "sub")]])) == ["sub/c.txt", "sub/d.bin"]
    with pytest.raises(ValueError, match="an empty list among the inputs"):
        find_inputs([[]])


def test_a_directory_among_replicas_is_refused(tree):
    with pytest.raises(DataError, match=f"input {tree}/sub: stands for 2 inputs, and a replica stands for one"):
        find_inputs([[f"{tree}/a.txt", f"{tree}/sub"]])


def test_a_file_that_goes_away_after_it_was_found_is_named(tree):
    [found] = find_inputs([str(tree / "a.txt")])
    os.unlink(found.url)
    with pytest.raises(DataError, match=f"input {found.url}: No such file"):
        open_input(found.url)


def test_a_file_that_shrinks_while_it_is_read_is_an_error_that_names_it(tree):
    path = tree / "long"
    path.write_bytes(b"line\n" * 100_000)
    file, size = open_input(str(path), 0, 300_000)
    os.truncate(path, 200_000)
    with file, pytest.raises(DataError, match=f"input {path}: was cut short while it was read, 100000 bytes"):
        file.read()


def test_raw_is_the_address_itself():
    [found] = find_inputs(["raw://some data: é"])
    assert read(found.url)[0] == "some data: é".encode()


def test_raw_inputs_are_a_task_each_so_that_cores_share_what_is_computed_from_them():
    assert len(plan_maps(find_inputs(["raw://seed 1", "raw://seed 2"]), 2, cut=True)) == 2
