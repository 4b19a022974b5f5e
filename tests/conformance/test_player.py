"""Playing a schedule: what is proved, what is not, and what the trace says."""

import gc
from pathlib import Path

import pytest
from support import conformance_mutants as mutants
from support.languages import LANGUAGES, missing
from support.languages import program as contract_program
from support.shared import shared_base

from kvproto.conformance import player, runner
from kvproto.conformance.answers import pair
from kvproto.conformance.diagnose import likely
from kvproto.conformance.oracle import fault_of
from kvproto.conformance.player import KEPT_OF_FLOOD, KitFault, Program, play
from kvproto.conformance.report.text import report
from kvproto.conformance.runner import REMEMBERED, Check, Checker, Result, run, select
from kvproto.conformance.schedule import (
    SMALL,
    Answers,
    CloseOutput,
    End,
    Exit,
    Pause,
    Resume,
    Schedule,
    Send,
    Setting,
    Taken,
    ahead,
    lockstep,
)
from kvproto.conformance.trace import Trace
from kvproto.conformance.workers import CASES
from kvproto.driver.files import external

pytestmark = pytest.mark.slow

MAP, PARAMS = Setting("map"), b"0\n"
LONG = 60.0  # seconds: what is proved takes none of them
SHORT = 0.3
NEVER_ANSWERED = Schedule((Send(PARAMS + pair(b"a", b"1")), Answers(2), End(), Exit()), "map")
"""One pair, two answers: no worker can give them, and each of them waits for more."""


def script(body: str) -> Program:
    """A worker in Python: it reads the parameters and the first pair, then does this."""
    head = "#!/usr/bin/env python3\nimport os, select, signal, socket, sys, time\nos.read(0, 100)\n"
    return Program("./worker", {"op": (head + body).encode()})


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "java"])
def test_that_answers_are_held_back_is_proved_in_each_language(language, tmp_path_factory):
    if lacking := missing(language):
        pytest.skip(f"no {', '.join(lacking)} on this machine")
    files = contract_program(language, shared_base(tmp_path_factory))
    trace = play(NEVER_ANSWERED, Program(files[0], external(files)), LONG)
    [owed] = trace.owed
    assert (owed.n_due, owed.n_had) == (2, 1)
    assert any("of stdin" in wait or "poll" in wait for wait in owed.waits)
    assert (trace.ending, trace.exit_status, trace.lists.n_records) == ("exited", 0, 1)


@pytest.mark.parametrize(
    "body",
    [
        "signal.pause()",
        "os.read(os.pipe()[0], 1)",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "select.select([], [], [])",
        "import threading\nthreading.Lock().acquire()\nlock = threading.Lock()\n"
        "lock.acquire()\nlock.acquire()",
        "if os.fork():\n    os.wait()\nelse:\n    signal.pause()",
    ],
)
def test_a_worker_that_waits_for_nothing_is_proved_to_hang(body):
    trace = play(ahead(MAP, SMALL), script(body), LONG)
    assert trace.ending == "stuck" and trace.waits and trace.exit_status is None


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(1000)",
        "select.select([], [], [], 1000)",
        "while True: pass",
        "signal.signal(signal.SIGALRM, print)\nsignal.alarm(1000)\nsignal.pause()",
        "server = socket.socket()\nserver.bind(('127.0.0.1', 0))\nserver.listen()\nserver.accept()",
        "server = socket.socket()\nserver.bind(('127.0.0.1', 0))\nserver.listen()\n"
        "select.select([server], [], [])",
        "import ctypes as c\n"
        "assert not c.CDLL(None).timer_create(0, None, c.byref(c.c_void_p()))\nsignal.pause()",
        "import ctypes\nselect.select([ctypes.CDLL(None).timerfd_create(0, 0)], [], [])",
        "os.mkfifo('fifo')\nopen('fifo')",
        "if os.fork():\n    os.wait()\nelse:\n    time.sleep(1000)",
    ],
)
def test_what_might_go_on_is_not_proved_to_hang(body):
    trace = play(ahead(MAP, SMALL), script(body), SHORT)
    assert trace.ending == "watchdog" and trace.waits


HOLDS_BACK = "while os.read(0, 1000): pass\nos.write(1, (bytes(11) + b'\\1')[::-1] * 3)"
"""It answers three pairs at the end of its input."""


