"""Inputs: files, directories, globs, replicas, the address itself; what is not there is named."""

import glob
import os
import tempfile
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import kvproto_command
from support.jobs import ECHO, events, program, results

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.ddfs import DDFS
from kvproto.engine.plan import plan_maps
from kvproto.errors import DataError
from kvproto.inputs.schemes import find_inputs, open_input
from kvproto.inputs.schemes.folders import Search


def read(url, *range_):
    file, size = open_input(url, *range_)
    with file:
        return file.read(), size


@pytest.fixture
def tree(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("tree")
    for name, data in {
        "b.txt": b"bb",
        "a.txt": b"a",
        "sub/c.txt": b"ccc",
        "sub/d.bin": b"",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def names(tree, found):
    return [os.path.relpath(one.url, tree) for one in found]


@pytest.mark.documented("3 input: file:// or no scheme is a local file, which must exist")
def test_a_file_is_found_by_path_and_by_url_with_its_size(tree):
    for url in (
        str(tree / "b.txt"),
        f"file://{tree}/b.txt",
        f"file://localhost{tree}/b%2Etxt",
        tree / "b.txt",
    ):
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


@pytest.mark.documented("3 input: file:// or no scheme is a local file, which must exist")
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


@pytest.mark.documented("5 a list of urls in place of a url holds its replicas")
def test_a_list_is_the_replicas_of_one_input_and_those_that_are_not_there_are_left_out(tree):
    for name in ("b2.txt", "b3.txt"):
        (tree / name).write_bytes(b"bb")
    [one, other] = find_inputs(
        [["/no/such", f"{tree}/b.txt", tree / "b2.txt", f"file://{tree}/b3.txt"], f"{tree}/a.txt"]
    )
    assert one[:5] == (f"{tree}/b.txt", 2, True, (f"{tree}/b2.txt", f"{tree}/b3.txt"), None)
    assert other[:5] == (f"{tree}/a.txt", 1, True, (), None)


def test_replicas_of_different_sizes_or_of_an_unknown_one_are_not_cut(tree):
    [one] = find_inputs([[f"{tree}/a.txt", f"{tree}/b.txt"]])
    assert one[:5] == (f"{tree}/a.txt", 1, False, (f"{tree}/b.txt",), None)
    [found] = find_inputs([[f"{tree}/a.txt", "http://127.0.0.1/x"]])
    assert (found.seekable, found.replicas) == (False, ("http://127.0.0.1/x",))


def test_when_no_replica_can_be_found_the_error_says_why_for_each():
    with pytest.raises(DataError) as caught:
        find_inputs([["/no/such", "nonsense://x", "file://elsewhere/x"]])
    for reason in ("input /no/such: No such file", "no scheme nonsense://", "host 'elsewhere'"):
        assert reason in str(caught.value)


def test_a_list_of_one_is_that_one_and_an_empty_list_a_mistake(tree):
    assert names(tree, find_inputs([[str(tree / "sub")]])) == ["sub/c.txt", "sub/d.bin"]
    with pytest.raises(ValueError, match="the inputs contain an empty list"):
        find_inputs([[]])


def test_a_directory_among_replicas_is_refused(tree):
    with pytest.raises(
        DataError, match=f"input {tree}/sub: names 2 inputs, but a replica must name one"
    ):
        find_inputs([[f"{tree}/a.txt", f"{tree}/sub"]])


def test_a_file_that_goes_away_after_it_was_found_is_named(tree):
    [found] = find_inputs([str(tree / "a.txt")])
    os.unlink(found.url)
    with pytest.raises(DataError, match=f"input {found.url}: No such file"):
        open_input(found.url)


def test_a_file_that_shrinks_while_it_is_read_is_an_error_that_names_it(tree):
    path = tree / "long"
    path.write_bytes(b"line\n" * 100_000)
    file, _size = open_input(str(path), 0, 300_000)
    os.truncate(path, 200_000)
    with (
        file,
        pytest.raises(
            DataError, match=f"input {path}: was cut short while it was read: 100000 bytes"
        ),
    ):
        file.read()


@pytest.mark.documented("3 input: raw:// is the address as data")
def test_raw_is_the_address_itself():
    [found] = find_inputs(["raw://some data: é"])
    assert read(found.url)[0] == "some data: é".encode()


def test_raw_inputs_are_a_task_each_so_that_cores_share_what_is_computed_from_them():
    assert len(plan_maps(find_inputs(["raw://seed 1", "raw://seed 2"]), 2, cut=True)) == 2


# --- links, hidden files, backups ------------------------------------------------------------


@pytest.fixture
def linked(tree, tmp_path_factory):
    """A tree with links to directories of its own, of another tree, and to itself; hidden files,
    backups, a pipe.
    """
    other = tmp_path_factory.mktemp("other")
    (other / "deep").mkdir()
    (other / "deep" / "o.txt").write_bytes(b"o")
    (other / "back").symlink_to(tree)
    for name, to in {
        "again": "sub",
        "loop": ".",
        "aaa": other,
        "sub/up": "..",
        "zzz": other / "deep",
    }.items():
        (tree / name).symlink_to(to)
    for name in (".hidden", "sub/c.txt~", "sub/#c.txt#", ".git/config"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"not meant")
    os.mkfifo(tree / "pipe")
    yield tree


FILES = ["a.txt", "b.txt", "aaa/deep/o.txt", "sub/c.txt", "sub/d.bin"]


def found_and_told(url):
    told = []
    found = find_inputs([url], told.append)
    return [one.url for one in found], told


def test_a_directory_and_two_stars_follow_links_and_enter_each_directory_once(linked):
    for url in (str(linked), f"{linked}/**", f"{linked}/**/*"):
        found, told = found_and_told(url)
        assert sorted(os.path.relpath(path, linked) for path in found) == sorted(FILES)
        [text] = told
        for name in ("again", "loop", "sub/up", "aaa/back", "zzz"):
            assert f"{linked}/{name}" in text
        for says in (
            "5 links to a directory that is already read",
            "2 hidden",
            "2 editor backups",
            "1 pipes",
        ):
            assert says in text
    assert found_and_told(str(linked))[0] == [str(linked / name) for name in FILES]


def test_a_link_that_is_the_input_itself_or_the_only_way_is_followed(linked):
    assert names(linked, find_inputs([str(linked / "zzz")])) == ["zzz/o.txt"]
    assert names(linked, find_inputs([f"{linked}/zzz/*.txt", f"{linked}/*/o.txt"])) == [
        "zzz/o.txt",
        "zzz/o.txt",
    ]


def test_hidden_files_and_backups_are_read_when_they_are_named(linked):
    named = {".hidden": ".hidden", ".h*": ".hidden", "sub/*~": "sub/c.txt~", ".git": ".git/config"}
    for pattern, name in named.items():
        _found, told = found_and_told(f"{linked}/{pattern}")
        assert names(linked, find_inputs([f"{linked}/{pattern}"])) == [name]
        assert told == []


def test_what_is_passed_over_is_said_where_it_leaves_nothing(tree):
    (tree / "hidden").mkdir()
    (tree / "hidden" / ".x").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"there are no files in .*/hidden; skipped 1 hidden files or .*: .*/.x"
    ):
        find_inputs([str(tree / "hidden")])


def test_a_job_and_the_commands_say_what_is_passed_over(linked, tmp_path):
    job = Job("x").run(input=[str(linked)], map=lambda line, params: [])
    job.wait()
    [note] = [event["text"] for event in events(job) if event["event"] == "note"]
    assert f"input {linked}: skipped 2 hidden files or directories: " in note
    for command in (
        ["run", "kvproto.classic.Job", "-m", "kvproto.classic.func.nop_map"],
        ["tag", "put", "x"],
    ):
        done = kvproto_command(*command, linked)
        assert done.returncode == 0
        assert b"skipped 2 hidden files or directories: " in done.stderr


def test_many_links_to_each_other_are_listed_in_no_time(tmp_path):
    for number in range(12):
        (tmp_path / f"d{number}").mkdir()
        for other in range(12):
            (tmp_path / f"d{number}" / f"l{other}").symlink_to(tmp_path / f"d{other}")
    (tmp_path / "d3" / "x").write_bytes(b"")
    for url in (tmp_path, f"{tmp_path}/**/x"):
        assert names(tmp_path, find_inputs([url])) == ["d3/x"]


# --- a size is a hint ------------------------------------------------------------------------


def of_size_zero_and_of_a_size_too_large():
    """Files of the kernel: one that says it has 0 bytes, one that says 4096 and has fewer."""
    small = next(
        path
        for path in sorted(glob.glob("/sys/kernel/*"))
        if os.path.isfile(path) and readable(path)
    )
    assert os.stat(small).st_size > len(readable(small))
    return ["/proc/version", small]


def readable(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


@pytest.mark.slow
def test_files_whose_size_is_wrong_are_read_whole_everywhere(tmp_path):
    for path in of_size_zero_and_of_a_size_too_large():
        data = readable(path)
        lines = data.decode().splitlines(keepends=True)
        assert read(path)[0] == data
        assert [
            line for line, _ in results(input=[path], map=lambda line, params: [(line, "")])
        ] == lines
        assert (
            b"".join(
                line for _, line in results(input=[path], map=external([program(tmp_path, ECHO)]))
            )
            == data
        )
        assert list(result_iterator([path], reader=None)) == lines
        assert kvproto_command("tag", "put", "--replace", "x", path).returncode == 0
        assert kvproto_command("tag", "get", "x").stdout == data
        DDFS().push("y", [path])
        *_, last = DDFS().urls("y")
        assert read(last[0])[0] == data


def test_a_pipe_that_is_pushed_is_stored_whole(tree):
    os.mkfifo(tree / "pipe")
    writer = threading.Thread(
        target=(tree / "pipe").write_bytes, args=(b"through a pipe\n" * 9999,)
    )
    writer.start()
    DDFS().push("x", [str(tree / "pipe")])
    writer.join()
    [file] = DDFS().pull("x")
    with file:
        assert file.read() == b"through a pipe\n" * 9999


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(tree):
    path = tree / "log"
    path.write_bytes(b"first\n")
    file, size = open_input(str(path))
    with open(path, "ab") as log:
        log.write(b"second\n" * 100_000)
    with file:
        assert (size, file.read()) == (6, b"first\n" + b"second\n" * 100_000)


def test_a_file_that_is_cut_while_it_goes_into_a_tag_is_an_error(tree):
    path = tree / "long"
    path.write_bytes(b"line\n" * 1_000_000)
    file, _ = open_input(str(path))
    os.truncate(path, 2_000_000)
    with (
        file,
        pytest.raises(
            DataError, match=f"input {path}: was cut short while it was read: 3000000 bytes"
        ),
    ):
        file.read()


def test_a_file_that_cannot_be_read_is_named_when_it_goes_into_a_tag():
    done = kvproto_command("tag", "put", "x", "/proc/self/mem")
    assert done.returncode == 1
    assert done.stderr.startswith(b"kvproto: input /proc/self/mem: Input/output error")


PARTS = st.sampled_from(["a", "*", "**", "?", "[ab]", "*.txt", "a*", "[[]x]", "*b"])


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "ab", "c.txt", "[x]"]), min_size=1, max_size=4),
        min_size=1,
        max_size=9,
    ),
    st.lists(PARTS, min_size=1, max_size=4),
)
def test_without_links_and_hidden_files_a_pattern_matches_what_glob_says(paths, pattern):
    with tempfile.TemporaryDirectory() as top:
        for *folders, name in paths:
            folder = os.path.join(top, *folders)
            with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                os.makedirs(folder, exist_ok=True)
                with open(os.path.join(folder, name), "x"):
                    pass
        pattern = os.path.join(top, *pattern)
        expected = {path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)}
        assert Search().matching(pattern) == sorted(expected)
