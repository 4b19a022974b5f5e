"""The old modules that have code of their own: disco.util, compat, settings, netstring, modutil,
fileutils, schemes.
"""

import functools
import hashlib
import io
import json
import sys

import pytest

from kvproto.classic.disco_names import compat, util
from kvproto.classic.disco_names import compat as modutil
from kvproto.classic.disco_names import compat as netstring
from kvproto.classic.disco_names import files as fileutils
from kvproto.classic.disco_names import files as schemes
from kvproto.classic.disco_names import jobs as external
from kvproto.classic.disco_names.compat import DiscoSettings
from kvproto.classic.task_io import disco_input_stream
from kvproto.errors import DataError, JobError
from kvproto.protocol.params import decode_params

# --- util --------------------------------------------------------------------------------------


def test_what_has_items_is_iterated_and_a_string_is_one_thing():
    assert [util.isiterable(x) for x in ([], (), iter([]), "ab", b"ab", 5, None)] == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert [list(util.iterify(x)) for x in (5, [5], "ab", b"ab")] == [[5], [5], ["ab"], [b"ab"]]
    assert [util.listify(x) for x in (None, (1, 2))] == [[None], [1, 2]]


def test_nested_items_become_flat():
    nested = 0, [1, [2, 3], [["four", [5, [b"six"]]]]]
    assert list(util.flatten(nested)) == [0, 1, 2, 3, "four", 5, b"six"]
    assert util.chainify([[1, [2]], (3,)]) == [1, [2], 3]


def test_items_are_counted_shuffled_and_parted():
    assert util.ilen(iter("abc")) == 3
    assert sorted(util.shuffled(range(5))) == [0, 1, 2, 3, 4]
    assert util.partition(range(5), lambda n: n % 2) == ([1, 3], [0, 2, 4])


def test_an_entry_is_a_pair_or_becomes_one():
    assert [util.iskv(x) for x in (("a", 1), ["a", 1], ("a",), "ab")] == [True, False, False, False]
    assert [util.kvify(x) for x in (("a", 1), "ab")] == [("a", 1), ("ab", None)]
    assert util.key(("a", 1)) == "a"


@pytest.mark.parametrize(
    "url, parts",
    [
        ("http://host/path", ("http", ("host", ""), "path")),
        ("http://host:80/long/path", ("http", ("host", "80"), "long/path")),
        ("http://user:word@host:80/path", ("http", ("host", "80"), "path")),
        ("disco://master/long/path", ("http", ("master", "8989"), "long/path")),
        ("tag://the:tag", ("tag", ("", ""), "the:tag")),
        ("tag://host/the:tag", ("tag", ("host", ""), "the:tag")),
    ],
)
def test_a_url_is_split(url, parts):
    assert util.urlsplit(url) == parts


def test_the_port_of_disco_urls_is_a_setting(monkeypatch):
    monkeypatch.setenv("DISCO_PORT", "1234")
    assert util.urlsplit("disco://host/path") == ("http", ("host", "1234"), "path")


def test_a_url_is_joined_again():
    for url in ("http://host:80/long/path", "tag://a:tag", "tag://host/a:tag"):
        assert util.urljoin(util.urlsplit(url)) == url
    assert [util.schemesplit(url) for url in ("raw://a://b", "path")] == [
        ("raw", "a://b"),
        ("", "path"),
    ]
    assert [str(util.netloc.parse(text)) for text in ("host", "host:80")] == ["host", "host:80"]
    assert not util.netloc.parse("")


def test_the_name_of_a_job_is_in_its_results():
    assert util.jobname("/home/jobs/Words@20240101/results/part-0") == "Words@20240101"
    assert util.jobname("disco://host/disco/host/f0/Words@1:2/map-0") == "Words@1:2"
    with pytest.raises(JobError, match="part-0 is not a result of a job"):
        util.jobname("part-0")