@pytest.mark.parametrize(
    "timer",
    [
        "signal.signal(signal.SIGALRM, lambda *caught: None)",
        "signal.signal(signal.SIGALRM, lambda *caught: None)\nsignal.alarm(1000)",
        "from threading import Event, Thread\n"
        "Thread(target=Event().wait, args=(1000,), daemon=True).start()",
    ],
)
def test_answers_that_are_held_back_are_told_soon_although_a_timer_might_go_off(timer):
    trace = play(lockstep(MAP, SMALL), script(f"{timer}\n{HOLDS_BACK}"), LONG)
    finding = fault_of(trace)
    assert (finding.cause, finding.clause) == ("answers held back", "MAP-4")
    assert (
        "not proved" in finding.got
        and "read of stdin" in finding.got
        and "flush stdout" in likely(finding)
    )
    assert trace.ending == "exited" and trace.seconds < LONG / 2


def test_that_a_thread_sleeps_while_another_reads_is_no_sign_that_answers_are_held_back():
    body = (
        "import threading\ndef answer(): time.sleep(2); os.write(1, b'\\1\\0\\0\\0' + bytes(8))\n"
        "threading.Thread(target=answer).start()\n"
        "while os.read(0, 1000): pass"
    )
    trace = play(
        Schedule((Send(PARAMS + pair(b"a", b"1")), Answers(1), End(), Exit()), "map"),
        script(body),
        LONG,
    )
    assert fault_of(trace) is None and trace.owed == []


@pytest.mark.clause("LIFECYCLE-10")
@pytest.mark.parametrize("mode", ["map", "reduce"])
@pytest.mark.parametrize(
    "body",
    [
        "os.kill(os.getppid(), signal.SIGSTOP)\nsignal.pause()",
        "os.kill(os.getppid(), signal.SIGKILL)\nsignal.pause()",
        "os.kill(os.getppid(), signal.SIGSTOP)",
        "while True: os.kill(os.getppid(), signal.SIGSTOP)",
    ],
)
def test_who_stops_or_kills_the_process_that_started_it_is_told_so_soon(body, mode):
    trace = play(ahead(Setting(mode), SMALL), script(body), LONG)
    finding = fault_of(trace)
    assert (finding.clause, finding.cause) == ("LIFECYCLE-10", "interferes with its parent")
    assert trace.seconds < LONG / 2


