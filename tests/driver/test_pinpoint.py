"""When a map fails, its input is played again to fresh workers, and the error shows the record."""

import os
import threading

import pytest
from support import catalogue
from support.scripts import TELL, script

from kvproto import ExternalProgram, encode_pair, encode_pairs, errors

pytestmark = pytest.mark.slow

PAIRS = [(b"%d" % index, b"the value of %d\n" % index) for index in range(20_000)]
AT = 12_345

READ = (
    TELL
    + """
    stdin = sys.stdin.buffer
    def take(): return stdin.read(*struct.unpack("<I", stdin.read(4)))
    def read():
        while size := stdin.read(4):
            yield stdin.read(*struct.unpack("<I", size)), take()
    params = stdin.read(int(stdin.readline()))
    """
)
"""The beginning of a script that reads pairs: `for key, value in read()`."""


@pytest.fixture(scope="module")
def fails_at(tmp_path_factory):
    return catalogue.program("fails_at.c", tmp_path_factory.mktemp("fails_at"))


def failure(worker, pairs=PAIRS):
    with pytest.raises(errors.WorkerError) as caught:
        list(worker.map(pairs))
    return caught.value


def frames_in_pieces(pairs, n_bytes):
    data = encode_pairs(pairs)
    return (data[start : start + n_bytes] for start in range(0, len(data), n_bytes))


FAILURES = {
    "crash": errors.WorkerCrashed,
    "exit0": errors.WorkerExitedEarly,
    "exit1": errors.WorkerExitedEarly,
    "error": errors.WorkerReported,
    "text": errors.WorkerWroteText,
    "hang": errors.WorkerHung,
}


@pytest.mark.parametrize("how", FAILURES)
def test_the_record_is_proved_for_each_way_to_fail(how, fails_at, private):
    messages = []
    options = {"idle": 1, "on_message": messages.append} if how == "hang" else {"idle": 60}
    with ExternalProgram([fails_at], args=[how, str(AT)], **options) as worker:
        error = failure(worker)
    assert type(error) is FAILURES[how]
    assert error.record == (AT, *PAIRS[AT], AT, None)
    report = str(error)
    assert f"at the record with number {AT} (counted from 0)\n" in report
    assert f'key, 5 bytes: "{AT}"\n' in report
    assert f'value, 19 bytes: "the value of {AT}\\n"\n' in report
    assert "played again: a fresh worker fails on this record alone, in the same way" in report
    assert "without an answer" not in report
    assert list(private.iterdir()) == []


@pytest.mark.clause("STDERR-5")
def test_the_messages_of_a_replay_are_not_passed_on(fails_at):
    messages = []
    with ExternalProgram([fails_at], args=["crash", str(AT)], on_message=messages.append) as worker:
        assert failure(worker).record.number == AT
    assert [message.text for message in messages] == [b"a new run"]


def test_frames_may_be_cut_anywhere(fails_at):
    with ExternalProgram([fails_at], args=["crash", str(AT)]) as worker:
        with pytest.raises(errors.WorkerCrashed) as caught:
            list(worker.map_frames(frames_in_pieces(PAIRS, 1009)))
        assert caught.value.record[:3] == (AT, *PAIRS[AT])


def test_the_caller_may_use_the_memory_of_a_piece_again(fails_at):
    def pieces():
        room = bytearray(len(encode_pair(b"10000", b"value")))
        for number in range(10_000, 10_900):
            room[:] = encode_pair(b"%d" % number, b"value")
            yield room

    with ExternalProgram([fails_at], args=["crash", "10700"]) as worker:
        with pytest.raises(errors.WorkerCrashed) as caught:
            list(worker.map_frames(pieces()))
        assert caught.value.record[:4] == (700, b"10700", b"value", 700)


def test_frames_may_come_from_a_descriptor(fails_at, tmp_path):
    (tmp_path / "frames").write_bytes(encode_pairs(PAIRS * 3))
    with (
        ExternalProgram([fails_at], args=["crash", "19999"]) as worker,
        open(tmp_path / "frames", "rb") as file,
    ):
        with pytest.raises(errors.WorkerCrashed) as caught:
            worker.pipe_frames("map", file.fileno(), len)
        assert caught.value.record[:3] == (19_999, *PAIRS[19_999])