def test_an_index_gives_its_urls_by_label(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    (tmp_path / "index").write_text(f"10 {tmp_path}/a 1\n2 {tmp_path}/b 1\n2 {tmp_path}/c 1\n")
    index = f"dir://{tmp_path}/index"
    assert util.parse_dir(index) == [f"{tmp_path}/{name}" for name in "bca"]
    assert util.parse_dir(index, partition=2) == [f"{tmp_path}/{name}" for name in "bc"]
    assert next(iter(util.read_index(index))) == ("10", f"{tmp_path}/a")
    assert [util.ispartitioned(x) for x in (index, [index], [[index]], [index, "a"], "a", [])] == [
        True
    ] * 3 + [False] * 3


def test_small_things(capsys):
    assert util.identity(util) is util
    assert util.hexhash(b"job") == hashlib.md5(b"job").hexdigest()[:2]
    assert util.reify("os.path.join")("a", "b") == "a/b"
    assert [util.format_size(n) for n in (5, 2048, 3 << 30, 1 << 50)] == [
        "5.0 bytes",
        "2.0KB",
        "3.0GB",
        "1024.0TB",
    ]
    util.msg("said")
    assert capsys.readouterr().out == "said\n"
    with pytest.raises(JobError, match="the end"):
        util.err("the end")
    with pytest.raises(DataError, match="not yet: http://x"):
        util.data_err("not yet", "http://x")


# --- compat and settings -----------------------------------------------------------------------


def test_any_bytes_become_str_and_the_same_bytes_again():
    data = bytes(range(256))
    assert compat.str_to_bytes(compat.bytes_to_str(data)) == data
    assert (compat.bytes_to_str("s"), compat.str_to_bytes(b"b"), compat.str_to_bytes("\xe9")) == (
        "s",
        b"b",
        b"\xc3\xa9",
    )
    assert (compat.bytes_of_int(200), compat.int_of_byte(b"\xc8"[0])) == (b"\xc8", 200)
    assert isinstance("s", compat.basestring) and isinstance(5, compat.integer_types)
    assert compat.pickle_loads(compat.pickle_dumps([1])) == [1]


def test_settings_are_those_given_then_those_of_the_environment_then_the_defaults(
    monkeypatch, home
):
    monkeypatch.setenv("DISCO_EVENTS", "raw")
    monkeypatch.setenv("DISCO_PORT", "1")
    settings = DiscoSettings(DISCO_PORT="2")
    assert (settings["DISCO_PORT"], settings["DISCO_EVENTS"], settings["DISCO_TEST_PORT"]) == (
        "2",
        "raw",
        "0",
    )
    assert settings["DISCO_ROOT"] == str(home)
    settings["DISCO_EVENTS"] = ""
    assert settings["DISCO_EVENTS"] == ""
    assert "@" in settings["DISCO_JOB_OWNER"]


def test_a_setting_that_is_not_there_is_an_error_with_those_that_are():
    with pytest.raises(
        KeyError,
        match=r"DISCO_ERLANG: neither kvproto nor the environment has.*kvproto has .*DISCO_MASTER",
    ):
        DiscoSettings()["DISCO_ERLANG"]
    assert DiscoSettings().get("DISCO_ERLANG", "x") == "x"
    assert DiscoSettings().get("DISCO_DEBUG") == "off"


# --- netstring, external, fileutils, schemes ---------------------------------------------------


def test_a_parameter_set_is_written_as_worker_programs_read_it():
    params = {"a": "1\n2", "long name": "", "n": 5, "\xe9": "\udcff"}
    data = netstring.encode_netstring_fd(params)
    assert decode_params(data) == {
        b"a": b"1\n2",
        b"long name": b"",
        b"n": b"5",
        b"\xc3\xa9": b"\xff",
    }
    assert netstring.encode_netstring_str([("a", "b"), ("a", "c")]) == b"1 a 1 b\n1 a 1 c\n"
    assert netstring.decode_netstring_str("1 a 1 b\n2 bc 0 \n") == [("a", "b"), ("bc", "")]


@pytest.mark.parametrize("wrap", [io.BytesIO, lambda data: io.TextIOWrapper(io.BytesIO(data))])
def test_a_parameter_set_is_read_from_a_file_and_not_a_byte_more(wrap):
    file = wrap(netstring.encode_netstring_fd({"a": "\xe9"}) + b"the rest")
    assert netstring.decode_netstring_fd(file) == {"a": "\xe9"}
    assert file.read() in (b"the rest", "the rest")


def test_a_parameter_set_that_is_cut_or_malformed_is_an_error():
    for cut in (b"", b"8", b"8\n1 a 1"):
        with pytest.raises(EOFError):
            netstring.decode_netstring_fd(io.BytesIO(cut))
    for bad in (b"8 \n", b"x\n", b"12345678901234\n", b"9999999999\n", b"4\n1 a \n"):
        with pytest.raises(netstring.NetStringError):
            netstring.decode_netstring_fd(io.BytesIO(bad))


def test_a_program_is_packaged_with_its_files(tmp_path):
    (tmp_path / "prog").write_text("#!/bin/sh")
    (tmp_path / "prog").chmod(0o755)
    (tmp_path / "prog.conf").write_text("its file")
    packed = external.package([str(tmp_path / "prog"), str(tmp_path / "prog.conf")])
    assert packed == {"op": b"#!/bin/sh", "prog.conf": b"its file"}


@pytest.mark.parametrize(
    "options, first",
    [({}, 0x81), ({"version": 1, "compression_level": 2}, 0x81), ({"version": 0}, ord("3"))],
)
def test_the_old_result_formats_are_written(options, first):
    file = io.BytesIO()
    stream = fileutils.DiscoOutputStream(file, **options)
    stream.add("key", "value")
    stream.close()
    assert file.getvalue()[0] == first
    file.seek(0)
    assert list(disco_input_stream(file, len(file.getvalue()), "here")) == [("key", "value")]


def test_an_input_is_opened_by_its_url(tmp_path):
    (tmp_path / "file").write_bytes(b"one\ntwo\n")
    with (
        schemes.open("raw://some data") as raw,
        schemes.open(str(tmp_path / "file"), task=None) as file,
    ):
        assert (raw.read(), file.read()) == (b"some data", b"one\ntwo\n")
    with schemes.import_scheme("file://x").input_stream(None, None, str(tmp_path / "file"), None)[
        0
    ] as stream:
        assert list(stream) == ["one\n", "two\n"]


def test_a_result_file_is_opened_by_its_url(tmp_path):
    with open(tmp_path / "result", "wb") as file:
        stream = fileutils.DiscoOutputStream(file)
        stream.add("k", "v")
        stream.close()
    assert list(schemes.open_chain(f"file://{tmp_path}/result")) == [("k", "v")]


def test_no_more_of_a_malformed_parameter_set_is_read_than_tells_that():
    class File(io.BytesIO):
        def read(self, size):
            assert size == 1
            return super().read(size)

    for bad in (b"1" * 100, b"9999999999\n"):
        file = File(bad)
        with pytest.raises(netstring.NetStringError):
            netstring.decode_netstring_fd(file)
        assert file.tell() == 11


# --- modutil -----------------------------------------------------------------------------------


def uses_system():
    os.path.join("a")  # noqa: F821
    return [math.pi for _ in range(3)], len.__name__, io.BytesIO  # noqa: F821


def uses_local():
    return local_one.magic(5)  # noqa: F821


def uses_missing():
    return no_such_module_at_all.magic(5)  # noqa: F821


@pytest.fixture
def local_modules(tmp_path, monkeypatch):
    (tmp_path / "local_one.py").write_text(
        "import json, local_two\ndef magic(n): return local_two.more(n)\n"
    )
    (tmp_path / "local_two.py").write_text("def more(n): return n + 1\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return tmp_path


def test_modules_of_the_system_are_found_by_their_names():
    assert sorted(modutil.find_modules([uses_system])) == ["io", "math", "os"]
    assert modutil.parse_function(functools.partial(uses_system)) == modutil.parse_function(
        uses_system
    )
    assert modutil.find_modules([uses_system], exclude=["os", "io"]) == ["math"]


def test_modules_that_nobody_imported_are_guessed():
    def uses_imported():
        return json.dumps([os.sep, no_such_module_at_all.x])  # noqa: F821

    assert modutil.guess_modules([uses_imported, functools.partial(uses_system), str.split]) == (
        "os",
        "math",
    )


def test_local_modules_are_found_with_their_paths_and_those_that_they_use(local_modules):
    one, two = (
        ("local_one", str(local_modules / "local_one.py")),
        ("local_two", str(local_modules / "local_two.py")),
    )
    assert sorted(modutil.find_modules([uses_local])) == [one, two]
    assert modutil.find_modules([uses_local], recurse=False) == [one]
    assert modutil.find_modules([uses_local], send_modules=False) == ["local_one"]
    assert modutil.locate_modules(["local_two", "json"]) == [two]
    assert modutil.locate_modules(["local_two", "json"], include_sys=True) == [two, ("json", None)]


def test_a_module_that_cannot_be_found_is_an_error_with_the_function():
    with pytest.raises(
        modutil.ModUtilImportError, match="uses_missing: there is no module no_such_module_at_all; "
    ):
        modutil.find_modules([uses_missing])