@pytest.mark.parametrize(
    "data", [b"\0\0\0\0", b"\1\0\0\0" + bytes(8), b"\xff\xff\xff\xff" + bytes(96), b"text\n"]
)
def test_a_worker_that_writes_without_end_is_given_up_with_little_of_it_kept(data, monkeypatch):
    monkeypatch.setattr(player, "STDOUT_BYTES", 8 * KEPT_OF_FLOOD)
    monkeypatch.setattr(player, "STDOUT_LISTS", KEPT_OF_FLOOD // 2)
    trace = play(ahead(MAP, SMALL), script(f"while True: os.write(1, {data!r} * 9999)"), LONG)
    assert trace.ending == "floods" and fault_of(trace) is not None
    assert len(trace.stdout) == KEPT_OF_FLOOD and len(trace.lists.data) == KEPT_OF_FLOOD


def test_a_worker_that_drips_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(player, "ENDLESS", 2 / LONG)
    trace = play(
        ahead(MAP, SMALL),
        script("while True: os.write(2, b'still busy\\n'), time.sleep(0.01)"),
        LONG,
    )
    assert trace.ending == "endless" and "bytes kept moving" in fault_of(trace).got


def test_a_process_may_have_any_name(tmp_path):
    body = (
        "import ctypes\nctypes.CDLL(None).prctl(15, b'a\\rb\\x0bc\\x1b[1m', 0, 0, 0)\n"
        "signal.pause()"
    )
    trace = play(ahead(MAP, SMALL), script(body), LONG)
    assert trace.ending == "stuck"
    case = next(case for case in CASES if case.id == "LIFECYCLE-ends")
    text = report("w", [Result(case, "map", fault_of(trace))], {"LIFECYCLE-ends.map": "e"})
    assert "\x1b" not in text and "\\x1b[1m" in text


def test_a_worker_that_works_or_sleeps_for_a_while_is_waited_for():
    body = "time.sleep(0.2)\nfor i in range(10**6): pass\nos.write(1, bytes(12))\nos.read(0, 1)"
    trace = play(ahead(MAP, SMALL), script(body), LONG)
    assert (trace.ending, trace.exit_status, trace.lists.n_records) == ("exited", 0, 3)


def test_each_byte_can_be_read_before_the_next_one_comes():
    data = PARAMS + pair(b"a", b"1")
    steps = tuple(step for byte in data for step in (Send(bytes([byte])), Taken()))
    body = "n = 1\nwhile os.read(0, 1000): n += 1\nos.write(2, b'%d reads\\n' % n)"
    trace = play(Schedule((*steps, End(), Exit()), "map"), script(body), LONG)
    assert trace.stderr == b"%d reads\n" % len(data)


def test_while_stdout_is_not_read_what_fits_is_sent_and_the_rest_later(identity):
    data = PARAMS + b"".join(pair(b"k", b"v" * 65536) for _ in range(100))
    schedule = Schedule((Pause(), Send(data), Resume(), End(), Exit()), "map")
    trace = play(schedule, Program(str(identity), external([identity])), LONG)
    assert (trace.ending, trace.n_sent, trace.n_unread, trace.lists.n_records) == (
        "exited",
        len(data),
        0,
        100,
    )


def test_a_closed_or_a_full_stdout_is_what_the_worker_meets(identity):
    program = Program(str(identity), external([identity]))
    closed = play(
        Schedule((CloseOutput(), Send(PARAMS + pair(b"", b"")), End(), Exit()), "map"),
        program,
        LONG,
    )
    full = play(ahead(MAP, SMALL, stdout="full"), program, LONG)
    assert closed.exit_status not in (0, None) and closed.stdout == b""
    assert full.exit_status not in (0, None) and b"No space left" in full.stderr


def test_an_empty_environment_is_empty():
    trace = play(
        ahead(MAP, [], environment="empty"),
        script("os.write(2, repr(dict(os.environ)).encode())"),
        LONG,
    )
    assert b"PATH" not in trace.stderr and b"HOME" not in trace.stderr


def test_a_process_that_is_left_is_named(tmp_path):
    trace = play(lockstep(MAP, SMALL), mutants.program("leaves_daemon.py", tmp_path), LONG)
    assert trace.ending == "exited" and len(trace.left) == 1 and trace.left[0].startswith("op (")


def test_a_schedule_that_is_not_what_it_says_is_a_fault_of_the_kit(identity):
    program = Program(str(identity), external([identity]))
    for wrong in (
        Schedule((Send(PARAMS + b"\1"), End(), Exit()), "map"),
        Schedule((Send(PARAMS), End(), Exit()), "map", breaks="FRAME-4"),
        Schedule((Send(PARAMS), End()), "map"),
    ):
        with pytest.raises(KitFault):
            play(wrong, program, LONG)


def test_a_run_that_nobody_wants_any_more_ends_at_once():
    trace = play(ahead(MAP, SMALL), script("time.sleep(1000)"), LONG, is_stopped=lambda: True)
    assert trace.ending == "stopped"


def test_a_worker_that_fails_once_under_drawn_schedules_fails_the_case(tmp_path, tmp_path_factory):
    [contract] = contract_program("python", shared_base(tmp_path_factory))
    count = f"echo >> {tmp_path}/runs; [ $(wc -l < {tmp_path}/runs) != 8 ] || exit 7"
    op = f'#!/bin/sh\n{count}\nexec ./contract "$@"\n'.encode()
    program = Program("./worker", {"op": op, "contract": Path(contract).read_bytes()})
    large = ((b"words", b"x" * REMEMBERED),)  # each run is a new one
    [result] = run(
        select(["reduce"], "MUST", "REDUCE-drawn"),
        Check(program, params=large, n_examples=10),
        lambda result: None,
    )
    assert result.finding.cause == "exit status 7"


def test_a_number_of_pairs_whose_bytes_are_letters_is_not_text():
    count, pair_bytes = b"  \0\0", pair(b"k", b"v")  # 8224 pairs
    body = f"sys.stdin.buffer.read(); os.write(1, {count + pair_bytes!r})"
    finding = fault_of(play(ahead(Setting("reduce"), SMALL), script(body), LONG))
    assert finding.what == "its output ends inside a result list"


def test_text_on_stdout_is_shown_from_its_first_line_that_is_not_blank():
    finding = fault_of(play(ahead(MAP, SMALL), script("print('\\n\\nhello\\nyou')"), LONG))
    assert finding.got == "'hello' at byte 0"
    assert "your program printed `hello`" in likely(finding)


def test_runs_that_take_much_memory_are_forgotten_and_others_are_played_once(monkeypatch):
    monkeypatch.setattr(runner, "REMEMBERED_IN_ALL", 5 << 20)
    checker = Checker(Check(script("os.write(1, b'x' * (2 << 20)); os.read(0, 100)")))
    schedules = [ahead(MAP, SMALL[:n]) for n in (1, 2, 3)]
    first, second, third = [checker._trace(schedule) for schedule in schedules]
    assert checker._trace(schedules[2]) is third and checker._trace(schedules[1]) is second
    assert checker._trace(schedules[0]) is not first
    del first, second, third
    gc.collect()
    assert sum(one.n_bytes for one in gc.get_objects() if type(one) is Trace) <= 5 << 20
