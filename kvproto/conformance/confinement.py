"""The witnesses of FILES-3: who can tell that a worker touched a file that is not its own.

Promises: a witness that is named here was seen to do it on this machine, for a program that did touch one. Both are
a program that starts the worker (`through`) with its exit status and its pipes:

    landlock   the kernel refuses the access; the worker then fails, or does without it. The pid is the worker's
    strace     the access succeeds, and is in a log, which `strace.accesses` reads. The pid is strace's, which holds
               the worker's pipes open too, and ends when all that the worker started has ended

Neither sees all: csrc/launch/confine.c and `strace` say what they miss. Refuses to know what a worker should answer.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from glob import glob
from pathlib import Path

from kvproto.conformance import quiet
from kvproto.conformance.strace import CALLS, accesses
from kvproto.driver.process import SUPERVISE

__all__ = ["CONFINE", "WITNESSES", "readable", "through", "witnesses"]

CONFINE = os.path.join(os.path.dirname(SUPERVISE), "confine")
"""The path of the program that confines another one; its arguments are in csrc/launch/confine.c."""

WITNESSES = {
    "landlock": "this kernel has no Landlock (Linux 5.13), or does not allow it here",
    "strace": "strace is not installed, or may not trace here (apt-get install strace)",
}
"""Each witness, and what to say where it cannot be had."""

_TRIAL = ". ../outside; : >inside"
"""In sh: one read and one write that a worker must not do."""


def witnesses() -> tuple[str, ...]:
    """Those of WITNESSES that this machine has; found out once."""
    return tuple(
        name
        for name, is_there in (("landlock", _has_landlock()), ("strace", bool(_strace())))
        if is_there
    )


def through(witness: str, may_read: Sequence[str], log: str) -> list[str]:
    """The command that starts a program under a witness, for SupervisedProcess.

    may_read   of `readable.readable`, for landlock
    log        a path outside of the worker's directory, for strace to write
    """
    if witness == "landlock":
        return [CONFINE, *may_read, "--"]
    return [*_strace(), "-o", os.path.abspath(log), "--"]


@cache
def _has_landlock() -> bool:
    with quiet.STARTING:
        return subprocess.run([CONFINE, "--probe"]).returncode == 0


@cache
def _strace() -> tuple[str, ...]:
    """The strace command up to its log; () where a trial with it does not tell what was done."""
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
    fast = (*command, "--seccomp-bpf")  # strace 5.3: it stops the worker at these calls alone
    return next((each for each in (fast, command) if _tells(each)), ())


def _tells(command: Sequence[str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="kvproto-trial-") as top:
        directory, outside, log = (os.path.join(top, name) for name in ("worker", "outside", "log"))
        os.mkdir(directory)
        for path in (outside, log):
            with open(path, "w"):
                pass
        trial = [*command, "-o", log, "--", "/bin/sh", "-c", _TRIAL]
        with quiet.STARTING:
            done = subprocess.run(
                trial, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True
            )
        with open(log) as file:
            told = [access[:2] for access in accesses(file.read(), directory, readable({}))]
    outside, inside = os.path.realpath(outside), os.path.join(os.path.realpath(directory), "inside")
    return (done.returncode, done.stderr) == (0, b"") and told == [
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
"""Of the system, as globs."""

USERS = ("/etc/passwd", "/etc/userdb", "/run/systemd/userdb", "/var/lib/sss/mc")
"""What the C library reads to tell the name, the home or the shell of a user."""

ASKS_WHO_RUNS_IT = re.compile(r"java|tclsh|wish|expect")
"""Interpreters that always read USERS when they start. Bash does so without a SHELL, others without a HOME."""

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
"""Variables that name directories of libraries, or files that an interpreter reads at its start; colons between."""

LOOKED_FOR_UPWARDS = ("package.json", ".python-version", ".tool-versions")
"""Files that interpreters look for in the directory of the program and in each one above it."""

SHELLS = ("sh", "bash", "dash", "ksh", "zsh")
_PROGRAM_DIRECTORIES = ("bin", "sbin", "libexec", "shims")
_WORD = re.compile(r"[\w.+-]+")


def readable(
    files: Mapping[str, bytes], environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The paths that a program of these files may read, and all that is below them; each that is a link also resolved.

    files        name -> bytes: `op`, and the supporting files
    environment  of the program, name -> value; None: ours

    A file that is not read is named without harm: that a system lacks it, or that it is read by nobody.
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
    """What one file of a program needs: the prefixes of the programs that a script names, a binary's libraries."""
    if content.startswith(b"\x7fELF"):
        yield from _shared_libraries(content)
    for command in _commands(content, environment):
        yield from _needed_by(command, environment)


def _needed_by(command: str, environment: Mapping[str, str]) -> Iterator[str]:
    name, program = os.path.basename(command), _found(command, environment)
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


def _found(command: str, environment: Mapping[str, str]) -> str | None:
    return shutil.which(command, path=environment.get("PATH", os.defpath))


def _commands(content: bytes, environment: Mapping[str, str]) -> list[str]:
    """The interpreter of a script, what `env` looks for, and for a shell's script the programs that it may call."""
    if not content.startswith(b"#!"):
        return []
    words = content[2:].partition(b"\n")[0].decode("utf-8", "surrogateescape").split()
    commands = words[:1]
    if commands and os.path.basename(commands[0]) == "env":
        commands += [word for word in words[1:] if not word.startswith("-") and "=" not in word][:1]
    if commands and os.path.basename(commands[-1]) in SHELLS:
        said = set(_WORD.findall(content.decode("utf-8", "replace")))
        commands += sorted(said & _programs(environment))
    return commands


def _programs(environment: Mapping[str, str]) -> set[str]:
    """The names of all programs that are found by their name."""
    names: set[str] = set()
    for directory in environment.get("PATH", os.defpath).split(":"):
        try:
            names.update(os.listdir(directory or "."))
        except OSError:
            pass  # PATH may name what is not there
    return names


def _made_of(program: str, environment: Mapping[str, str]) -> Iterator[str]:
    """The directories that a program was installed to, as a path says it and as its links lead there."""
    for path in dict.fromkeys((program, os.path.realpath(program))):
        yield path
        yield from _prefix(path, environment)
        home = _base_of_environment(
            os.path.join(os.path.dirname(os.path.dirname(path)), "pyvenv.cfg")
        )
        if home:
            yield from _prefix(os.path.join(home, "python"), environment)
    for command in _commands(_first_line(program), environment):  # of a version manager's shim
        if _found(command, environment) != program:
            yield from _needed_by(command, environment)


def _first_line(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.readline(200)
    except OSError:
        return b""  # it may be executable, and not readable


def _prefix(path: str, environment: Mapping[str, str]) -> list[str]:
    """Where the program's own things are: below X for X/bin/program; where X is a home, below X/lib."""
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
    """The directory of the Python that a virtual environment was made with; "" where there is none."""
    try:
        lines = Path(config).read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    halves = (line.partition("=") for line in lines)
    return next((value.strip() for name, _, value in halves if name.strip() == "home"), "")


def _shared_libraries(binary: bytes) -> list[str]:
    """The files of the libraries that the loader finds for a binary."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    fd = os.memfd_create("op")
    try:
        os.write(fd, binary)
        os.fchmod(fd, 0o700)
        path = f"/proc/{os.getpid()}/fd/{fd}"
        listed = subprocess.run(
            [ldd, path], capture_output=True, text=True, errors="surrogateescape"
        ).stdout
    finally:
        os.close(fd)
    return re.findall(r"^\s*(?:.* => )?(/.*) \(0x", listed, re.MULTILINE)
