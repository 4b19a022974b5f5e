"""One run of a worker: write its stdin, read its output, enforce the limits, judge the result.

A single loop polls stdin, stdout, stderr and the supervisor. All descriptors are non-blocking, so
that driver and worker cannot deadlock.
Implements MAP-4 to MAP-6, REDUCE, STDERR-5 to STDERR-7, and LIFECYCLE on the driver's side.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, Unpack

from kvproto._stdio import ready_fds
from kvproto.driver import verdict as _verdict
from kvproto.driver.limits import Limits
from kvproto.driver.process import SupervisedProcess
from kvproto.driver.source import FileRange, Piece, Source
from kvproto.driver.stderr import Stderr
from kvproto.driver.window import Window
from kvproto.errors import KVProtoError, ProtocolError, WorkerCrashed, WorkerError
from kvproto.errors.workers import WorkerFacts
from kvproto.protocol.messages import Message

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Exchange"]

# A read locks the pipe while it copies. Reading only part of it lets the worker go on writing.
_READ_BYTES = 1 << 19
_STDERR_BYTES = 1 << 16
_SETTLE_SECONDS = 0.2  # for which a faulty worker may still write the cause to stderr

Decoded_co = TypeVar("Decoded_co", covariant=True)


class Decoder(Protocol[Decoded_co]):
    """A decoder of the worker's stdout: a ListDecoder, a FrameStream or a Dealer."""

    def feed(self, data: Buffer) -> Decoded_co: ...

    def close(self) -> None: ...

    def list_under_way(self) -> tuple[int, int] | None: ...

    @property
    def n_lists(self) -> int: ...


