"""A driver in its simplest correct form, with an adapter around it; each fault that it is told of
spoils one thing.

    naive.py [FAULT ...]      reads and writes as ADAPTER.md says; each has("...") here and in
                              codec.py is a fault

It knows nothing of kvproto: written from PROTOCOL.md. One poll loop, writing ahead, or, which is as
good, waiting ("waits for each answer"); a guard process ends the worker's group when this process
is killed.
"""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import re
import select
import shutil
import signal
import struct
import sys
import termios
import time

from codec import Failed, Lines, Lists, has, pair_bytes, param_bytes

if has("waits for all descendants"):
    import ctypes


def lay_out(request, directory):
    if has("refuses everything"):
        raise Failed("no")
    names = {"op"}
    files = []
    for file in request["files"]:
        name = file["name"]
        if has("mends file names"):
            name = re.sub(r"[/\0]", "_", name).strip(".") or "_"
        elif name in ("", ".", "..") or "/" in name or "\0" in name or name in names:
            raise Failed(f"{name!r} is no name for a supporting file")
        names.add(name)
        files.append((name, file["path"]))
    own = "program" if has("keeps the program's name") else "op"
    for name, path in [*files, (own, request["program"])]:
        shutil.copyfile(path, os.path.join(directory, name))
        os.chmod(
            os.path.join(directory, name),
            0o644 if has("makes files unexecutable") and name != own else 0o755,
        )
    return os.path.join(directory, own)


def guarded():
    """Start the guard; the descriptor of ours whose end is its sign, on which it is told whom to
    kill.
    """
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(read_end)
        return write_end
    os.setsid()
    os.dup2(read_end, 0)
    os.closerange(1, 100)
    told = b""
    while piece := os.read(0, 100):
        told += piece
    group = int(told.split()[-1]) if told.split() else 0
    if group and not has("has no guard"):
        end_group(group)
    os._exit(0)


def end_group(group):
    with contextlib.suppress(ProcessLookupError):
        (os.kill if has("kills the worker alone") or has("shares its group") else os.killpg)(
            group, signal.SIGKILL
        )


