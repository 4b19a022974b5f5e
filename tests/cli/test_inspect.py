"""`kvproto inspect` as a user runs it."""

import pytest
from support.command_line import kvproto_command

from kvproto import encode_list, encode_pairs
from kvproto.classic import Job


def test_a_file_or_stdin_is_described_and_the_status_says_whether_it_is_valid(tmp_path):
    data = encode_pairs([("k", "one"), ("", "\n")])
    path = tmp_path / "pairs"
    path.write_bytes(data)
    done = kvproto_command("inspect", path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines()[:4] == [
        f"{path}: pairs, valid",
        "  2 pairs in 21 bytes, 10.5 bytes each on average",
        "",
        "  0000  01 00 00 00                           pair 0: key size 1",
    ]
    done = kvproto_command("inspect", "--as", "lists", stdin=data[:-1])
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.startswith(b"stdin: result lists, not valid\n")


def test_a_list_is_shown_by_the_number_of_its_pair():
    data = b"".join(encode_list([(f"w{n}", "1")]) for n in range(100))
    done = kvproto_command("inspect", "--list", "95", stdin=data)
    assert done.returncode == 0
    assert b"list 95: num-pairs 1" in done.stdout
    assert b'key "w95"' in done.stdout
    assert b"list 50" not in done.stdout


def test_a_result_file_of_a_job_is_checked_to_its_trailer(tmp_path):
    [path] = Job("words").run(input=["raw://a"], map=lambda e, p: [(e, 1)]).wait()
    done = kvproto_command("inspect", path)
    assert done.returncode == 0
    assert b"a result file of a job, valid" in done.stdout
    assert b"trailer:" in done.stdout
    assert b"key: 1 pickled pair, crc32" in done.stdout
    assert b"\n  1 pickled pair\n" in done.stdout
    with open(path, "rb") as file:
        data = file.read()
    at = data.index(b"kvpr-end") - 30
    done = kvproto_command("inspect", stdin=data[:at] + b"?" + data[at + 1 :])
    assert done.returncode == 1
    assert b"the file is damaged" in done.stdout
    done = kvproto_command("inspect", stdin=data[:-5])
    assert done.returncode == 1


@pytest.mark.parametrize(
    "arguments", [["--pair", "-1"], ["--pair", "x"], ["--as", "x"], ["--pair", "1", "--list", "1"]]
)
def test_a_wrong_option_is_a_usage_error(arguments):
    assert kvproto_command("inspect", *arguments).returncode == 2


@pytest.mark.parametrize(
    ("path", "reason"), [("/none", "No such file or directory"), ("/proc", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_an_error(path, reason):
    done = kvproto_command("inspect", path)
    assert (done.returncode, done.stderr.decode()) == (1, f"kvproto: {path}: {reason}\n")
