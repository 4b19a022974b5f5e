"""The driver's own promises: what it sends a worker and when, what it gives back, and how it starts
it.
"""

import os
import select
import threading

import pytest
from support import catalogue
from support.scripts import PAIRS, TELL, script

from kvproto import ExternalProgram, encode_pairs, errors, external
from kvproto.protocol.messages import Message

# --- what goes in and what comes out --------------------------------------------------------------


@pytest.mark.documented("8 an entry that is one string is the value of an empty key")
@pytest.mark.clause("MAP-2", "MAP-5", "MAP-7", "FRAME-6")
def test_entries_are_values_of_an_empty_key_and_pairs_are_pairs(identity, private):
    with ExternalProgram([identity]) as worker:
        assert list(worker.map([b"bytes", "text é", ("key", b"value"), ["k", "v"]])) == [
            [(b"", b"bytes")],
            [(b"", "text é".encode())],
            [(b"key", b"value")],
            [(b"k", b"v")],
        ]


@pytest.mark.documented(
    "7 pairs on stdin, pairs on stdout",
    "8 each pair is answered with a result list before the next is read; it may be empty",
)
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


@pytest.mark.documented("9 the program may write no list at all")
@pytest.mark.clause("REDUCE-2", "REDUCE-3")
def test_a_reduce_may_write_nothing_at_all(tmp_path, private):
    with ExternalProgram([script(tmp_path, "cat >/dev/null", "/bin/sh")]) as worker:
        assert list(worker.reduce(PAIRS)) == []


@pytest.mark.clause("LIFECYCLE-4")
def test_a_reduce_that_fails_without_any_output_is_said_to(tmp_path, private):
    with (
        ExternalProgram([script(tmp_path, "cat >/dev/null; exit 3", "/bin/sh")]) as worker,
        pytest.raises(errors.WorkerFailed, match="exited with exit status 3 without any output"),
    ):
        list(worker.reduce(PAIRS))


@pytest.mark.clause("LIST-4", "REDUCE-2")
def test_the_pairs_of_a_list_come_before_the_list_is_complete(tmp_path, private):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    body = (
        TELL
        + f"""
    sys.stdin.buffer.read()
    sys.stdout.buffer.write(struct.pack("<I", 2) + item(b"first") + item(b""))
    sys.stdout.flush()
    open({str(gate)!r}, "rb").read()
    sys.stdout.buffer.write(item(b"second") + item(b""))
    """
    )
    with ExternalProgram([script(tmp_path, body)], idle=30) as worker:
        pairs = worker.reduce(PAIRS)
        assert next(pairs) == (b"first", b"")
        gate.write_bytes(b"")  # only now may it go on
        assert list(pairs) == [(b"second", b"")]


@pytest.mark.documented(
    "9 the program writes lists whenever it likes, even after the end of the input",
    "9 the reduce is done when the program exits",
)
@pytest.mark.clause("REDUCE-3", "REDUCE-5")
def test_the_tail_of_a_reduce_that_writes_after_end_of_file_is_all_there(tmp_path, private):
    body = (
        TELL
        + """
    sys.stdin.buffer.read()
    for index in range(20000):
        tell((b"%d" % index, b"x" * 100))
    """
    )
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


@pytest.mark.documented(
    "8 each pair is answered with a result list before the next is read; it may be empty"
)
@pytest.mark.clause("MAP-5")
def test_an_answer_comes_before_the_next_entry_is_there(identity, private):
    asked, answered = threading.Semaphore(1), []

    def entries():
        for index in range(5):
            assert asked.acquire(timeout=30), "the answer to the entry before never came"
            yield b"%d" % index

    with ExternalProgram([identity]) as worker:
        # Entry n + 1 is fetched before answer n is looked for, so that one answer is always under
        # way.
        for pairs in worker.map(entry for group in [entries()] for entry in released(group, asked)):
            answered.append(pairs)
    assert answered == [[(b"", b"%d" % index)] for index in range(5)]


