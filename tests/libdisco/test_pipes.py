"""libdisco between its pipes: it flushes exactly when its next read would block, and works for a
driver that waits for each answer and for one that never waits.

The socket pair of kind SEQPACKET, used as stdout or stderr, keeps apart what each write(2) wrote:
one recv() is one write.
"""

import fcntl
import os
import signal
import socket
import threading

import pytest
from support.disco_programs import PATIENCE, Build, Talk, run

from kvproto import encode_list, encode_message, encode_pair, encode_pairs, encode_params

pytestmark = pytest.mark.slow

PAIR = encode_pair("key", "value")
LIST = encode_list([("key", "value")])
PIPE_BYTES = 1 << 20


@pytest.fixture(scope="session")
def script(tmp_path_factory):
    return Build.plain(tmp_path_factory).program("script")


@pytest.fixture(scope="session", params=["plain", "musl", "portable"])
def any_script(request, tmp_path_factory):
    """For what holds whatever is known of stdio's buffers: never a deadlock, never a wrong byte."""
    return Build.of_kind(request.param, tmp_path_factory).program("script")


@pytest.fixture
def records():
    """A pair of sockets: each write to the second is one record of the first."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        end.settimeout(PATIENCE)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.documented(
    "7 output in a buffer: libdisco flushes it, and the driver also serves a worker that "
    "flushes late"
)
@pytest.mark.clause("MAP-4", "MAP-5", "PARAMS-9")
def test_driver_that_waits_for_each_answer_gets_it(any_script):
    with Talk(any_script, "params", "echo") as worker:
        worker.send(encode_params({"a": "b"}))
        for n in range(500):
            pair = (str(n), "v" * (n * 7 % 300))
            worker.send(encode_pair(*pair))
            answer = encode_list([pair])
            assert worker.receive(len(answer)) == answer
        assert worker.end().status == 0


@pytest.mark.clause("MAP-2", "MAP-5", "FRAME-5")
def test_driver_that_never_waits_gets_all_answers_in_order(any_script):
    pairs = [(b"%d" % n, b"x" * (n % 50)) for n in range(100_000)] + [(b"", b"y" * 3_000_000)] * 2
    result = run(any_script, "echo", stdin=encode_pairs(pairs))
    assert result.status == 0
    assert result.stdout == b"".join(encode_list([pair]) for pair in pairs)


@pytest.mark.clause("MAP-4", "FRAME-5")
@pytest.mark.parametrize("cut", range(len(PAIR)))
def test_answers_are_flushed_before_it_blocks_inside_a_pair(any_script, cut):
    with Talk(any_script, "echo") as worker:
        worker.send(PAIR * 10 + PAIR[:cut])
        assert worker.receive(10 * len(LIST)) == LIST * 10
        worker.send(PAIR[cut:])
        assert worker.receive(len(LIST)) == LIST
        assert worker.end().stdout == b""


@pytest.mark.clause("MAP-4")
def test_answers_are_flushed_before_it_blocks_inside_a_long_value(any_script):
    long = encode_pair("k", "v" * 1_000_000)
    with Talk(any_script, "echo") as worker:
        worker.send(PAIR + long[:700_000])
        assert worker.receive(len(LIST)) == LIST
        answer = encode_list([("k", "v" * 1_000_000)])
        threading.Thread(target=worker.send, args=[long[700_000:]]).start()
        assert worker.receive(len(answer)) == answer
        assert worker.end().status == 0


@pytest.mark.clause("MAP-4")
def test_answers_to_pairs_that_are_there_go_out_in_one_write_when_it_blocks(script, records):
    ours, theirs = records
    with Talk(script, "echo", stdout=theirs.fileno()) as worker:
        theirs.close()
        for n_ahead in (1, 1000, 1, 2):
            worker.send(PAIR * n_ahead)
            assert ours.recv(1 << 20) == LIST * n_ahead
        assert worker.end().status == 0
        assert ours.recv(1) == b""


def test_pairs_written_far_ahead_are_answered_by_whole_buffers(script, records):
    ours, theirs = records
    n_pairs = PIPE_BYTES // len(PAIR)
    with Talk(script, "fread:5", "echo", stdout=theirs.fileno()) as worker:
        theirs.close()
        fcntl.fcntl(worker.process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        worker.wait_until_it_sleeps()
        os.kill(worker.process.pid, signal.SIGSTOP)
        worker.send((b"begin" + PAIR * n_pairs)[:PIPE_BYTES])
        os.kill(worker.process.pid, signal.SIGCONT)
        sizes = []
        n_answers = (PIPE_BYTES - 5) // len(PAIR)
        while sum(sizes) < n_answers * len(LIST):
            sizes.append(len(ours.recv(1 << 20)))
        assert sum(sizes) == n_answers * len(LIST)
        assert min(sizes[:-1]) > 100_000, (
            "a write before the buffer was full, while input was there"
        )


def test_regular_file_and_dev_null_as_stdin(any_script, tmp_path):
    path = tmp_path / "pairs"
    path.write_bytes(PAIR * 50_000)
    with open(path, "rb") as file:
        result = run(any_script, "echo", stdin=file)
    assert (result.status, result.stdout) == (0, LIST * 50_000)
    with open(os.devnull, "rb") as file:
        result = run(any_script, "echo", stdin=file)
    assert (result.status, result.stdout) == (0, b"")


@pytest.mark.parametrize("unreadable", ["closed", "a directory"])
def test_stdin_that_cannot_be_read_is_an_error_not_the_end(any_script, tmp_path, unreadable):
    shell = {"closed": '"$0" echo <&-', "a directory": '"$0" echo < /'}[unreadable]
    result = run(["sh", "-c", shell, *any_script], stdin=None)
    assert result.status == 1
    assert len(result.errors) == 1 and result.errors[0].startswith("cannot read stdin: ")


@pytest.mark.parametrize(
    "way", [[], ["unbuffered"], ["line-buffered"]], ids=["buffered", "unbuffered", "line-buffered"]
)
def test_signals_that_interrupt_a_read_or_a_write_are_no_errors(script, way):
    newlines = (
        b"\n" * 10
    )  # whose size has the byte of a newline too: stdio itself would write at each of them
    pair, answer = encode_pair(newlines, newlines), encode_list([(newlines, newlines)])
    with Talk(script, *way, "interruptible", "echo") as worker:
        assert worker.receive(14, worker.process.stderr.fileno()) == b"**<MSG> ready\n"
        for _ in range(20):
            worker.wait_until_it_sleeps()  # in read(): there is no input
            worker.process.send_signal(signal.SIGALRM)
            worker.send(pair)
            assert worker.receive(len(answer)) == answer
        shift = (
            "",
            "x" * 5,
        )  # or the pipe, full pages of lists, would always be full between two of them
        writer = threading.Thread(target=worker.send, args=[encode_pair(*shift) + pair * 30_000])
        writer.start()
        for _ in range(20):
            worker.wait_until_it_sleeps()  # in write(): nobody reads
            worker.process.send_signal(signal.SIGALRM)
        answers = encode_list([shift]) + answer * 30_000
        assert worker.receive(len(answers)) == answers
        writer.join()
        result = worker.end()
        assert (result.status, result.stdout, result.errors) == (0, b"", [])


def test_descriptors_that_do_not_block_are_waited_for(script):
    many = PAIR * 60_000
    with Talk(script, "nonblocking", "echo") as worker:
        worker.send(PAIR)
        assert worker.receive(len(LIST)) == LIST
        writer = threading.Thread(target=worker.send, args=[many])
        writer.start()
        worker.wait_until_it_sleeps()
        assert worker.receive(60_000 * len(LIST)) == LIST * 60_000
        writer.join()
        result = worker.end()
        assert (result.status, result.errors) == (0, [])


@pytest.mark.clause("STDERR-1")
def test_message_of_several_lines_is_one_write(script, records):
    ours, theirs = records
    with Talk(script, "msg-twice:hello", "die:a\nb", stderr=theirs.fileno()) as worker:
        theirs.close()
        assert ours.recv(1 << 20) == encode_message("MSG", "hello\nhello\n")
        assert ours.recv(1 << 20) == encode_message("ERR", "a\nb")
        assert ours.recv(1) == b""
        worker.process.wait(PATIENCE)


def test_stdin_is_read_by_large_pieces(script, records):
    """Of a record that does not fit into one read(), the rest is lost."""
    ours, theirs = records
    record = PAIR * (100_000 // len(PAIR))
    with Talk(script, "echo", stdin=theirs.fileno()) as worker:
        theirs.close()
        ours.send(record)
        ours.shutdown(socket.SHUT_WR)
        result = worker.end()
    assert (result.status, result.stdout) == (0, LIST * (100_000 // len(PAIR)))


def test_buffering_that_the_program_has_chosen_stays(script, records):
    ours, theirs = records
    with Talk(script, "unbuffered", "prefix:0", "prefix:0", stdout=theirs.fileno()) as worker:
        theirs.close()
        assert [ours.recv(100), ours.recv(100), ours.recv(100)] == [bytes(4), bytes(4), b""]
        assert worker.end().status == 0
