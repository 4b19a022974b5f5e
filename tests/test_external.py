"""The driver's own promises: what it sends a worker and when, what it gives back, how it starts it and how long it waits."""

import os
import select
import signal
import threading

import catalogue
import pytest
from scripts import PAIRS, TELL, script

from kvproto import ExternalProgram, encode_pairs, errors, external
from kvproto.messages import Message


# --- what goes in and what comes out --------------------------------------------------------------


@pytest.mark.clause("MAP-2", "MAP-5", "MAP-7", "FRAME-6")
def test_entries_are_values_of_an_empty_key_and_pairs_are_pairs(identity, private):
    with ExternalProgram([identity]) as worker:
        assert list(worker.map([b"bytes", "text é", ("key", b"value"), ["k", "v"]])) == [
            [(b"", b"bytes")],
            [(b"", "text é".encode())],
            [(b"key", b"value")],
            [(b"k", b"v")],
        ]


@pytest.mark.clause("MAP-2", "MAP-3", "MAP-5")
def test_a_map_answers_each_pair_in_order(identity, private):
    with ExternalProgram([identity], mode="map") as worker:
        assert list(worker.map(PAIRS)) == [[pair] for pair in PAIRS]
        assert list(worker.map([])) == []


@pytest.mark.clause("REDUCE-2", "REDUCE-3", "REDUCE-4")
def test_a_reduce_gives_the_pairs_of_all_lists(identity, private):
    with ExternalProgram([identity], mode="reduce") as worker:
        assert list(worker.reduce(PAIRS)) == PAIRS
        assert list(worker.reduce([])) == []


@pytest.mark.clause("REDUCE-2", "REDUCE-3")
def test_a_reduce_may_write_nothing_at_all(tmp_path, private):
    with ExternalProgram([script(tmp_path, "cat >/dev/null", "/bin/sh")]) as worker:
        assert list(worker.reduce(PAIRS)) == []


@pytest.mark.clause("LIST-4", "REDUCE-2")
def test_the_pairs_of_a_list_come_before_the_list_is_complete(tmp_path, private):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    body = TELL + f"""
    sys.stdin.buffer.read()
    sys.stdout.buffer.write(struct.pack("<I", 2) + item(b"first") + item(b""))
    sys.stdout.flush()
    open({str(gate)!r}, "rb").read()
    sys.stdout.buffer.write(item(b"second") + item(b""))
    """
    with ExternalProgram([script(tmp_path, body)], idle=30) as worker:
        pairs = worker.reduce(PAIRS)
        assert next(pairs) == (b"first", b"")
        gate.write_bytes(b"")  # only now may it go on
        assert list(pairs) == [(b"second", b"")]


@pytest.mark.clause("REDUCE-3", "REDUCE-5")
def test_the_tail_of_a_reduce_that_writes_after_end_of_file_is_all_there(tmp_path, private):
    body = TELL + """
    sys.stdin.buffer.read()
    for index in range(20000):
        tell((b"%d" % index, b"x" * 100))
    """
    with ExternalProgram([script(tmp_path, body)]) as worker:
        assert [key for key, _ in worker.reduce(PAIRS)] == [b"%d" % index for index in range(20000)]


@pytest.mark.clause("FRAME-5", "MAP-5", "REDUCE-5")
@pytest.mark.parametrize("mode", ["map", "reduce"])
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_frames_pass_whatever_their_pieces(identity, private, mode, piece):
    frames = encode_pairs(PAIRS[:200] if piece == 1 else PAIRS)
    pieces = (frames[at : at + piece] for at in range(0, len(frames), piece))
    with ExternalProgram([identity]) as worker:
        run = worker.map_frames if mode == "map" else worker.reduce_frames
        assert b"".join(run(pieces)) == frames