def released(entries, semaphore):
    for entry in entries:
        yield entry
        semaphore.release()


@pytest.mark.clause("LIMITS-1")
@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_input_that_breaks_the_framing_is_the_callers_error_not_the_workers(
    identity, private, mode
):
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
        with pytest.raises(TypeError, match=r"pair 0 .* int"):
            list(worker.reduce([1]))


def test_what_the_entries_raise_comes_through(identity, private):
    def entries():
        yield b"one"
        raise RuntimeError("the entries are broken")

    with (
        ExternalProgram([identity]) as worker,
        pytest.raises(RuntimeError, match="the entries are broken"),
    ):
        list(worker.map(entries()))


# --- how a worker is started ----------------------------------------------------------------------


@pytest.mark.documented(
    '7 the only argument is "map" or "reduce", so that one program can be both',
    "12 all files are in one flat directory, which is the program's working directory",
)
@pytest.mark.clause("MAP-1", "REDUCE-1", "FILES-1", "LIFECYCLE-7")
@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_a_worker_gets_its_mode_its_directory_and_its_own_process_group(tmp_path, private, mode):
    body = (
        TELL
        + """
    sys.stdin.buffer.read()
    tell((b"argv", " ".join(sys.argv[1:]).encode()),
         (b"files", " ".join(sorted(os.listdir("."))).encode()),
         (b"data", open("data.txt", "rb").read()),
         (b"group", b"own" if os.getpgrp() == os.getpid() else b"shared"),
         (b"op", b"executable" if os.access("op", os.X_OK) else b"not"))
    """
    )
    (tmp_path / "data.txt").write_bytes(b"\0data")
    with ExternalProgram(
        [script(tmp_path, body), tmp_path / "data.txt"], args=["-x", "1"]
    ) as worker:
        run = worker.map if mode == "map" else worker.reduce
        told = [
            pair for answer in run([("k", "v")]) for pair in (answer if mode == "map" else [answer])
        ]
    assert dict(told) == {
        b"argv": b"-x 1 " + mode.encode(),
        b"files": b"data.txt op",
        b"data": b"\0data",
        b"group": b"own",
        b"op": b"executable",
    }


@pytest.mark.documented("7 parameters may come first on stdin")
@pytest.mark.clause("LIFECYCLE-1", "PARAMS-6", "PARAMS-7", "MAP-6", "REDUCE-5")
@pytest.mark.parametrize(
    ("params", "sent"),
    [
        ({}, b"0\n"),
        (None, b""),
        (b"raw \0", b"raw \0"),
        ("é", "é".encode()),
        ({"a": " b\n"}, b"10\n1 a 3  b\n\n"),
    ],
)
def test_parameters_come_first_then_pairs_then_end_of_file(tmp_path, private, params, sent):
    body = (
        TELL
        + """
    tell((b"stdin", sys.stdin.buffer.read()))
    """
    )
    pairs = [("k", "v"), ("", "w")]
    with ExternalProgram([script(tmp_path, body)], params=params) as worker:
        assert list(worker.reduce(pairs)) == [(b"stdin", sent + encode_pairs(pairs))]


@pytest.mark.documented(
    "12 the first path is the executable; the order of the others does not matter",
    "14 packages a program and its files, for a map or a reduce",
    "14 the files are a list of paths; the first is the executable",
)
@pytest.mark.clause("FILES-1", "FILES-2", "FILES-4")
def test_external_packages_files_by_their_base_names(tmp_path):
    program = script(tmp_path, "cat", "/bin/sh")
    (tmp_path / "config").write_bytes(b"\xff")
    assert external([program, str(tmp_path / "config")]) == {
        "op": program.read_bytes(),
        "config": b"\xff",
    }