def test_the_pair_is_read_to_its_end_if_the_worker_fails_at_its_beginning(tmp_path):
    body = "import os, sys\nsys.stdin.buffer.raw.read(2)\n" + (
        "while size := sys.stdin.buffer.raw.read(4):\n"
        "    if size[0] == 5: os.abort()\n"
        "    sys.stdin.buffer.raw.read(size[0] + 4)\n"
        "    os.write(1, bytes(4))\n"
    )
    cut = [encode_pair(b"key", b""), b"\5\0\0\0", b"large\0\0\0\0"]
    with ExternalProgram([script(tmp_path, body)]) as worker:
        with pytest.raises(errors.WorkerCrashed) as caught:
            list(worker.map_frames(iter(cut)))
        assert caught.value.record[:4] == (1, b"large", b"", 1)


def test_a_worker_that_answers_late_is_pinpointed_too(tmp_path):
    body = READ + (
        """
    answers = b""
    for key, value in read():
        if key == b"57": os.abort()
        answers += bytes(4)
    sys.stdout.buffer.write(answers)
    """
    )
    with ExternalProgram([script(tmp_path, body)]) as worker:
        error = failure(worker, PAIRS[:200])
        assert error.pair_index == 0
        assert error.record[:4] == (57, *PAIRS[57], 57)


def test_a_list_that_is_too_short_is_found_though_later_lists_hide_it(tmp_path):
    perl = r"""
    use strict; use warnings; binmode STDIN; binmode STDOUT; $| = 1;
    sub take { read(STDIN, my $data, $_[0]) == $_[0] or exit 1; return $data; }
    my $head = <STDIN>;
    until (eof STDIN) {
        my ($key, $value) = map { take(unpack "V", take(4)) } 1, 2;
        print pack "V V/a V/a", $key eq "77" ? 2 : 1, $key, $value;
    }
    """
    with ExternalProgram([script(tmp_path, perl, "/usr/bin/env perl")]) as worker:
        error = failure(worker, PAIRS[:300])
        assert isinstance(error, errors.WorkerOutputError)
        assert error.record[:4] == (77, *PAIRS[77], 77)


def test_a_record_that_fails_only_after_another_is_said_to(tmp_path):
    body = READ + (
        """
    seen = False
    for key, value in read():
        seen = seen or key == b"20"
        if key == b"50" and seen: sys.exit(3)
        tell()
    """
    )
    with ExternalProgram([script(tmp_path, body)]) as worker:
        error = failure(worker, PAIRS[:200])
    assert error.record[:4] == (50, *PAIRS[50], 20)
    assert "not reproduced alone; a fresh worker fails on it after pairs 20 to 49\n" in str(error)


def test_a_failure_that_comes_from_much_earlier_input_is_not_reproduced(tmp_path):
    body = READ + (
        """
    n_bytes = 0
    for key, value in read():
        n_bytes += len(value)
        if n_bytes > 5 << 20: os.abort()
        tell()
    """
    )
    pairs = [(b"", bytes(50_000))] * 300
    with ExternalProgram([script(tmp_path, body)]) as worker:
        error = failure(worker, pairs)
    assert error.record is None
    assert error.pair_index == 104
    assert "first input pair without an answer: number 104 " in str(error)
    assert "played again: not reproduced, a fresh worker does not fail on pairs " in str(error)
    assert "the failure needs the pairs before these, or is a matter of chance" in str(error)


def test_a_worker_that_fails_on_any_pair_or_on_none_is_said_to(tmp_path):
    on_any = READ + "\n    for key, value in read(): os.abort()\n"
    with ExternalProgram([script(tmp_path, on_any)]) as worker:
        assert "it fails on the next one alone, too, so perhaps on any" in str(failure(worker))
    with ExternalProgram([script(tmp_path, "import os; os.abort()")]) as worker:
        error = failure(worker)
        assert error.record is None
        assert "played again: a fresh worker fails in the same way without any pair" in str(error)