@pytest.mark.clause("MAP-5", "REDUCE-5")
@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_frames_pass_from_a_descriptor_to_a_function(identity, private, tmp_path, mode):
    frames = encode_pairs([(b"k", b"v" * 3_000_000), *PAIRS])
    (tmp_path / "frames").write_bytes(frames)
    got = bytearray()
    with ExternalProgram([identity]) as worker, open(tmp_path / "frames", "rb") as file:
        worker.pipe_frames(mode, file.fileno(), got.extend)
    assert got == frames


@pytest.mark.clause("MAP-5")
def test_an_answer_comes_before_the_next_entry_is_there(identity, private):
    asked, answered = threading.Semaphore(1), []

    def entries():
        for index in range(5):
            assert asked.acquire(timeout=30), "the answer to the entry before never came"
            yield b"%d" % index

    with ExternalProgram([identity]) as worker:
        # Entry n + 1 is fetched before answer n is looked for, so that one answer is always under way.
        for pairs in worker.map(entry for group in [entries()] for entry in released(group, asked)):
            answered.append(pairs)
    assert answered == [[(b"", b"%d" % index)] for index in range(5)]


def released(entries, semaphore):
    for entry in entries:
        yield entry
        semaphore.release()


@pytest.mark.clause("LIMITS-1")
@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_input_that_breaks_the_framing_is_the_callers_error_not_the_workers(identity, private, mode):
    frames = encode_pairs(PAIRS)
    with ExternalProgram([identity], max_item=1000) as worker:
        run = worker.map_frames if mode == "map" else worker.reduce_frames
        with pytest.raises(errors.Truncated) as cut:
            list(run([frames[:-1]]))
        assert cut.value.offset == len(frames) - len(PAIRS[-1][1])
        assert "input" in cut.value.__notes__[0]
        with pytest.raises(errors.ItemTooLarge):
            list(run([encode_pairs([(b"", b"x" * 1001)])]))


def test_a_pair_that_cannot_be_sent_names_its_index(identity, private):
    with ExternalProgram([identity]) as worker:
        with pytest.raises(TypeError, match="value of pair 3 must be bytes or str, not int"):
            list(worker.map([("k", "v")] * 3 + [("k", 1)]))
        with pytest.raises(TypeError, match="pair 0 .* int"):
            list(worker.reduce([1]))


def test_what_the_entries_raise_comes_through(identity, private):
    def entries():
        yield b"one"
        raise RuntimeError("the entries are broken")

    with ExternalProgram([identity]) as worker, pytest.raises(RuntimeError, match="the entries are broken"):
        list(worker.map(entries()))


# --- how a worker is started ----------------------------------------------------------------------


@pytest.mark.clause("MAP-1", "REDUCE-1", "FILES-1", "LIFECYCLE-7")
@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_a_worker_gets_its_mode_its_directory_and_its_own_process_group(tmp_path, private, mode):
    body = TELL + """
    sys.stdin.buffer.read()
    tell((b"argv", " ".join(sys.argv[1:]).encode()), (b"files", " ".join(sorted(os.listdir("."))).encode()),
         (b"data", open("data.txt", "rb").read()), (b"group", b"own" if os.getpgrp() == os.getpid() else b"shared"),
         (b"op", b"executable" if os.access("op", os.X_OK) else b"not"))
    """
    (tmp_path / "data.txt").write_bytes(b"\0data")
    with ExternalProgram([script(tmp_path, body), tmp_path / "data.txt"], args=["-x", "1"]) as worker:
        run = worker.map if mode == "map" else worker.reduce
        told = [pair for answer in run([("k", "v")]) for pair in (answer if mode == "map" else [answer])]
    assert dict(told) == {
        b"argv": b"-x 1 " + mode.encode(),
        b"files": b"data.txt op",
        b"data": b"\0data",
        b"group": b"own",
        b"op": b"executable",
    }


