"""FILES-: the files that a worker opens, and its supporting files."""

from __future__ import annotations

from kvproto.conformance.answers import Pair
from kvproto.conformance.case import Case, Judge, Schedules, Verdict, contract_case
from kvproto.conformance.confinement import WITNESSES, witnesses
from kvproto.conformance.display import quoted
from kvproto.conformance.oracle import fault_of
from kvproto.conformance.schedule import SMALL, Schedule, Send, Setting, ahead, stdin, until_exit
from kvproto.conformance.trace import Finding, NotApplicable, Trace

__all__ = ["CASES"]

OWN = "it reads only its own directory, its interpreter and its libraries"


def _watched(setting: Setting) -> list[Schedule]:
    """Without a witness, then under each one there is; first strace, which names the files."""
    names = [name for name in ("strace", "landlock") if name in witnesses()]
    return [ahead(setting, SMALL), *(ahead(setting, SMALL, witness=name) for name in names)]


def _touches(kind: str, what: str) -> Judge:
    """Make a judge: the worker must not read, or write, files that are not its own."""

    def judge(traces: list[Trace]) -> Verdict:
        plain, trace = traces[0], traces[-1]
        if trace is plain:
            lacking = NotApplicable("; ".join(WITNESSES.values()))
            return fault_of(plain) or (None if witnesses() else lacking)
        if trace.schedule.witness == "landlock":
            is_explained = any(
                access.kind != kind for other in traces for access in other.accesses or ()
            )
            return None if is_explained else _refused(plain, trace)  # the other case reports it
        if trace.exit_status != plain.exit_status or trace.accesses is None:
            return NotApplicable("it behaves differently under strace")
        touched = [access for access in trace.accesses if access.kind == kind]
        if not touched:
            return None
        listed = ", ".join(f"{access.path} ({access.call})" for access in touched[:4])
        return Finding(
            f"{kind}s files",
            "FILES-3",
            what,
            OWN if kind == "read" else "it writes nothing",
            listed + f", and {len(touched) - 4} more" * (len(touched) > 4),
            trace,
        )

    return judge


def _refused(plain: Trace, trace: Trace) -> Finding | None:
    if not fault_of(trace):
        return None
    last = quoted(trace.lines[-1].data) if trace.lines else "nothing"
    return Finding(
        "touches files",
        "FILES-3",
        "it fails when it may read only its own files and write none",
        "the same result as without these limits",
        f"{trace.status}; the last line on stderr: {last}",
        trace,
        also=(plain,),
    )


def _reads(*files: tuple[str, bytes]) -> Schedules:
    """The worker must return the content of each of these supporting files."""

    def schedules(setting: Setting) -> list[Schedule]:
        return [_reading(setting, name.encode(), tuple(files)) for name, _ in files]

    return schedules


def _refuses(*names: bytes) -> Schedules:
    return lambda setting: [_reading(setting, name, (("there", b"x"),)) for name in names]


def _reading(setting: Setting, name: bytes, files: tuple[tuple[str, bytes], ...]) -> Schedule:
    params: list[Pair] = [(b"do", b"file"), (b"name", name)]
    return until_exit(setting, Send(stdin(setting, SMALL[:2], *params)), files=files)


CASES = (
    Case(
        "FILES-reads-own",
        "FILES-3",
        "it reads no file but its own, and those of its interpreter and libraries",
        _watched,
        _touches("read", "it reads a file that is not its own"),
    ),
    Case(
        "FILES-writes-none",
        "FILES-3",
        "it writes to no file",
        _watched,
        _touches("write", "it writes to a file"),
    ),
    contract_case(
        "FILES-supporting",
        "FILES-1 FRAME-6",
        "do=file: a supporting file is in its directory, byte for byte",
        _reads(("config.txt", b"one\n"), ("every.bin", bytes(range(256)) * 3)),
        reports=("do=file",),
    ),
    contract_case(
        "FILES-empty",
        "FILES-1",
        "do=file: a supporting file may be empty",
        _reads(("nothing", b"")),
    ),
    contract_case(
        "FILES-large",
        "FILES-1",
        "do=file: a supporting file of 4 MiB",
        _reads(("large", b"0123456789abcdef" * (1 << 18))),
    ),
    contract_case(
        "FILES-odd-names",
        "FILES-2",
        "do=file: names with spaces, with letters that are not ASCII, and with dashes",
        _reads(("a b", b"1"), ("naïve", b"2"), ("-n", b"3"), ("...", b"4"), ("a\nb", b"5")),
    ),
    contract_case(
        "FILES-not-there",
        "LIFECYCLE-3",
        "do=file: a missing file is an error",
        _refuses(b"not-there", b"THERE"),
    ),
    contract_case(
        "FILES-not-plain",
        "FILES-2 FILES-3",
        "do=file: a name that is not plain is an error",
        _refuses(b"", b".", b"..", b"../there", b"./there", b"/etc/passwd", b"there/", b"there\0x"),
    ),
)