def test_a_failure_at_the_end_of_the_input_is_not_blamed_on_a_record(tmp_path):
    body = READ + (
        """
    n_pairs = sum(1 for pair in read())
    if n_pairs: os.abort()
    """
    )
    with ExternalProgram([script(tmp_path, body)]) as worker:
        error = failure(worker, PAIRS[:100])
    assert "so perhaps on any" in str(error)


def test_the_replays_have_the_same_files_and_parameters(tmp_path):
    (tmp_path / "bad").write_text("40")
    body = READ + (
        """
    bad = open("bad", "rb").read()
    for key, value in read():
        if params == b"4 fail 3 yes\\n" and key == bad: os.abort()
        tell()
    """
    )
    files = [script(tmp_path, body), tmp_path / "bad"]
    with ExternalProgram(files, params={"fail": "yes"}) as worker:
        assert failure(worker, PAIRS[:100]).record[:4] == (40, *PAIRS[40], 40)


def test_a_large_record_is_shown_in_part(fails_at):
    pairs = [*PAIRS[:100], ("large", b"\x00\xff\x01" * 2_000_000), *PAIRS[100:200]]
    with ExternalProgram([fails_at], args=["crash", "large"]) as worker:
        error = failure(worker, pairs)
    assert error.record[:3] == (100, b"large", pairs[100][1])
    assert "    value, 6000000 bytes:\n      0000  00 ff 01 00" in str(error)
    assert "[cut: 5999928 more bytes]\n" in str(error)
    assert len(str(error)) < 2000


def test_a_record_too_large_to_be_kept_is_said_to_be(fails_at):
    pairs = [*PAIRS[:100], (b"large", bytes(65 << 20))]
    with ExternalProgram([fails_at], args=["crash", "large"]) as worker:
        error = failure(worker, pairs)
    assert error.record is None
    assert "too large to be kept" in str(error)


def test_no_input_is_played_again_if_that_is_turned_off(fails_at):
    with ExternalProgram([fails_at], args=["crash", str(AT)], pinpoint=False) as worker:
        error = failure(worker)
    assert (error.record, error.replay) == (None, "")
    assert "first input pair without an answer: number" in str(error)
    assert "played again" not in str(error)


def test_the_search_ends_in_time(tmp_path):
    body = READ + (
        """
    import time
    for number, (key, value) in enumerate(read()):
        if key == b"90": os.abort()
        time.sleep(0.05)
        sys.stdout.buffer.write(bytes(4))
    """
    )
    with ExternalProgram([script(tmp_path, body)], pinpoint=1) as worker:
        error = failure(worker, PAIRS[:100])
    assert error.record is None
    assert "the search for the record ran out of time" in str(error)


def test_a_reduce_and_a_program_that_cannot_start_are_not_played_again(fails_at, tmp_path):
    with (
        ExternalProgram([fails_at], args=["crash", "5"]) as worker,
        pytest.raises(errors.WorkerCrashed) as caught,
    ):
        list(worker.reduce(PAIRS))
    assert caught.value.replay == ""
    with ExternalProgram([script(tmp_path, "", "/no/such/interpreter")]) as worker:
        error = failure(worker)
    assert (type(error), error.replay) == (errors.WorkerNotStarted, "")


def test_closing_the_program_ends_a_search(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    body = READ + (
        f"""
    for key, value in read(): pass
    if key == b"99": os.abort()
    open({str(gate)!r}, "rb").read()
    """
    )
    worker = ExternalProgram([script(tmp_path, body)])

    def close_once_it_plays():
        os.close(os.open(gate, os.O_WRONLY))
        worker.close()

    thread = threading.Thread(target=close_once_it_plays)
    thread.start()
    with pytest.raises(errors.KVProtoError, match="closed while its output was being read"):
        list(worker.map(PAIRS[:100]))
    thread.join()