@pytest.mark.clause("LIFECYCLE-1", "PARAMS-6", "PARAMS-7", "MAP-6", "REDUCE-5")
@pytest.mark.parametrize(
    ("params", "sent"),
    [({}, b"0\n"), (None, b""), (b"raw \0", b"raw \0"), ("é", "é".encode()), ({"a": " b\n"}, b"10\n1 a 3  b\n\n")],
)
def test_parameters_come_first_then_pairs_then_end_of_file(tmp_path, private, params, sent):
    body = TELL + """
    tell((b"stdin", sys.stdin.buffer.read()))
    """
    pairs = [("k", "v"), ("", "w")]
    with ExternalProgram([script(tmp_path, body)], params=params) as worker:
        assert list(worker.reduce(pairs)) == [(b"stdin", sent + encode_pairs(pairs))]


@pytest.mark.clause("FILES-1", "FILES-2", "FILES-4")
def test_external_packages_files_by_their_base_names(tmp_path):
    program = script(tmp_path, "cat", "/bin/sh")
    (tmp_path / "config").write_bytes(b"\xff")
    assert external([program, str(tmp_path / "config")]) == {"op": program.read_bytes(), "config": b"\xff"}


@pytest.mark.clause("FILES-1", "FILES-2")
def test_files_that_would_not_be_flat_are_refused(tmp_path):
    program = script(tmp_path, "cat", "/bin/sh")
    (tmp_path / "deep").mkdir()
    for name in ("deep/config", "config", "op"):
        (tmp_path / name).write_text("")
    with pytest.raises(errors.FilesError, match="'config' already"):
        external([program, tmp_path / "config", tmp_path / "deep" / "config"])
    with pytest.raises(errors.FilesError, match="'op' already"):
        external([program, tmp_path / "op"])
    with pytest.raises(errors.FilesError, match="at least one"):
        external([])
    with pytest.raises(errors.FilesError, match="no 'op'"):
        ExternalProgram({"worker": b""})
    for name in ("", ".", "..", "a/b", "/a", "a\0"):
        with pytest.raises(errors.FilesError, match="plain file name"):
            ExternalProgram({"op": b"", name: b""})


@pytest.mark.clause("FILES-4")
def test_a_program_that_is_not_there_or_not_executable_says_so(tmp_path):
    with pytest.raises(errors.WorkerNotStarted, match="no such file"):
        external([tmp_path / "nowhere"])
    (tmp_path / "plain").write_text("")
    (tmp_path / "plain").chmod(0o644)
    with pytest.raises(errors.WorkerNotStarted, match="not executable"):
        external([tmp_path / "plain"])
    with pytest.raises(errors.WorkerNotStarted, match="not a regular file"):
        external([tmp_path])


def test_arguments_that_are_wrong_are_the_callers_mistake(identity):
    with pytest.raises(TypeError, match="list of paths"):
        external(str(identity))
    with pytest.raises(ValueError, match="mode"):
        ExternalProgram([identity], mode="fold")
    with pytest.raises(ValueError, match="mode='map'"):
        list(ExternalProgram([identity], mode="map").reduce([]))
    with pytest.raises(TypeError, match="content of 'op'"):
        ExternalProgram({"op": 1})


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.clause("STDERR-5", "STDERR-8")
def test_messages_come_by_callback_tagged_or_not(tmp_path, private):
    body = """
    printf '**<MSG> hello\\nplain\\n**<MSG>last, unended' >&2
    cat >/dev/null
    """
    messages = []
    with ExternalProgram([script(tmp_path, body, "/bin/sh")], on_message=messages.append) as worker:
        assert list(worker.reduce(PAIRS)) == []
    assert messages == [Message("MSG", b"hello"), Message("", b"plain"), Message("MSG", b"last, unended")]


@pytest.mark.clause("STDERR-7")
def test_an_error_line_fails_a_worker_that_exits_0_after_good_output(tmp_path, private):
    body = """
    cat >/dev/null
    printf '**<ERR> the cause\\n**<ERR> and more of it\\n' >&2
    """
    with ExternalProgram([script(tmp_path, body, "/bin/sh")]) as worker:
        with pytest.raises(errors.WorkerReported, match="the cause\n +and more of it"):
            list(worker.reduce(PAIRS))


