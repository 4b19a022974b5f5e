"""How long the driver waits for a worker, and for whom the clock stands still; what it makes of
floods, signals and masks.
"""

import os
import select
import signal
import threading

import pytest
from support.scripts import PAIRS, script

from kvproto import ExternalProgram, encode_pairs, errors

pytestmark = pytest.mark.slow


@pytest.mark.clause("LIFECYCLE-6")
@pytest.mark.parametrize("name", ["idle", "total"])
def test_a_hang_ends_by_the_time_out_that_was_set_and_says_which(tmp_path, private, name):
    limits = {"idle": None, "total": None, name: 0.3}
    with (
        ExternalProgram(
            [script(tmp_path, "cat >/dev/null; exec sleep 1000", "/bin/sh")], **limits
        ) as worker,
        pytest.raises(errors.WorkerHung) as caught,
    ):
        list(worker.reduce(PAIRS))
    assert caught.value.timeout == name
    assert f"raise the {name} time-out" in str(caught.value)


@pytest.mark.clause("MAP-5", "LIFECYCLE-6")
def test_answers_come_while_a_descriptor_has_nothing_more_yet(identity, private):
    reads, writes = os.pipe()
    os.write(writes, encode_pairs([("a", "1")]))
    came = threading.Event()

    def end():
        came.wait(20)
        os.close(writes)

    watchdog = threading.Thread(target=end)
    watchdog.start()
    with ExternalProgram([identity]) as worker:
        answers = worker.map_frames(reads)
        assert next(answers) == encode_pairs([("a", "1")])
        assert watchdog.is_alive(), "the answer came only when the input had ended"
        came.set()
        assert list(answers) == []
    watchdog.join()
    os.close(reads)


@pytest.mark.clause("LIFECYCLE-6")
def test_a_slow_source_is_not_the_workers_idleness(identity, private):
    reads, writes = os.pipe()

    def feed():
        os.write(writes, encode_pairs([("a", "1")]))
        assert not select.select([], [], [], 1.0)[0]  # three times the idle time
        os.write(writes, encode_pairs([("b", "2")]))
        os.close(writes)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with ExternalProgram([identity], idle=0.3) as worker:
        assert b"".join(worker.map_frames(reads)) == encode_pairs([("a", "1"), ("b", "2")])
    feeder.join()
    os.close(reads)


@pytest.mark.clause("LIFECYCLE-6")
def test_a_slow_user_of_the_output_is_not_the_workers_grace(identity, private, monkeypatch):
    """The worker has long exited when its user has done with the first piece: all that is in the
    pipe still comes.
    """
    monkeypatch.setattr(
        "kvproto.driver.exchange._READ_BYTES", 1 << 15
    )  # many pieces after its exit, each in good time
    pairs = [(b"%d" % index, b"v" * 1000) for index in range(1500)]
    frames = encode_pairs(pairs)
    got = bytearray()
    with ExternalProgram([identity], grace=0.2) as worker:
        for piece in worker.map_frames([frames]):
            got += piece
            assert not select.select([], [], [], 0.03)[0]  # all pieces together: longer than grace
    assert got == frames


@pytest.mark.clause("LIFECYCLE-6")
def test_a_slow_first_entry_is_not_the_workers_start(identity, private):
    def entries():
        assert not select.select([], [], [], 0.8)[0]
        yield b"late"

    with ExternalProgram([identity], start=0.4) as worker:
        assert list(worker.map(entries())) == [[(b"", b"late")]]


def test_a_crash_is_a_crash_when_the_time_is_up_too(tmp_path, private):
    def entries():
        yield b"x" * 100_000
        assert not select.select([], [], [], 0.8)[0]
        yield b"y"

    with (
        ExternalProgram([script(tmp_path, "kill -SEGV $$", "/bin/sh")], total=0.4) as worker,
        pytest.raises(errors.WorkerCrashed, match="SIGSEGV"),
    ):
        list(worker.map(entries()))


def test_an_iterator_of_a_program_that_was_closed_says_so_and_reads_nobody_elses_output(
    identity, private
):
    with ExternalProgram([identity]) as worker:
        answers = worker.map(PAIRS * 20)
        next(answers)
    with ExternalProgram([identity]) as other:
        others = other.map([b"other"] * 100_000)
        next(others)
        with pytest.raises(errors.KVProtoError, match="closed while its output was being read"):
            for answer in answers:
                assert answer[0] in PAIRS
        assert next(others) == [(b"", b"other")]


