"""Hosts on one machine: each has a network, processes, a name and private directories of its own.

A host sees the installed programs and packages of this machine, and those of the environment of
this Python, but none of its other files in PRIVATE, where its own HOME is.
The hosts of a `network` reach each other, and nothing else; `unplugged` pulls the cable of one.
Needs root, iproute2 and util-linux.
"""

import os
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

PRIVATE = ("/tmp", "/var/tmp", "/dev/shm")
"""Directories that are empty on a new host, and visible there alone."""

_UNSHARE = [
    *("unshare", "--net", "--mount", "--uts", "--pid"),
    *("--fork", "--kill-child", "--mount-proc"),
]
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def can_make_hosts():
    """Whether this process may make hosts: it is root and has the programs."""
    return os.geteuid() == 0 and all(map(shutil.which, ("ip", "unshare", "nsenter")))


class Host:
    """A host; leaving its context ends all its processes.

    Parameters
    ----------
    name : str
        The name of the host.
    address : str
        Its address in the network 10.77.0.0/24.
    """

    def __init__(self, name, address):
        self.name, self.address = name, address
        self._started = []
        # Process 1 of the host waits for the end of its stdin. All others end with it.
        self._first = subprocess.Popen(
            [*_UNSHARE, "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self._first.stdout.readline()
            children = f"/proc/{self._first.pid}/task/{self._first.pid}/children"
            with open(children) as file:
                self.pid = int(file.read())
            mounts = "".join(f"mount -t tmpfs host {path} && " for path in PRIVATE)
            # The environment may be in one of these directories itself.
            keep, restore = f"mount --bind {sys.prefix} /mnt", f"mount --bind /mnt {sys.prefix}"
            mounts = f"{keep} && {mounts} mkdir -p {sys.prefix} && {restore}"
            self.call(
                ["sh", "-ec", f"{mounts} && chmod 1777 /tmp; hostname {name}; ip link set lo up"]
            )
            os.mkdir(self.path("/tmp/home"))
            self.write("/tmp/boot_id", f"{name}-{os.urandom(8).hex()}\n")
            self.call(["mount", "--bind", "/tmp/boot_id", _BOOT_ID])
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._first.kill()
        for process in (self._first, *self._started):
            process.communicate()

    def start(self, argv, environment=None, directory="/tmp", **options):
        """Start a program on the host. Returns its Popen."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--uts", "--pid"]
        process = subprocess.Popen(
            [*enter, f"--wd={self.path(directory)}", "env", "-i", f"PATH={os.environ['PATH']}"]
            + [
                f"{key}={value}"
                for key, value in {"HOME": "/tmp/home", **(environment or {})}.items()
            ]
            + [*argv],
            **options,
        )
        self._started.append(process)
        return process

    def serve(self, argv, ready, environment=None):
        """Start a server, and wait until a line that it writes contains `ready`."""
        process = self.start(
            argv,
            environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        seen = []
        while ready not in (line := process.stdout.readline()):
            assert line, f"{argv} on {self.name}:\n{b''.join(seen).decode()}"
            seen.append(line)
        threading.Thread(target=process.stdout.read, daemon=True).start()

    def call(self, argv, environment=None, directory="/tmp"):
        """Run a program on the host. Returns its stdout; AssertionError if it fails."""
        process = self.start(
            argv,
            environment,
            directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = process.communicate()
        assert process.returncode == 0, f"{argv} on {self.name}:\n{err.decode()}"
        return out

    def path(self, path):
        """A path of the host as this process sees it."""
        return f"/proc/{self.pid}/root{path}"

    def write(self, path, data):
        """Write a file of the host; makes its directory."""
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)

    def read(self, path):
        """Read a file of the host."""
        with open(self.path(path), "rb") as file:
            return file.read()


@contextmanager
def network(*names):
    """Yield hosts that reach each other over a switch, which is the first of them."""
    with ExitStack() as opened:
        hosts = [
            opened.enter_context(Host(name, f"10.77.0.{number}"))
            for number, name in enumerate(names, 1)
        ]
        switch, *others = hosts
        switch.call(["ip", "link", "add", "switch", "type", "bridge"])
        switch.call(["ip", "addr", "add", f"{switch.address}/24", "dev", "switch"])
        switch.call(["ip", "link", "set", "switch", "up"])
        for host in others:
            port = _port(host)
            peer = ["type", "veth", "peer", "name", "eth0", "netns", str(host.pid)]
            # From this machine's own processes the ids of the hosts' processes are visible.
            subprocess.run(
                ["nsenter", f"--target={switch.pid}", "--net", "ip", "link", "add", port, *peer],
                check=True,
            )
            switch.call(["ip", "link", "set", port, "master", "switch", "up"])
            host.call(["ip", "addr", "add", f"{host.address}/24", "dev", "eth0"])
            host.call(["ip", "link", "set", "eth0", "up"])
        yield hosts


@contextmanager
def unplugged(switch, host):
    """The body runs while the cable between the switch and a host is pulled."""
    switch.call(["ip", "link", "set", _port(host), "down"])
    try:
        yield
    finally:
        switch.call(["ip", "link", "set", _port(host), "up"])


def _port(host):
    return f"to-{host.name}"