@pytest.mark.documented(
    "12 other keys are names, not paths, of files; the values are their contents",
    "14 all files are copied into one directory; two with the same name are refused",
)
@pytest.mark.clause("FILES-1", "FILES-2")
def test_files_that_would_not_be_flat_are_refused(tmp_path):
    program = script(tmp_path, "cat", "/bin/sh")
    (tmp_path / "deep").mkdir()
    for name in ("deep/config", "config", "op"):
        (tmp_path / name).write_text("")
    with pytest.raises(errors.FilesError, match="already a file 'config'"):
        external([program, tmp_path / "config", tmp_path / "deep" / "config"])
    with pytest.raises(errors.FilesError, match="already a file 'op'"):
        external([program, tmp_path / "op"])
    with pytest.raises(errors.FilesError, match="at least one"):
        external([])
    with pytest.raises(errors.FilesError, match="no 'op'"):
        ExternalProgram({"worker": b""})
    for name in ("", ".", "..", "a/b", "/a", "a\0"):
        with pytest.raises(errors.FilesError, match="plain file name"):
            ExternalProgram({"op": b"", name: b""})


@pytest.mark.documented("14 the files are a list of paths; the first is the executable")
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


@pytest.mark.documented("7 messages go to stderr")
@pytest.mark.clause("STDERR-5", "STDERR-8")
def test_messages_come_by_callback_tagged_or_not(tmp_path, private):
    body = """
    printf '**<MSG> hello\\nplain\\n**<MSG>last, unended' >&2
    cat >/dev/null
    """
    messages = []
    with ExternalProgram([script(tmp_path, body, "/bin/sh")], on_message=messages.append) as worker:
        assert list(worker.reduce(PAIRS)) == []
    assert messages == [
        Message("MSG", b"hello"),
        Message("", b"plain"),
        Message("MSG", b"last, unended"),
    ]


@pytest.mark.clause("STDERR-7")
def test_an_error_line_fails_a_worker_that_exits_0_after_good_output(tmp_path, private):
    body = """
    cat >/dev/null
    printf '**<ERR> the cause\\n**<ERR> and more of it\\n' >&2
    """
    with (
        ExternalProgram([script(tmp_path, body, "/bin/sh")]) as worker,
        pytest.raises(errors.WorkerReported, match=r"the cause\n +and more of it"),
    ):
        list(worker.reduce(PAIRS))


@pytest.mark.clause("STDERR-7")
def test_an_error_line_is_the_verdict_on_a_worker_that_then_answers_too_often(tmp_path, private):
    body = """
    driver, worker = (os.open(path, os.O_RDWR) for path in sys.argv[1:3])
    def say(line): os.write(2, line)
    def wait(): os.read(worker, 1)
    def go(): os.write(driver, b"x")
    say(b"**<MSG> 1\\n"); wait()
    tell(); say(b"**<MSG> 2\\n"); go(); wait()
    say(b"**<ERR> the cause\\n"); tell(); go()
    sys.stdin.buffer.read()
    """
    paths = [tmp_path / "to-driver", tmp_path / "to-worker"]
    for path in paths:
        os.mkfifo(path)
    driver, worker_end = (os.open(path, os.O_RDWR) for path in paths)

    def let_it_write(message):
        # The driver gets both lists after it has looked at stderr, and before the error line.
        if message.kind == "MSG":
            os.write(worker_end, b"x")
            assert select.select([driver], [], [], 60)[0] and os.read(driver, 1)

    program = script(tmp_path, TELL + body)
    try:
        with (
            ExternalProgram([program], args=paths, on_message=let_it_write) as worker,
            pytest.raises(errors.WorkerReported, match="the cause"),
        ):
            list(worker.map([b"one pair"]))
    finally:
        os.close(driver)
        os.close(worker_end)


def test_a_worker_error_carries_the_facts(tmp_path, private):
    program = catalogue.program("exits_after_first.py", tmp_path)
    with (
        ExternalProgram([program, catalogue.HERE / "raw.py"]) as worker,
        pytest.raises(errors.WorkerExitedEarly) as caught,
    ):
        list(worker.map(PAIRS))
    error = caught.value
    assert error.argv == (str(program), "map")
    assert (error.status, error.signal_name, error.pair_index) == (0, None, 1)
    assert error.n_sent > 0 and error.n_received > 0