def test_a_program_can_be_closed_by_another_thread(tmp_path, private):
    worker = ExternalProgram(
        [script(tmp_path, "echo '**<MSG> here' >&2; exec sleep 1000", "/bin/sh")],
        on_message=lambda _: here.set(),
    )
    here = threading.Event()
    raised = []

    def run():
        with pytest.raises(errors.KVProtoError, match="closed while") as caught:
            list(worker.reduce(PAIRS))
        raised.append(caught.value)

    thread = threading.Thread(target=run)
    thread.start()
    assert here.wait(30)
    worker.close()
    thread.join(30)
    assert raised


@pytest.mark.clause("STDERR-5")
def test_a_process_that_floods_stderr_after_the_worker_has_exited_holds_up_nothing(
    tmp_path, private
):
    body = """
    cat >/dev/null
    (exec <&- >&-; exec yes >&2) &
    """
    n_lines = 0

    def count(message):
        nonlocal n_lines
        n_lines += 1

    with ExternalProgram([script(tmp_path, body, "/bin/sh")], on_message=count) as worker:
        assert list(worker.reduce(PAIRS)) == []
    assert n_lines < 1_000_000


def test_a_flood_of_error_lines_ends_in_a_short_report(tmp_path, private):
    body = """
    import sys
    for _ in range(2000):
        sys.stderr.write("**<ERR> " + "e" * 60_000 + "\\n")
    """
    with (
        ExternalProgram([script(tmp_path, body)]) as worker,
        pytest.raises(errors.WorkerReported) as caught,
    ):
        list(worker.reduce([]))
    assert len(str(caught.value)) < 100_000
    assert "(1990 more lines)" in str(caught.value)


@pytest.mark.clause("LIFECYCLE-4", "LIFECYCLE-7")
def test_a_worker_has_default_signals_and_its_end_is_seen_whatever_the_driver_ignores(
    identity, private, monkeypatch
):
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1):
        before = signal.signal(number, signal.SIG_IGN)
        try:
            with ExternalProgram([identity], grace=20) as worker:
                assert list(worker.map([b"x"])) == [[(b"", b"x")]]
        finally:
            signal.signal(number, before)


@pytest.mark.clause("FILES-4")
def test_the_umask_does_not_take_the_right_to_execute(identity, private):
    before = os.umask(0o177)
    try:
        with ExternalProgram([identity]) as worker:
            assert list(worker.map([b"x"])) == [[(b"", b"x")]]
    finally:
        os.umask(before)


def test_pieces_of_frames_may_be_of_any_buffer_type(identity, private):
    frames = encode_pairs([("abcd", "efgh")] * 1000)
    with ExternalProgram([identity]) as worker:
        assert (
            b"".join(worker.map_frames([memoryview(frames).cast("I"), bytearray(frames)]))
            == frames * 2
        )


def test_a_worker_that_fails_by_itself_is_not_told_to_read_on(tmp_path, private):
    for body, says in (
        ("raise ZeroDivisionError", "look for the cause in its stderr"),
        ("import os; os._exit(127)", "cannot find"),
    ):
        with (
            ExternalProgram([script(tmp_path, body)]) as worker,
            pytest.raises(errors.WorkerExitedEarly, match=says),
        ):
            list(worker.map(PAIRS))
    crlf = tmp_path / "crlf"
    crlf.write_bytes(b"#!/usr/bin/env python3\r\nprint(1)\r\n")
    crlf.chmod(0o755)
    with ExternalProgram([crlf]) as worker, pytest.raises(errors.WorkerExitedEarly, match="CR LF"):
        list(worker.map(PAIRS))


def test_wrong_times_and_a_lone_string_are_refused(identity):
    for name in ("start", "idle", "total", "grace"):
        with pytest.raises(ValueError, match=f"{name} must be a number of seconds above 0"):
            ExternalProgram([identity], **{name: 0})
    with pytest.raises(TypeError, match="iterable of entries"):
        list(ExternalProgram([identity]).map("abc"))