class Exchange(Generic[Decoded_co]):
    """A run of a worker, from its start to its verdict. Leaving the context kills the worker.

    Parameters
    ----------
    process : SupervisedProcess
    source : Source
        The input.
    decoder : ListDecoder, FrameStream or Dealer
        Decodes stdout.
    argv : list of str
        The program and its arguments, for error messages.
    answers_each_pair : bool
        Whether the worker runs as a map.
    params : bytes
        The encoded parameters, which are sent first.
    limits : Limits
    on_message : callable, optional
        Called with each Message of stderr.
    live : set of Exchange
        The open exchanges of the program; this one adds and removes itself.
    window : Window, optional
        Keeps the end of the input.
    in_steps : bool
        Whether each piece of the input waits for the answers to the one before.
    """

    def __init__(
        self,
        process: SupervisedProcess,
        source: Source,
        decoder: Decoder[Decoded_co],
        *,
        argv: list[str],
        answers_each_pair: bool,
        params: bytes,
        limits: Limits,
        on_message: Callable[[Message], object] | None,
        live: set[Exchange[Any]],
        window: Window | None = None,
        in_steps: bool = False,
    ) -> None:
        self.process = process
        self.source = source
        self.decoder = decoder
        self.argv = argv
        self.answers_each_pair = answers_each_pair
        self.limits = limits
        self.window = window
        self.n_params = len(params)
        self.n_sent = self.n_received = 0
        self.recent = b""  # the last bytes of stdout before `current`, for a hexdump
        self.current = memoryview(b"")  # the piece of stdout that is being decoded
        self.stderr = Stderr(on_message)
        self.input_ended = self.stdout_ended = self._stderr_ended = False
        self._room = bytearray(_READ_BYTES)
        self._pending: Piece = memoryview(params)
        self._piece: Piece = self._pending[:0]  # what the source has returned last
        self._live = live
        self._in_steps = in_steps
        self.source_seconds = 0.0  # in the source
        self.paused_seconds = 0.0  # in decoding, the user's code or the source: not the worker's
        self.began = self.moved = self._now()
        self.first_output: float | None = None  # seconds until the first byte of stdout
        self._expired = ""  # the limit that the round before reached
        self._suspended = self._closed = False
        self._grace_began: float | None = None

    def __enter__(self) -> Exchange[Decoded_co]:
        self._live.add(self)
        return self

    def __exit__(self, *exception: object) -> None:
        self._suspended = True
        self.close()

    def close(self) -> None:
        """Kill the worker and its descendants. An `output` in progress then raises an error."""
        self._closed = True
        self._live.discard(self)
        if self._suspended:
            self.process.close()
        else:  # `output` is running in another thread or up the stack, and uses the pipes
            self.process.kill()
        if self.process.left is not None:
            left = os.fsencode(self.process.left)
            self.stderr.tell(b"kvproto: the worker's directory could not be removed: rm -r " + left)
            self.process.left = None  # one message is enough

    def output(self) -> Iterator[Decoded_co]:
        """Run the worker to its end, yield its stdout, decoded, and judge it.

        Each piece is valid until the next.
        """
        while not self._is_over():
            ready = self._wait()
            if self.process.status_fd in ready:
                self._read_status()
            if self.process.stderr in ready:
                self._read_stderr()
            # Also after **<ERR>: the answers that the worker wrote before it may arrive later.
            if self.process.stdout in ready and self._read_stdout():
                paused = time.monotonic()
                decoded = self._decoded()
                self._suspended = True
                yield decoded
                self._suspended = False
                self.paused_seconds += time.monotonic() - paused
                self._check_open()
            if self.process.stdin in ready:
                self._write()
            elif self.source.fileno in ready:
                self._refill()
        self._read_last_messages()
        _verdict.judge(self)

    @property
    def n_lists(self) -> int:
        """The number of complete result lists so far."""
        return self.decoder.n_lists

    def fail(
        self, kind: Callable[..., WorkerError], what: str, **details: Unpack[WorkerFacts]
    ) -> WorkerError:
        """Make an error of this kind with the facts of this run."""
        facts: WorkerFacts = {
            "argv": self.argv,
            "status": self.process.exit_status,
            "n_sent": self.n_sent,
            "n_unread": self.process.n_unread() if self.process.start_errno is None else 0,
            "n_received": self.n_received,
            "stderr_tail": self.stderr.tail,
        }
        if self.answers_each_pair and not (self.input_ended and self._has_answered()):
            facts["pair_index"] = self.n_lists + (self.window.n_before if self.window else 0)
        return kind(what, **{**facts, **details})

    def _error(self, verdict: Callable[..., WorkerError], *facts: object) -> WorkerError:
        """Return the verdict, unless stderr has a **<ERR> line, which goes first (STDERR-7)."""
        self._read_stderr()
        return _verdict.reported(self) if self.stderr.errors else verdict(self, *facts)

    def _fault(self, verdict: Callable[..., WorkerError], *facts: object) -> WorkerError:
        """Return the verdict on wrong output, after a moment in which stderr may get a **<ERR>."""
        ends = time.monotonic() + _SETTLE_SECONDS
        while not self.stderr.errors and (readable := self._open()):
            ready = ready_fds(readable, seconds=ends - time.monotonic())
            if not ready:
                break
            if self.process.stderr in ready:
                self._read_stderr()
            if self.process.status_fd in ready:
                self._read_status()
            if self.process.stdout in ready:  # dropped: a full pipe would stop the worker
                self.stdout_ended = not os.read(self.process.stdout, _READ_BYTES)
        return self._error(verdict, *facts)

    def _now(self) -> float:
        """The worker's clock, which stops while the user's code or a source runs."""
        return time.monotonic() - self.paused_seconds

    def _check_open(self) -> None:
        if self._closed:
            raise KVProtoError(f"{' '.join(self.argv)}: closed while its output was being read")

    # --- waiting ---------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        if self.process.start_errno is not None:
            return True
        return self.process.exit_status is not None and self.stdout_ended

    def _wait(self) -> set[int]:
        """Wait until a descriptor is ready. Raises a WorkerError when a limit is reached."""
        self._watch_grace()
        name, seconds = self._next_deadline()
        ready = ready_fds(*self._watched(), seconds=seconds)
        self._check_open()
        if seconds is None or seconds > 0:
            self._expired = ""
        elif not ready or self._expired == name:  # the round before has read what was available
            raise self._error(_verdict.out_of_time, name)
        else:
            self._expired = name
        return ready

    def _watched(self) -> tuple[list[int], list[int]]:
        """Return the descriptors to poll for reading and for writing."""
        readable = self._open()
        if self.input_ended or self.process.exit_status is not None:
            return readable, []
        if not self._pending and self._in_steps and not self._has_answered():
            return readable, []
        if not self._pending and self.source.fileno is not None:
            return [*readable, self.source.fileno], []
        return readable, [self.process.stdin]

    def _open(self) -> list[int]:
        """Return the descriptors of the worker that may have something to read."""
        process = self.process
        # There is no news after the exit, and a killed supervisor would keep it readable.
        readable = [process.status_fd] if process.exit_status is None else []
        if not self.stdout_ended:
            readable.append(process.stdout)
        if not self._stderr_ended:
            readable.append(process.stderr)
        return readable

    def _watch_grace(self) -> None:
        """Start the grace period when the worker has nothing left to do but exit."""
        all_answered = self.input_ended and self._has_answered()
        if (
            self.stderr.errors
            or self.stdout_ended
            or self.process.exit_status is not None
            or all_answered
        ):
            self._grace_began = self._grace_began or self._now()

    def _next_deadline(self) -> tuple[str, float | None]:
        """Return the limit that is reached first and the seconds until then.

        `total` counts wall-clock time, the others the worker's.
        """
        start, idle, total, grace, _ = self.limits
        now = self._now()
        left = []
        if start is not None and self.process.pid is None:
            left.append((self.began + start - now, "start"))
        if grace is not None and self._grace_began is not None:
            left.append((self._grace_began + grace - now, "grace"))
        elif idle is not None and self._grace_began is None and self._waits_for_worker():
            left.append((self.moved + idle - now, "idle"))
        if total is not None:
            left.append((self.began + total - time.monotonic(), "total"))
        if not left:
            return "", None
        seconds, name = min(left)
        return name, seconds

    def _waits_for_worker(self) -> bool:
        """Whether the next step is the worker's and not only that of a slow source."""
        if self._pending or self.input_ended or self.source.fileno is None:
            return True
        return self.answers_each_pair and not self._has_answered()

    def _has_answered(self) -> bool:
        """Whether the worker is a map and has answered all pairs read from the source."""
        return self.answers_each_pair and self.n_lists >= self.source.n_pairs

    # --- moving bytes ----------------------------------------------------------------------------

    def _read_status(self) -> None:
        try:
            self.process.read_status()
        except WorkerCrashed as e:
            raise self._error(_verdict.lost, e) from None
        self.moved = self._now()

    def _read_stdout(self) -> bool:
        """Read the next piece of stdout into `current`; False when there is none."""
        before = bytes(self.current[-_verdict.KEPT_BYTES :])
        try:
            n_bytes = os.readv(self.process.stdout, (self._room,))
        except BlockingIOError:
            return False
        self.moved = self._now()
        if not n_bytes:
            self.stdout_ended = True
            return False
        if not self.n_received:
            self.first_output = self._now() - self.began
        self.recent = (self.recent + before)[-_verdict.KEPT_BYTES :]
        self.current = memoryview(self._room)[:n_bytes]
        self.n_received += n_bytes
        return True

    def _decoded(self) -> Decoded_co:
        """Decode `current`. Bytes that break the framing become a WorkerError."""
        try:
            decoded = self.decoder.feed(self.current)
        except ProtocolError as fault:
            raise self._fault(_verdict.bad_output, fault) from fault
        if self.answers_each_pair and self.n_lists > self.source.n_pairs:
            raise self._fault(_verdict.too_many_lists)
        if self.window is not None:
            self.window.answered(self.n_lists)
        return decoded

    def _read_stderr(self) -> None:
        """Read one piece of stderr, so that a flood of messages does not block the loop."""
        try:
            data = os.read(self.process.stderr, _STDERR_BYTES)
        except BlockingIOError:
            return
        self.moved = self._now()
        self._stderr_ended = not data
        self.stderr.feed(data)
        if self.stderr.errors:
            self._end_input()  # the worker can only write more lines, and exit

    def _read_last_messages(self) -> None:
        """Read what is left in stderr after the exit, including a last line without a newline.

        It reads no more than the pipe has now: a process that the worker left may write for ever.
        """
        n_left = self.process.n_unread_stderr()
        while n_left > 0:
            data = os.read(self.process.stderr, min(n_left, _STDERR_BYTES))
            n_left -= len(data)
            self.stderr.feed(data)
        self.stderr.close()

    def _refill(self) -> None:
        paused = time.monotonic()
        if self.window is None and isinstance(self._piece, memoryview):
            self.source.release(self._piece)
        self._pending = self._piece = self.source.read()
        if self.window is not None and isinstance(self._pending, memoryview) and self._pending:
            self._pending = self.window.add(self._pending)
        seconds = time.monotonic() - paused
        self.paused_seconds += seconds
        self.source_seconds += seconds
        self.moved = self._now()
        if not self._pending:
            self._end_input()

    def _write(self) -> None:
        if not self._pending:
            self._refill()
        if self.input_ended:
            return
        pending, pipe = self._pending, self.process.stdin
        try:
            if isinstance(pending, FileRange):
                n_written = pending.write_to(pipe)
            else:
                n_written = os.write(pipe, pending)
        except BlockingIOError:
            return
        self.n_sent += n_written
        self._pending = pending[n_written:]
        self.moved = self._now()

    def _end_input(self) -> None:
        self.input_ended = True
        self.process.close_stdin()
