"""One run of a worker: feed it, drain it, watch the clock, judge it.

One poll loop over its stdin, stdout, stderr and the word of its supervisor; all descriptors are
non-blocking, so that neither side can wait for the other in a circle. Used by `external` alone.
Implements MAP-4 to MAP-6, REDUCE, STDERR-5 to STDERR-7, and LIFECYCLE on the driver's side.
"""

from __future__ import annotations

import collections
import os
import select
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kvproto.driver import verdict as _verdict
from kvproto.driver.process import SupervisedProcess
from kvproto.errors import KVProtoError, ProtocolError, WorkerCrashed, WorkerError
from kvproto.protocol.messages import ERR, Message, MessageParser

__all__ = ["Exchange", "Timeouts"]

_READ_BYTES = (
    1 << 19
)  # a pipe is locked while one side copies: less than all of it keeps the other side going
_STDERR_BYTES = 1 << 16
_TAIL_LINES = 20


class Timeouts(NamedTuple):
    """Seconds; None is for ever. See `ExternalProgram`."""

    start: float | None
    idle: float | None
    total: float | None
    grace: float | None


class Exchange:
    """A worker's run, from its start to its verdict; a context manager that leaves nothing behind.

    Its user takes `output()`, decodes it by `decoded()`, and counts the result lists by `answered()`.
    """

    def __init__(
        self,
        process: SupervisedProcess,
        source,
        *,
        argv: list[str],
        answers_each_pair: bool,
        preamble: bytes,
        timeouts: Timeouts,
        on_message: Callable[[Message], object] | None,
        live: set[Exchange],
    ) -> None:
        self.process = process
        self.source = source
        self.argv = argv
        self.answers_each_pair = answers_each_pair
        self.timeouts = timeouts
        self.n_lists = 0
        self.n_sent = 0
        self.n_received = 0
        self._room = bytearray(_READ_BYTES)
        self.recent = (
            b""  # the last bytes of stdout before `current`, and the piece under way: for a hexdump
        )
        self.current = memoryview(b"")
        self.errors: list[str] = []  # what the first **<ERR> lines said
        self.n_errors = 0
        self.tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self.input_ended = False
        self.stdout_ended = False
        self._pending = memoryview(preamble)
        self._messages = MessageParser()
        self._on_message = on_message
        self._live = live
        self._away = 0.0  # seconds that its user or a slow source took: they are not the worker's
        self._began = self._moved = self._now()
        self._expired = ""  # the deadline that had passed a round ago
        self._suspended = self._closed = False
        self._grace_began: float | None = None
        self._poller = select.poll()
        for fd in (process.stdout, process.stderr, process.status_fd):
            self._poller.register(fd, select.POLLIN)

    def __enter__(self) -> Exchange:
        self._live.add(self)
        return self

    def __exit__(self, *exception) -> None:
        self._suspended = True
        self.close()

    def close(self) -> None:
        """Kill the worker if it still runs, and all it left; whoever goes on with `output()` gets an error."""
        self._closed = True
        self._live.discard(self)
        if self._suspended:
            self.process.close()
        else:  # it runs, in another thread or further up: the descriptors are still in use there
            self.process.kill()
        if self.process.left is not None and self._on_message is not None:
            left = os.fsencode(self.process.left)
            self._on_message(
                Message("", b"kvproto: the worker's directory could not be removed: rm -r " + left)
            )
            self.process.left = None  # told once

    def output(self, decoder) -> Iterator[memoryview]:
        """Drive the worker to its end; gives what it writes to stdout, as it comes, and then judges it.

        Each piece is valid until the next.

        decoder   the ListDecoder or FrameStream that its user feeds it to
        """
        while not self._is_over():
            ready = self._wait()
            if self.process.status_fd in ready:
                self._read_status()
            if self.process.stderr in ready:
                self._read_stderr()
            if self.process.stdout in ready:
                data = self._read_stdout()
                if data is not None and not self.errors:
                    left = time.monotonic()
                    self._suspended = True
                    yield data
                    self._suspended = False
                    self._away += time.monotonic() - left
                    self._check_open()
            if self.process.stdin in ready:
                self._write()
            elif self.source.fileno in ready:
                self._refill()
        self._last_message()
        _verdict.judge(self, decoder)

    def decoded(self, decoder, data: memoryview):
        """decoder.feed(data), with a ProtocolError turned into the worker's: it is its output that is at fault."""
        try:
            return decoder.feed(data)
        except ProtocolError as fault:
            self._read_stderr()
            raise _verdict.bad_output(self, decoder, fault) from fault

    def answered(self, n_lists: int) -> None:
        """Note that n_lists result lists have come in all; in a map, more than there were pairs is an error."""
        self.n_lists = n_lists
        if self.answers_each_pair and n_lists > self.source.n_pairs:
            raise _verdict.too_many_lists(self)

    def fail(self, kind: type[WorkerError], what: str, **details) -> WorkerError:
        """An error of that kind with all that is known of this run."""
        known = {
            "argv": self.argv,
            "status": self.process.exit_status,
            "n_sent": self.n_sent,
            "n_unread": self.process.n_unread() if self.process.pid else 0,
            "n_received": self.n_received,
            "stderr_tail": self.tail,
        }
        if self.answers_each_pair and self.n_lists < self.source.n_pairs:
            known["pair_index"] = self.n_lists
        return kind(what, **{**known, **details})

    def _now(self) -> float:
        """The worker's time: it stands still while its user or a source is at work."""
        return time.monotonic() - self._away

    def _check_open(self) -> None:
        if self._closed:
            raise KVProtoError(f"{' '.join(self.argv)}: closed while its output was being read")

    # --- the loop's parts ------------------------------------------------------------------------

    def _is_over(self) -> bool:
        if self.process.start_errno is not None:
            return True
        return self.process.exit_status is not None and self.stdout_ended

    def _wait(self) -> set[int]:
        """Wait until something can be done; raises WorkerHung and its like when a time has run out."""
        self._watch_input()
        self._watch_grace()
        name, seconds = self._next_deadline()
        ready = self._poller.poll(None if seconds is None else max(0.0, seconds) * 1000)
        self._check_open()
        if seconds is None or seconds > 0:
            self._expired = ""
        elif (
            not ready or self._expired == name
        ):  # what was there already when the time was up has been looked at
            self._read_stderr()
            raise _verdict.out_of_time(self, name)
        else:
            self._expired = name
        return {fd for fd, _ in ready}

    def _watch_input(self) -> None:
        """Poll stdin while there is something to write or to fetch, the source's descriptor when that is to be read."""
        process, source = self.process, self.source
        if self.input_ended or process.exit_status is not None:
            self._watch(process.stdin, 0)
            self._watch(source.fileno, 0)
            return
        must_fetch = not self._pending and source.fileno is not None
        self._watch(process.stdin, 0 if must_fetch else select.POLLOUT)
        self._watch(source.fileno, select.POLLIN if must_fetch else 0)

    def _watch(self, fd: int | None, events: int) -> None:
        if fd is None:
            return
        if events:
            self._poller.register(fd, events)
        else:
            try:
                self._poller.unregister(fd)
            except KeyError:
                pass  # was not watched

    def _watch_grace(self) -> None:
        """The clock of grace runs from the moment when all that is left for the worker to do is to exit."""
        all_answered = (
            self.answers_each_pair and self.input_ended and self.n_lists >= self.source.n_pairs
        )
        if self.errors or self.stdout_ended or self.process.exit_status is not None or all_answered:
            self._grace_began = self._grace_began or self._now()

    def _next_deadline(self) -> tuple[str, float | None]:
        """The next deadline and the seconds left until then; total goes by the clock on the wall, the others by the worker's."""
        start, idle, total, grace = self.timeouts
        now = self._now()
        left = []
        if start is not None and self.process.pid is None:
            left.append((self._began + start - now, "start"))
        if grace is not None and self._grace_began is not None:
            left.append((self._grace_began + grace - now, "grace"))
        elif idle is not None and self._grace_began is None and self._waits_for_worker():
            left.append((self._moved + idle - now, "idle"))
        if total is not None:
            left.append((self._began + total - time.monotonic(), "total"))
        if not left:
            return "", None
        seconds, name = min(left)
        return name, seconds

    def _waits_for_worker(self) -> bool:
        """Whether it is the worker's turn, and not only a slow source's."""
        source_is_due = (
            not self._pending and self.source.fileno is not None and not self.input_ended
        )
        all_answered = self.answers_each_pair and self.n_lists >= self.source.n_pairs
        return not (source_is_due and (all_answered or not self.answers_each_pair))

    def _read_status(self) -> None:
        try:
            self.process.read_status()
        except WorkerCrashed as e:
            self._read_stderr()
            raise _verdict.lost(self, e) from None
        self._moved = self._now()

    def _read_stdout(self) -> memoryview | None:
        before = bytes(self.current[-_verdict.KEPT_BYTES :])
        try:
            n_bytes = os.readv(self.process.stdout, (self._room,))
        except BlockingIOError:
            return None
        self._moved = self._now()
        if not n_bytes:
            self.stdout_ended = True
            self._watch(self.process.stdout, 0)
            return None
        self.recent = (self.recent + before)[-_verdict.KEPT_BYTES :]
        self.current = memoryview(self._room)[:n_bytes]
        self.n_received += n_bytes
        return self.current

    def _read_stderr(self) -> None:
        """Take what is there; a flood is taken piece by piece, between the other things."""
        try:
            data = os.read(self.process.stderr, _STDERR_BYTES)
        except BlockingIOError:
            return
        self._moved = self._now()
        if not data:
            self._watch(self.process.stderr, 0)
        self._hand_on(self._messages.feed(data))

    def _last_message(self) -> None:
        """What a worker that has exited left in its stderr, the unended last line included.

        No more than is there now: a process that it left may hold the other end, and write for ever.
        """
        n_left = self.process.n_unread_stderr()
        while n_left > 0:
            data = os.read(self.process.stderr, min(n_left, _STDERR_BYTES))
            n_left -= len(data)
            self._hand_on(self._messages.feed(data))
        self._hand_on(self._messages.close())

    def _hand_on(self, messages: list[Message]) -> None:
        for message in messages:
            self.tail.append(_verdict.shortened(str(message)))
            if message.kind == ERR:
                self.n_errors += 1
                if self.n_errors <= _verdict.LISTED_ERRORS:
                    self.errors.append(_verdict.shortened(str(message)))
                self._end_input()  # nothing more to do for it but to say the rest, and exit
            if self._on_message is not None:
                self._on_message(message)

    def _refill(self) -> None:
        left = time.monotonic()
        self._pending = memoryview(self.source.read())
        self._away += time.monotonic() - left
        self._moved = self._now()
        if not self._pending:
            self._end_input()

    def _write(self) -> None:
        if not self._pending:
            self._refill()
        if self.input_ended:
            return
        try:
            n_written = os.write(self.process.stdin, self._pending)
        except BlockingIOError:
            return
        self.n_sent += n_written
        self._pending = self._pending[n_written:]
        self._moved = self._now()

    def _end_input(self) -> None:
        self.input_ended = True
        self._watch(self.process.stdin, 0)
        self.process.close_stdin()