class Worker:
    """One run."""

    def __init__(self, request, directory):
        self.request, self.limits = request, request["limits"]
        self.limit = request["max_item"]
        self.is_map = request["mode"] == "map"
        self.lists, self.lines = Lists(self.limit), Lines()
        parts = [
            param_bytes(request),
            *(pair_bytes(entry, self.limit) for entry in request["entries"]),
        ]
        self.queue = memoryview(b"".join(parts))
        self.ends = [*[*itertools.accumulate(map(len, parts))][1:], len(self.queue)]
        program = lay_out(request, directory)
        read_end, self.stdin = os.pipe()
        self.guard = guarded()
        arguments = ["--", request["mode"], "-v"] if has("adds arguments") else [request["mode"]]
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        self.start(program, arguments, directory, [read_end, stdout, stderr])
        os.close(stdout)
        os.close(stderr)
        os.write(self.guard, b"%d\n" % self.pid)
        self.read_end, self.pidfd = read_end, os.pidfd_open(self.pid)
        for fd in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(fd, False)
        self.open, self.has_exited = {self.stdout, self.stderr, self.pidfd}, False
        self.began = self.moved = time.monotonic()
        self.grace_began = None

    def start(self, program, arguments, directory, standard):
        if not has("runs it elsewhere"):
            os.chdir(directory)
            program = "./" + os.path.basename(program)
        try:
            self.pid = os.posix_spawn(
                program,
                [program, *arguments],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in enumerate(standard)],
                setsigdef=[signal.SIGPIPE],
                **({} if has("shares its group") else {"setpgroup": 0}),
            )
        except OSError as e:
            raise Failed(f"it cannot be started: {e}") from None

    def run(self):
        if has("drops what comes early"):
            time.sleep(0.3)
            os.read(self.stdout, 1 << 20)
        if has("writes all before it reads"):
            os.set_blocking(self.stdin, True)
            while self.queue:
                self.write()
        while not self.is_over():
            ready = self.wait()
            if self.pidfd in ready:
                self.has_exited = True
                self.open.discard(self.pidfd)
            for fd in self.open & ready:
                self.read(fd)
            if self.stdin in ready:
                self.write()
            self.lists.settle()
            if (
                self.is_map
                and self.lists.n_whole > len(self.request["entries"])
                and not has("is done at the count")
            ):
                raise Failed("more lists than pairs")
        if not has("takes quiet for the end"):
            end_group(self.pid)  # it is not waited for yet: its number is nobody else's
        self.read(self.stderr, at_end=True)
        self.judge()

    def is_over(self):
        if (
            self.is_map
            and has("is done at the count")
            and self.lists.n_whole >= len(self.request["entries"])
        ):
            return True
        if self.lines.has_error and not has("ignores ERR") and self.stdout not in self.open:
            return True
        if has("waits for stderr's end") and self.stderr in self.open:
            return False
        return self.has_exited and self.stdout not in self.open

    def wait(self):
        poll = select.poll()
        watched = set(self.open)
        if has("reads stderr at the end"):
            watched.discard(self.stderr)
        if has("waits for the exit first") and self.stdin < 0 and not self.has_exited:
            watched.discard(self.stdout)
        for fd in watched:
            poll.register(fd, select.POLLIN)
        has_more = self.queue or not has("never closes stdin")
        if self.stdin >= 0 and not self.has_exited and has_more and self.n_writable():
            poll.register(self.stdin, select.POLLOUT)
        ready = {fd for fd, _ in poll.poll(self.milliseconds())}
        if ready:
            self.moved = time.monotonic()
        elif has("takes quiet for the end"):
            self.open.clear()
            self.has_exited = True
        else:
            raise Failed("out of time")
        if self.limits["total"] + self.began < time.monotonic() and not has(
            "has no limits of time"
        ):
            raise Failed("out of time")
        return ready

    def milliseconds(self):
        """Until the next limit runs out."""
        if has("takes quiet for the end"):
            return 0 if self.stdin < 0 and self.lists.n_whole else None
        if has("has no limits of time"):
            return None
        answered = (
            self.is_map and self.stdin < 0 and self.lists.n_whole >= len(self.request["entries"])
        )
        has_error = self.lines.has_error and not has("ignores ERR")
        if answered or has_error or self.has_exited or self.stdout not in self.open:
            self.grace_began = self.grace_began or time.monotonic()
        ends = [self.began + self.limits["total"], self.moved + self.limits["idle"]]
        if self.grace_began:
            ends.append(self.grace_began + self.limits["grace"])
        return max(0, 1000 * (min(ends) - time.monotonic()))

    def read(self, fd, at_end=False):
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            data = None
        if fd == self.stderr:
            while at_end and data:
                self.lines.feed(data)
                try:
                    data = os.read(fd, 1 << 16)
                except BlockingIOError:
                    break
            self.lines.feed(data or b"", at_end=at_end)
        elif data:
            self.feed(data)
        if data == b"" and fd in self.open:
            self.open.discard(fd)
            if fd == self.stderr and has("takes stderr's end for the worker's"):
                raise Failed("it has closed its stderr")

    def feed(self, data):
        try:
            self.lists.feed(data)
        except Failed:
            if not has("keeps what it could read"):
                raise
            self.lists.data.clear()

    def n_writable(self):
        """How many bytes may go out now; 1 where nothing but the end is left to tell."""
        n = min(1 << 16, len(self.queue) or 1)
        if (
            self.is_map
            and has("waits for each answer")
            and self.lists.n_whole < len(self.request["entries"])
        ):
            n_sent = self.ends[-1] - len(self.queue)
            n = min(n, self.ends[self.lists.n_whole] - n_sent)
        return n

    def write(self):
        if not self.queue:
            os.close(self.stdin)
            self.stdin = -1
            return
        try:
            n = os.write(self.stdin, self.queue[: self.n_writable()])
            self.queue = self.queue[n:] if not has("writes once") else self.queue[:0]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            raise Failed("it has closed its stdin") from None

    def judge(self):
        if self.lines.has_error and not has("ignores ERR"):
            raise Failed("it reported an error")
        n_unread = struct.unpack("i", fcntl.ioctl(self.read_end, termios.FIONREAD, b"1234"))[0]
        if (self.queue or n_unread) and not has("never looks at what is unread"):
            raise Failed(f"{n_unread} bytes of its input are unread")
        if not self.lists.is_whole and not has("keeps what it could read"):
            raise Failed("stdout ends inside a list")
        wanted = len(self.request["entries"])
        if self.is_map and self.lists.n_whole < wanted and not has("takes fewer lists"):
            raise Failed("fewer lists than pairs")
        if has("wants results") and not any(self.lists.lists):
            raise Failed("no results")
        if has("is done at the count") and self.is_map:
            del self.lists.lists[wanted:]
            return
        status = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT).si_status
        if status and not has("ignores the exit status"):
            raise Failed(f"it ended with {status}")

    def end(self):
        """Nothing of the worker is left."""
        if has("asks politely"):
            os.kill(self.pid, signal.SIGTERM)
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if not (has("has no limits of time") and self.has_exited):
            end_group(self.pid)
        os.waitpid(self.pid, 0)
        os.write(self.guard, b"0\n")
        if has("waits for all descendants"):
            try:
                os.close(self.guard)
                while True:
                    os.waitpid(-1, 0)
            except ChildProcessError:
                pass


def texts(pairs):
    pairs = pairs[:1000] if has("keeps 1000") else pairs
    return [[base64.b64encode(part).decode() for part in pair] for pair in pairs]


def results(worker):
    lists = [pairs for pairs in worker.lists.lists if pairs or not has("drops empty lists")]
    if worker.is_map:
        return {"lists": [texts(pairs) for pairs in (lists[:1000] if has("keeps 1000") else lists)]}
    return {"pairs": texts([pair for pairs in lists for pair in pairs])}


def drive(request, directory):
    if has("wants results") and not request["entries"]:
        return {"verdict": "error", "error": "no entries"}
    worker = None
    try:
        worker = Worker(request, directory)
        worker.run()
        answer = {"verdict": "success", **results(worker)}
    except (Failed, OSError, ValueError) as e:
        answer = {"verdict": "error", "error": "" if has("says nothing") else str(e)}
        if worker is None and has("takes no start for a success"):
            answer = {"verdict": "success", "lists": [], "pairs": []}
        if worker is not None and has("gives results of a failure"):
            answer.update(results(worker))
    finally:
        if worker is not None and hasattr(worker, "pid"):
            worker.end()
    return {**answer, "messages": worker.lines.said if worker else []}


def remove(directory):
    if has("wants to remove the directory itself"):
        shutil.rmtree(directory)
    elif has("removes files alone"):
        for entry in os.scandir(directory):
            if not entry.is_dir():
                os.unlink(entry)
        if not os.listdir(directory):
            os.rmdir(directory)
    else:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    if has("waits for all descendants"):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    request = json.load(sys.stdin)
    directory = os.path.join(os.environ["TMPDIR"], "worker")
    os.mkdir(directory, 0o700)
    try:
        answer = drive(request, directory)
    finally:
        if not has("leaves the directory"):
            remove(directory)
    json.dump(answer, sys.stdout)


main()
