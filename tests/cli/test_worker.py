"""`kvproto map` and `kvproto reduce`, run as a user runs them: a process, bytes in, bytes out, an
exit status.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import catalogue
from support.command_line import command_line, kvproto_command
from support.scripts import script

import kvproto
from kvproto import forms
from kvproto.errors import Truncated

pytestmark = pytest.mark.slow

ECHO = catalogue.HERE / "echo.py"
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


def through_echo(mode, stdin, *options):
    """What comes out of the identity worker, which has to end well and say nothing."""
    done = kvproto_command(mode, *options, "--", ECHO, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


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


# --- forms -------------------------------------------------------------------------------------

BINARY = [
    (b"", b""),
    (b"k\t\n", b"\0\xff\xfe"),
    ("naïve".encode(), b'"\\\r\n'),
    (bytes(range(256)), b"x" * 70000),
]


@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_kv_to_kv_is_the_same_bytes(mode):
    data = kvproto.encode_pairs(BINARY * 50)
    assert through_echo(mode, data, "--in", "kv", "--out", "kv") == data


@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_jsonl_there_and_back_is_the_same_bytes(mode):
    data = kvproto.encode_pairs(BINARY * 50)
    lines = through_echo(mode, data, "--in", "kv", "--out", "jsonl")
    assert lines.count(b"\n") == len(BINARY) * 50
    assert through_echo(mode, lines, "--in", "jsonl", "--out", "kv") == data


def test_lines_are_values_with_their_newline_and_an_empty_key():
    lines = b"one\n\ntwo \xff\0\nunended"
    pairs = kvproto.decode_pairs(through_echo("map", lines, "--in", "lines", "--out", "kv"))
    assert pairs == [(b"", b"one\n"), (b"", b"\n"), (b"", b"two \xff\0\n"), (b"", b"unended")]


def test_text_is_key_tab_value_newline():
    data = kvproto.encode_pairs([(b"key", b"value"), (b"\xff", b"a\tb\n")])
    assert through_echo("map", data, "--in", "kv", "--out", "text") == b"key\tvalue\n\xff\ta\tb\n\n"


def test_text_is_read_as_it_is_written():
    data = b"key\tvalue\n\xff\ta\tb\n\tempty key\nempty value\t\nno tab\n\nlast\tunended"
    read = b"key\tvalue\n\xff\ta\tb\n\tempty key\nempty value\t\nno tab\t\n\t\nlast\tunended\n"
    assert through_echo("map", data, "--in", "text", "--out", "text") == read
    assert (
        through_echo("reduce", data) == read
    )  # what map writes when nothing is said, reduce reads


def test_the_default_is_lines_to_text():
    assert through_echo("map", b"one\ntwo\n") == b"\tone\n\n\ttwo\n\n"


def test_jsonl_takes_a_lone_item_as_a_value_and_skips_blank_lines():
    lines = b'"value"\n\n[{"base64": "/w=="}, "\\u00e9"]\n{"base64": "AA=="}'
    pairs = kvproto.decode_pairs(through_echo("map", lines, "--in", "jsonl", "--out", "kv"))
    assert pairs == [(b"", b"value"), (b"\xff", "é".encode()), (b"", b"\0")]


@pytest.mark.parametrize("mode", ["map", "reduce"])
@pytest.mark.parametrize("form", ["lines", "jsonl", "kv"])
def test_no_input_is_no_output(mode, form):
    assert through_echo(mode, b"", "--in", form) == b""


def test_jsonl_shows_text_as_it_is():
    data = kvproto.encode_pair("naïve", b"\xff")
    lines = through_echo("map", data, "--in", "kv", "--out", "jsonl")
    assert lines.decode() == '["naïve", {"base64": "/w=="}]\n'


def test_the_limit_of_a_line_counts_that_line_alone():
    frames = b"".join(forms.frames_from_lines([b"aa", b"a\nbb", b"b\ncc", b"c\n"], max_item=4))
    assert [value for _key, value in kvproto.decode_pairs(frames)] == [b"aaa\n", b"bbb\n", b"ccc\n"]


@pytest.mark.parametrize("write", [forms.text_from_frames, forms.jsonl_from_frames])
def test_frames_that_end_inside_a_pair_are_an_error(write):
    with pytest.raises(Truncated):
        list(write([kvproto.encode_pair(b"key", b"value")[:-1]]))


def test_a_line_of_several_pieces_stays_one():
    line = b"x" * 5_000_000 + b"\n"
    assert through_echo("map", b"a\n" + line + b"b\n", "--out", "kv") == kvproto.encode_pairs(
        [(b"", b"a\n"), (b"", line), (b"", b"b\n")]
    )


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20))), st.integers(1, 30))
def test_jsonl_round_trip_of_any_pairs_cut_anywhere(pairs, n_bytes):
    frames = kvproto.encode_pairs(pairs)
    lines = b"".join(forms.jsonl_from_frames(_cut(frames, n_bytes)))
    assert b"".join(forms.frames_from_jsonl(_cut(lines, n_bytes))) == frames


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xff"])).map(b"".join), st.integers(1, 30))
def test_lines_of_any_bytes_cut_anywhere(text, n_bytes):
    pairs = kvproto.decode_pairs(b"".join(forms.frames_from_lines(_cut(text, n_bytes))))
    assert b"".join(value for _key, value in pairs) == text
    assert all(key == b"" and re.fullmatch(rb"[^\n]*\n|[^\n]+", value) for key, value in pairs)


def _cut(data, n_bytes):
    return [data[at : at + n_bytes] for at in range(0, len(data), n_bytes)]


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


# --- stderr, pipes, signals --------------------------------------------------------------------


def test_messages_go_to_stderr_without_tag_and_other_lines_as_they_are():
    files = ["-f", catalogue.HERE / "raw.py"]
    tagged = kvproto_command(
        "map", *files, "--", catalogue.HERE / "stderr_not_utf8.py", stdin=b"x\n"
    )
    assert (tagged.returncode, tagged.stderr) == (0, b"caf\xe9 \xff\n")
    untagged = kvproto_command(
        "map", *files, "--", catalogue.HERE / "stderr_unended.py", stdin=b"x\n"
    )
    assert (untagged.returncode, untagged.stderr) == (0, b"no newline here\n")


def test_what_a_worker_said_is_shown_once_and_not_again_in_the_report(tmp_path):
    worker = script(
        tmp_path,
        "import sys\nprint('**<MSG> one', file=sys.stderr)\nsys.stdin.read()\nsys.exit('plain')",
    )
    said = kvproto_command("map", "--", worker, stdin=b"x\n").stderr
    assert said.startswith(b"one\nplain\nkvproto: ") and (
        said.count(b"one"),
        said.count(b"plain"),
    ) == (1, 1)
    silent = script(tmp_path, "import sys\nsys.stdin.read()\nsys.exit(1)")
    assert (
        b"it wrote nothing to stderr" in kvproto_command("map", "--", silent, stdin=b"x\n").stderr
    )


def test_a_line_of_stderr_that_was_cut_says_so():
    files = ["-f", catalogue.HERE / "raw.py"]
    done = kvproto_command("map", *files, "--", catalogue.HERE / "floods_untagged.py", stdin=b"x\n")
    assert (done.returncode, done.stderr) == (0, b"y" * 65536 + b" [39934464 more bytes cut]\n")


def test_a_reader_that_goes_away_ends_it_quietly_and_the_worker_with_it(tmp_path):
    worker = tmp_path / "endless"
    worker.write_text(
        "#!/usr/bin/env python3\nimport os, sys\nsys.stdin.buffer.read(2)\n"
        "os.write(2, b'%d\\n' % os.getpid())\n"
        "while True: "
        "sys.stdout.buffer.write(b'\\x01\\0\\0\\0\\x01\\0\\0\\0k\\x01\\0\\0\\0v' * 1000)\n"
    )
    worker.chmod(0o755)
    with subprocess.Popen(
        command_line("reduce", "--", worker),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        watched = os.pidfd_open(int(process.stderr.readline()))
        assert process.stdout.read(10) == b"k\tv\nk\tv\nk\t"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == -signal.SIGPIPE
    assert select.select([watched], [], [], 60)[0]
    os.close(watched)


def test_head_of_a_shell_pipe_gets_its_bytes_and_no_complaint(tmp_path):
    data = tmp_path / "input"
    data.write_bytes(b"line\n" * 1_000_000)
    line = f'"{sys.executable}" -m kvproto map -- "{ECHO}" < "{data}" | head -c 10'
    done = subprocess.run(["sh", "-c", line], capture_output=True, cwd="/", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\tline\n\n\tli", b"")


def test_an_answer_comes_out_before_the_input_ends():
    """As in `tail -f log | kvproto map`: a pair is answered when it is there, not when the next one
    is.
    """
    for form, pair in ("kv", kvproto.encode_pair(b"", b"one\n")), ("lines", b"one\n"):
        with subprocess.Popen(
            command_line("map", "--in", form, "--", ECHO),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            process.stdin.write(pair)
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0], (
                f"--in {form}: no answer while stdin is open"
            )
            assert process.communicate()[0] == b"\tone\n\n"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_a_signal_ends_it_as_it_ends_any_program(number):
    with subprocess.Popen(
        command_line(
            "map", "-f", catalogue.HERE / "raw.py", "--", catalogue.HERE / "stderr_not_utf8.py"
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr.readline() == b"caf\xe9 \xff\n"
        process.send_signal(number)
        assert process.stderr.read() == b""
    assert process.returncode == -number


@pytest.mark.parametrize("form", ["kv", "lines"])
@pytest.mark.parametrize(
    "closed, says",
    [("<&-", b"Bad file descriptor"), (">&-", b"stdout"), ("> /dev/full", b"stdout")],
)
def test_stdin_or_stdout_that_cannot_be_used_is_an_error(form, closed, says):
    data = {"kv": kvproto.encode_pair(b"", b"one\n"), "lines": b"one\n"}[form]
    line = f'"{sys.executable}" -m kvproto map --in {form} -- "{ECHO}" {closed}'
    done = subprocess.run(
        ["sh", "-c", line], input=data, capture_output=True, cwd="/", timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert says in done.stderr and b"Traceback" not in done.stderr


def test_without_stderr_nothing_of_it_gets_into_the_output():
    line = (
        f'"{sys.executable}" -m kvproto map -f "{catalogue.HERE}/raw.py" -- '
        f'"{catalogue.HERE}/stderr_not_utf8.py" 2>&-'
    )
    done = subprocess.run(
        ["sh", "-c", line], input=b"one\n", capture_output=True, cwd="/", timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"\tone\n\n")


FAILS_ON_BAD = """
    import os, struct, sys
    stdin = sys.stdin.buffer
    stdin.read(int(stdin.readline()))
    while size := stdin.read(4):
        stdin.read(*struct.unpack("<I", size))
        value = stdin.read(*struct.unpack("<I", stdin.read(4)))
        if value == b"bad\\n":
            open("core", "w").write("memory")
            os.abort()
        os.write(1, bytes(4))
"""


def test_the_record_at_which_a_map_fails_is_shown_and_its_core_file_is_kept(tmp_path):
    worker = script(tmp_path, FAILS_ON_BAD)
    run = subprocess.run(
        command_line("map", "--", str(worker)),
        input=b"good\n" * 30 + b"bad\n" + b"good\n" * 30,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 1
    shown = run.stderr.decode()
    assert "at the record with number 30 (counted from 0)\n" in shown
    assert 'value, 4 bytes: "bad\\n"\n' in shown
    assert "played again: a fresh worker fails on this record alone, in the same way\n" in shown
    (core,) = tmp_path.glob("core.*")
    assert core.read_text() == "memory"
    assert f"its core file: {core}\n" in shown
    assert f"gdb {worker} {core} shows where it crashed" in shown


def test_no_input_is_played_again_with_pinpoint_0(tmp_path):
    worker = script(tmp_path, FAILS_ON_BAD)
    run = kvproto_command("map", "--pinpoint", "0", "--", str(worker), stdin=b"bad\n")
    assert run.returncode == 1
    assert b"first input pair without an answer: number 0 " in run.stderr
    assert b"played again" not in run.stderr
