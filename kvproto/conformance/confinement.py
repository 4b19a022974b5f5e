"""The witnesses of FILES-3, which see that a worker touches files that are not its own.

A witness is available if it catches a test program on this machine. Each is a program that starts
the worker (`through`) and passes on its exit status and its pipes:

    landlock   The kernel refuses the access; the worker then fails, or does without. The pid is the
               worker's.
    strace     The access succeeds, and is in a log that `strace.accesses` reads. The pid is that of
               strace, which also holds the worker's pipes open, and which ends after all processes
               that the worker started.

Neither sees everything: csrc/launch/confine.c and the module `strace` say what they miss.

A worker may read what its interpreter and libraries consist of (`readable`): the system's
programs, libraries and their configuration, and elsewhere, as in a home or under /srv, only what
its own files name: the interpreter of a `#!` line, programs that a shell script calls, the shared
libraries of a binary, directories in environment variables. It may not read /home, /root, /tmp,
/var, /srv and /etc as such.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from glob import glob
from pathlib import Path

from kvproto.conformance import quiet
from kvproto.conformance.strace import CALLS, accesses
from kvproto.driver import proc
from kvproto.driver.process import SUPERVISE

__all__ = ["CONFINE", "WITNESSES", "readable", "through", "witnesses"]

CONFINE = os.path.join(os.path.dirname(SUPERVISE), "confine")
"""The program that confines another one; csrc/launch/confine.c describes its arguments."""

WITNESSES = {
    "landlock": "this kernel has no Landlock (Linux 5.13), or does not allow it here",
    "strace": "strace is not installed, or may not trace here (apt-get install strace)",
}
"""The witnesses, and what to say if one is not available."""

_TRIAL = ". ../outside; : >inside"
"""A shell script with one forbidden read and one forbidden write."""


def witnesses() -> tuple[str, ...]:
    """List the available witnesses, which are tested once."""
    return tuple(
        name
        for name, is_there in (("landlock", _has_landlock()), ("strace", bool(_strace())))
        if is_there
    )


def through(witness: str, may_read: Sequence[str], log: str) -> list[str]:
    """Make the command that starts a program under a witness, for SupervisedProcess.

    may_read  from `readable`, for landlock
    log       a path outside the worker's directory, for strace
    """
    if witness == "landlock":
        return [CONFINE, *may_read, "--"]
    return [*_strace(), "-o", os.path.abspath(log), "--"]


@cache
def _has_landlock() -> bool:
    with quiet.STARTING:
        return subprocess.run([CONFINE, "--probe"], check=False).returncode == 0


@cache
def _strace() -> tuple[str, ...]:
    """Make the strace command up to its log; () when a trial with it fails."""
    program = shutil.which("strace")
    if program is None:
        return ()
    calls = "trace=" + ",".join(f"?{call}" for call in CALLS)
    command = (
        os.path.abspath(program),
        "-f",
        "-qq",
        "-y",
        "-a",
        "1",
        "-e",
        "signal=none",
        "-e",
        calls,
    )
    fast = (*command, "--seccomp-bpf")  # strace 5.3: stops the worker only at these calls
    return next((each for each in (fast, command) if _catches_trial(each)), ())


def _catches_trial(command: Sequence[str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="kvproto-trial-") as top:
        directory, outside, log = (os.path.join(top, name) for name in ("worker", "outside", "log"))
        os.mkdir(directory)
        for path in (outside, log):
            with open(path, "w"):
                pass
        trial = [*command, "-o", log, "--", "/bin/sh", "-c", _TRIAL]
        with quiet.STARTING:
            done = subprocess.run(
                trial, check=False, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True
            )
        with open(log) as file:
            seen = [access[:2] for access in accesses(file.read(), directory, readable({}))]
    outside, inside = os.path.realpath(outside), os.path.join(os.path.realpath(directory), "inside")
    return (done.returncode, done.stderr) == (0, b"") and seen == [
        ("read", outside),
        ("write", inside),
    ]


SYSTEM = (
    "/bin",
    "/sbin",
    "/lib*",
    "/usr",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/etc/ld.so.*",
    "/etc/ld-musl-*",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/locale.*",
    "/etc/nsswitch.conf",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/certs",
    "/etc/ca-certificates",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
    "/etc/crypto-policies",
    "/etc/java*",
    "/etc/perl",
    "/etc/python*",
    "/etc/ruby*",
    "/etc/php*",
    "/etc/lua*",
    "/etc/R",
    "/etc/terminfo",
)
"""Globs of what every worker may read."""

USERS = ("/etc/passwd", "/etc/userdb", "/run/systemd/userdb", "/var/lib/sss/mc")
"""What the C library reads to look up a user."""

ASKS_WHO_RUNS_IT = re.compile(r"java|tclsh|wish|expect")
"""Interpreters that always read USERS. Bash does so without a SHELL, others without a HOME."""

LIBRARY_VARIABLES = (
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PYTHONPATH",
    "PYTHONHOME",
    "PERL5LIB",
    "PERLLIB",
    "NODE_PATH",
    "TCL_LIBRARY",
    "RUBYLIB",
    "GEM_PATH",
    "CLASSPATH",
    "JAVA_HOME",
    "OPENSSL_CONF",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "BASH_ENV",
)
"""Variables with colon-separated paths of libraries, or of files read at the start."""

LOOKED_FOR_UPWARDS = ("package.json", ".python-version", ".tool-versions")
"""Files that interpreters look for in the directory of the program and in all its parents."""

SHELLS = ("sh", "bash", "dash", "ksh", "zsh")
_PROGRAM_DIRECTORIES = ("bin", "sbin", "libexec", "shims")
_WORD = re.compile(r"[\w.+-]+")


def readable(
    files: Mapping[str, bytes], environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """List the paths that a program may read, with everything below them; links also resolved.

    files        name -> bytes: `op`, and the supporting files
    environment  of the program; None for that of this process
    """
    environment = os.environ if environment is None else environment
    names = [path for pattern in SYSTEM for path in glob(pattern)]
    for name in LIBRARY_VARIABLES:
        names += [path for path in environment.get(name, "").split(":") if os.path.isabs(path)]
    for directory in _and_above(tempfile.gettempdir()):
        names += [os.path.join(directory, name) for name in LOOKED_FOR_UPWARDS]
    for content in files.values():
        names += _named_in(content, environment)
    kept = dict.fromkeys(
        each for name in names if os.path.exists(name) for each in (name, os.path.realpath(name))
    )
    return tuple(kept)


def _and_above(path: str) -> list[str]:
    start = Path(path).resolve()
    return [str(each) for each in (start, *start.parents)]


def _named_in(content: bytes, environment: Mapping[str, str]) -> Iterator[str]:
    """List what one file of a program needs: prefixes of programs, libraries of a binary."""
    if content.startswith(b"\x7fELF"):
        yield from _shared_libraries(content)
    for command in _commands(content, environment):
        yield from _needed_by(command, environment)


def _needed_by(command: str, environment: Mapping[str, str]) -> Iterator[str]:
    name, program = os.path.basename(command), _which(command, environment)
    is_bash = os.path.basename(os.path.realpath(program or command)) == "bash"
    if (
        "HOME" not in environment
        or (is_bash and "SHELL" not in environment)
        or ASKS_WHO_RUNS_IT.match(name)
    ):
        yield from USERS
    if name.startswith("python"):
        yield from glob(os.path.join(_home(environment), ".local/lib/python3*/site-packages"))
    if program:
        yield from _made_of(program, environment)


def _which(command: str, environment: Mapping[str, str]) -> str | None:
    return shutil.which(command, path=environment.get("PATH", os.defpath))


def _commands(content: bytes, environment: Mapping[str, str]) -> list[str]:
    """List the interpreter of a script, and the programs that a shell script may call."""
    if not content.startswith(b"#!"):
        return []
    words = content[2:].partition(b"\n")[0].decode("utf-8", "surrogateescape").split()
    commands = words[:1]
    if commands and os.path.basename(commands[0]) == "env":
        commands += [word for word in words[1:] if not word.startswith("-") and "=" not in word][:1]
    if commands and os.path.basename(commands[-1]) in SHELLS:
        words_of_script = set(_WORD.findall(content.decode("utf-8", "replace")))
        commands += sorted(words_of_script & _programs(environment))
    return commands


def _programs(environment: Mapping[str, str]) -> set[str]:
    """List the names of all programs in PATH."""
    names: set[str] = set()
    for directory in environment.get("PATH", os.defpath).split(":"):
        with suppress(OSError):  # PATH may contain directories that do not exist
            names.update(os.listdir(directory or "."))
    return names


def _made_of(program: str, environment: Mapping[str, str]) -> Iterator[str]:
    """List the directories that a program was installed to, by its path and with links resolved."""
    for path in dict.fromkeys((program, os.path.realpath(program))):
        yield path
        yield from _prefix(path, environment)
        home = _base_of_environment(
            os.path.join(os.path.dirname(os.path.dirname(path)), "pyvenv.cfg")
        )
        if home:
            yield from _prefix(os.path.join(home, "python"), environment)
    for command in _commands(_first_line(program), environment):  # the shim of a version manager
        if _which(command, environment) != program:
            yield from _needed_by(command, environment)


def _first_line(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.readline(200)
    except OSError:
        return b""  # it may be executable but not readable


def _prefix(path: str, environment: Mapping[str, str]) -> list[str]:
    """List the prefix X of X/bin/program; if X is too wide, as a home is, only X/lib*."""
    directory = os.path.dirname(path)
    if os.path.basename(directory) not in _PROGRAM_DIRECTORIES:
        return [] if directory in _too_wide(environment) else [directory]
    prefix = os.path.dirname(directory)
    if prefix in _too_wide(environment):
        return glob(os.path.join(prefix, "lib*"))
    return [prefix]


def _too_wide(environment: Mapping[str, str]) -> set[str]:
    home = _home(environment)
    return {
        *_and_above(home),
        os.path.join(home, ".local"),
        home,
        *_and_above(tempfile.gettempdir()),
    }


def _home(environment: Mapping[str, str]) -> str:
    return environment.get("HOME") or os.path.expanduser("~")


def _base_of_environment(config: str) -> str:
    """Find the directory of the Python that a virtual environment was made with, or ""."""
    try:
        lines = Path(config).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    halves = (line.partition("=") for line in lines)
    return next((value.strip() for name, _, value in halves if name.strip() == "home"), "")


def _shared_libraries(binary: bytes) -> list[str]:
    """List the libraries that the loader finds for a binary."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    fd = os.memfd_create("op")
    try:
        os.write(fd, binary)
        os.fchmod(fd, 0o700)
        path = proc.fd_path(os.getpid(), fd)
        listed = subprocess.run(
            [ldd, path], check=False, capture_output=True, text=True, errors="surrogateescape"
        ).stdout
    finally:
        os.close(fd)
    return re.findall(r"^\s*(?:.* => )?(/.*) \(0x", listed, re.MULTILINE)
