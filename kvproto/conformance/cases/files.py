"""FILES-: what it opens, and the files that it is given."""

from __future__ import annotations

from kvproto.conformance.case import Case
from kvproto.conformance.cases.building import SMALL, Pair, stdin
from kvproto.conformance.judges import leave_to_contract
from kvproto.conformance.schedule import End, Exit, Schedule, Send
from kvproto.conformance.setting import Setting

__all__ = ["CASES"]

CONTRACT = {"contract": "reference"}


def _reads(*files: tuple[str, bytes]):
    """It is told to read each of these files, which lie beside it."""

    def schedules(setting: Setting) -> list[Schedule]:
        return [_reading(setting, name.encode(), tuple(files)) for name, _ in files]

    return schedules


def _refuses(*names: bytes):
    return lambda setting: [_reading(setting, name, (("there", b"x"),)) for name in names]


def _reading(setting: Setting, name: bytes, files: tuple[tuple[str, bytes], ...]) -> Schedule:
    params: list[Pair] = [(b"do", b"file"), (b"name", name)]
    return Schedule((Send(stdin(setting, SMALL[:2], *params)), End(), Exit()), setting.mode, files=files)


CASES = (
    Case("FILES-supporting", "MUST", "FILES-1 FRAME-6", "do=file: a supporting file is beside it, byte for byte",
         _reads(("config.txt", b"one\n"), ("every.bin", bytes(range(256)) * 3)), leave_to_contract, **CONTRACT,
         tells=("do=file",)),
    Case("FILES-empty", "MUST", "FILES-1", "do=file: a supporting file may be empty", _reads(("nothing", b"")),
         leave_to_contract, **CONTRACT),
    Case("FILES-large", "MUST", "FILES-1", "do=file: a supporting file of 4 MiB",
         _reads(("large", b"0123456789abcdef" * (1 << 18))), leave_to_contract, **CONTRACT),
    Case("FILES-odd-names", "MUST", "FILES-2", "do=file: names with spaces, with letters that are not ASCII, and with dashes",
         _reads(("a b", b"1"), ("naïve", b"2"), ("-n", b"3"), ("...", b"4"), ("a\nb", b"5")),
         leave_to_contract, **CONTRACT),
    Case("FILES-not-there", "MUST", "LIFECYCLE-3", "do=file: a file that is not there is an error",
         _refuses(b"not-there", b"THERE"), leave_to_contract, **CONTRACT),
    Case("FILES-not-plain", "MUST", "FILES-2 FILES-3", "do=file: a name that is no plain name is an error",
         _refuses(b"", b".", b"..", b"../there", b"./there", b"/etc/passwd", b"there/", b"there\0x"),
         leave_to_contract, **CONTRACT),
)  # fmt: skip