def test_a_worker_error_carries_the_facts(tmp_path, private):
    program = catalogue.program("exits_after_first.py", tmp_path)
    with ExternalProgram([program, catalogue.HERE / "raw.py"]) as worker:
        with pytest.raises(errors.WorkerExitedEarly) as caught:
            list(worker.map(PAIRS))
    error = caught.value
    assert error.argv == (str(program), "map")
    assert (error.status, error.signal_name, error.pair_index) == (0, None, 1)
    assert error.n_sent > 0 and error.n_received > 0


# --- time-outs ------------------------------------------------------------------------------------


@pytest.mark.clause("LIFECYCLE-6")
@pytest.mark.parametrize("name", ["idle", "total"])
def test_a_hang_ends_by_the_time_out_that_was_set_and_says_which(tmp_path, private, name):
    limits = {"idle": None, "total": None, name: 0.3}
    with ExternalProgram([script(tmp_path, "cat >/dev/null; exec sleep 1000", "/bin/sh")], **limits) as worker:
        with pytest.raises(errors.WorkerHung) as caught:
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
    """The worker has long exited when its user has done with the first piece: all that is in the pipe still comes."""
    monkeypatch.setattr("kvproto._exchange._READ_BYTES", 1 << 15)  # many pieces after its exit, each in good time
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

    with ExternalProgram([script(tmp_path, "kill -SEGV $$", "/bin/sh")], total=0.4) as worker:
        with pytest.raises(errors.WorkerCrashed, match="SIGSEGV"):
            list(worker.map(entries()))


def test_an_iterator_of_a_program_that_was_closed_says_so_and_reads_nobody_elses_output(identity, private):
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
    worker = ExternalProgram([script(tmp_path, "echo '**<MSG> here' >&2; exec sleep 1000", "/bin/sh")], on_message=lambda _: here.set())
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
def test_a_process_that_floods_stderr_after_the_worker_has_exited_holds_up_nothing(tmp_path, private):
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
    with ExternalProgram([script(tmp_path, body)]) as worker:
        with pytest.raises(errors.WorkerReported) as caught:
            list(worker.reduce([]))
    assert len(str(caught.value)) < 100_000
    assert "(1990 more lines)" in str(caught.value)


@pytest.mark.clause("LIFECYCLE-4", "LIFECYCLE-7")
def test_a_worker_has_default_signals_and_its_end_is_seen_whatever_the_driver_ignores(identity, private, monkeypatch):
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
        assert b"".join(worker.map_frames([memoryview(frames).cast("I"), bytearray(frames)])) == frames * 2


def test_a_worker_that_fails_by_itself_is_not_told_to_read_on(tmp_path, private):
    for body, says in (("raise ZeroDivisionError", "what it said on stderr"), ("import os; os._exit(127)", "cannot find")):
        with ExternalProgram([script(tmp_path, body)]) as worker:
            with pytest.raises(errors.WorkerExitedEarly, match=says):
                list(worker.map(PAIRS))
    crlf = tmp_path / "crlf"
    crlf.write_bytes(b"#!/usr/bin/env python3\r\nprint(1)\r\n")
    crlf.chmod(0o755)
    with ExternalProgram([crlf]) as worker, pytest.raises(errors.WorkerExitedEarly, match="CR LF"):
        list(worker.map(PAIRS))


def test_wrong_times_and_a_lone_string_are_refused(identity):
    for name in ("start", "idle", "total", "grace"):
        with pytest.raises(ValueError, match=f"{name} is a number of seconds above 0"):
            ExternalProgram([identity], **{name: 0})
    with pytest.raises(TypeError, match="iterable of entries"):
        list(ExternalProgram([identity]).map("abc"))
