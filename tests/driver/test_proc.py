"""What /proc says of a process that changes while it is read."""

import subprocess
import sys

from kvproto.driver import proc

THREADS = """
import os, sys, threading

def live(begun, end):
    os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    begun.release()
    end.acquire()

begun, ends = threading.Semaphore(0), [threading.Semaphore(0) for _ in range(40)]
threads = [threading.Thread(target=live, args=(begun, end)) for end in ends]
for thread in threads:
    thread.start()
    begun.acquire()
print("ready", flush=True)
sys.stdin.read(1)
for end, thread in zip(ends, threads):
    end.release()
    thread.join()
print("ended", flush=True)
sys.stdin.read()
"""


def test_no_child_is_missed_while_the_threads_that_started_them_end():
    command = [sys.executable, "-c", THREADS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        children = []
        try:
            assert process.stdout.readline() == b"ready\n"
            children = proc.children(process.pid)
            assert len(children) == 40
            process.stdin.write(b"x")
            process.stdin.flush()
            while len(proc.threads(process.pid)) > 1:
                assert proc.children(process.pid) == children
            assert process.stdout.readline() == b"ended\n"
            assert proc.children(process.pid) == children
        finally:
            process.stdin.close()
            for pid in children:
                subprocess.run(["kill", str(pid)], check=True)
