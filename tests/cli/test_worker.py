"""The options of `kvproto map` and `kvproto reduce`, and the errors that end them."""

import json

import pytest
from support import catalogue
from support.command_line import ECHO, kvproto_command, through_echo

import kvproto

pytestmark = pytest.mark.slow

SHOWS_START = """\
#!/usr/bin/env python3
import json, os, sys
stdin, params = sys.stdin.buffer, sys.stdin.buffer.read(%d)
rest = stdin.read()
files = sorted(os.listdir("."))
shown = {"params": params.decode("latin-1"), "argv": sys.argv[1:], "files": files}
shown = json.dumps(shown).encode()
size = len(shown).to_bytes(4, "little")
sys.stdout.buffer.write(b"\\x01\\0\\0\\0" + b"\\0\\0\\0\\0" + size + shown)
"""


@pytest.fixture
def start_shown(tmp_path):
    """A worker that, for one pair of input, answers with its parameters (n bytes), arguments and
    files.
    """

    def run(n_bytes, *options, worker_arguments=()):
        worker = tmp_path / "shows_start"
        worker.write_text(SHOWS_START % n_bytes)
        worker.chmod(0o755)
        done = kvproto_command(
            "map", *options, "--out", "jsonl", "--", worker, *worker_arguments, stdin=b"one\n"
        )
        assert done.returncode == 0, done.stderr
        return json.loads(json.loads(done.stdout)[1])

    return run


# --- options -----------------------------------------------------------------------------------


def test_without_parameters_the_set_is_empty(start_shown):
    assert start_shown(2)["params"] == "0\n"


def test_parameters_are_sent_in_order_and_may_hold_an_equals_sign(start_shown):
    encoded = kvproto.encode_params({"stop words": "a=b", "n": ""})
    assert (
        start_shown(len(encoded), "-p", "stop words=a=b", "--param", "n=")["params"]
        == encoded.decode()
    )


def test_raw_parameters_are_the_bytes_of_the_file(start_shown, tmp_path):
    (tmp_path / "raw").write_bytes(b"any\xff\n")
    assert start_shown(5, "--raw-params", tmp_path / "raw")["params"] == "any\xff\n"


def test_no_parameters_sends_nothing_before_the_pair(start_shown):
    assert start_shown(12, "--no-params")["params"] == "\0\0\0\0\x04\0\0\0one\n"


def test_supporting_files_lie_beside_the_program(start_shown, tmp_path):
    (tmp_path / "words.txt").write_text("")
    assert start_shown(2, "-f", tmp_path / "words.txt")["files"] == ["op", "words.txt"]


def test_arguments_of_the_worker_come_before_the_mode(start_shown):
    assert start_shown(2, worker_arguments=["--out", "--", "-p"])["argv"] == [
        "--out",
        "--",
        "-p",
        "map",
    ]


@pytest.mark.parametrize("limit", ["start", "idle", "total", "grace"])
def test_a_limit_is_taken_and_a_quick_worker_keeps_it(limit):
    assert through_echo("map", b"one\n", f"--{limit}", "60") == b"\tone\n\n"


@pytest.mark.parametrize("limit", ["idle", "total"])
def test_a_worker_that_hangs_ends_with_the_limit_by_name(limit):
    done = kvproto_command(
        "map", f"--{limit}", "0.2", "--", catalogue.HERE / "never_reads.sh", stdin=b"one\n"
    )
    assert done.returncode == 1
    assert limit.encode() in done.stderr


def test_max_item_holds_for_what_the_worker_writes():
    data = kvproto.encode_pair(b"", b"12345")
    assert through_echo("map", data, "--in", "kv", "--out", "kv", "--max-item", "5") == data
    done = kvproto_command(
        "map", "--in", "kv", "--out", "kv", "--max-item", "4", "--", ECHO, stdin=data
    )
    assert done.returncode == 1
    assert b"5 bytes" in done.stderr and b"max_item" in done.stderr


def test_max_item_holds_for_a_line():
    done = kvproto_command("map", "--max-item", "4", "--", ECHO, stdin=b"12345")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"4 bytes" in done.stderr


@pytest.mark.parametrize(
    "form, data", [("lines", b"12345\n"), ("text", b"a\tb\n\t12345\n"), ("jsonl", b'"12345"\n')]
)
def test_max_item_holds_for_each_form_of_input_and_is_no_traceback(form, data):
    done = kvproto_command("map", "--in", form, "--max-item", "4", "--", ECHO, stdin=data)
    assert done.returncode == 1
    assert b"max_item" in done.stderr and b"Traceback" not in done.stderr


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_a_worker_that_fails_is_status_1_and_a_report_without_traceback(mode):
    done = kvproto_command(
        mode,
        "-f",
        catalogue.HERE / "raw.py",
        "--",
        catalogue.HERE / "exits_3_at_the_end.py",
        stdin=b"x\n",
    )
    assert done.returncode == 1
    assert b"exit status 3" in done.stderr and b"what to do:" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options, worker, says",
    [
        ([], "no/such/worker", b"no/such/worker"),
        (["-f", "no/such/file"], ECHO, b"no/such/file"),
        (["--raw-params", "no/such/params"], ECHO, b"no/such/params"),
        (["-f", ECHO, "-f", ECHO], ECHO, b"echo.py"),
    ],
)
def test_a_file_that_is_not_there_or_there_twice_is_named(options, worker, says):
    done = kvproto_command("map", *options, "--", worker, stdin=b"x\n")
    assert (done.returncode, done.stdout) == (1, b"")
    assert says in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "bad",
    [
        b"[1, 2]",
        b'["a"]',
        b"{}",
        b'{"other": "aGk="}',
        b'{"base64": "?"}',
        b"nonsense",
        b"[" * 100_000,
        b'"\\ud800"',
    ],
)
def test_a_bad_json_line_is_named_by_number(bad):
    done = kvproto_command("map", "--in", "jsonl", "--", ECHO, stdin=b'"good"\n\n' + bad + b"\n")
    assert done.returncode == 1
    assert b"line 3 of the input" in done.stderr and b"Traceback" not in done.stderr


def test_kv_input_cut_short_is_an_error():
    done = kvproto_command(
        "map", "--in", "kv", "--", ECHO, stdin=kvproto.encode_pair(b"key", b"value")[:-1]
    )
    assert done.returncode == 1
    assert b"inside the value" in done.stderr and b"Traceback" not in done.stderr
