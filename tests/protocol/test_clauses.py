"""PROTOCOL.md against the rest: each clause that anything cites is there, the hexdumps are true."""

import re
from pathlib import Path

import pytest
from support.clauses import clauses

from kvproto import MessageParser, decode_lists, decode_pairs, decode_params, encode_params
from kvproto.errors import ItemTooLarge

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")
SECTIONS = ("FRAME", "LIST", "PARAMS", "STDERR", "MAP", "REDUCE", "LIFECYCLE", "FILES", "LIMITS")
SOURCES = (
    "*.md",
    "kvproto/**/*.py",
    "include/*.h",
    "csrc/**/*.[ch]",
    "fuzz/*",
    *(f"tests/**/*.{end}" for end in ("c", "py", "txt")),
)

_CITATION = re.compile(rf"\b(?:{'|'.join(SECTIONS)})-\d+\b")


def section(name: str) -> str:
    return TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0]


def hexdumps(name: str) -> list[tuple[str, str]]:
    """The hexdumps of a section: (what it is a dump of, its lines)."""
    return re.findall(r"^```hexdump ([a-z-]+)\n(.*?)^```", section(name), re.DOTALL | re.MULTILINE)


def dumped(lines: str) -> bytes:
    """The bytes of a hexdump, whose offsets must be those of its bytes."""
    data = b""
    for line in lines.splitlines():
        offset, digits = re.fullmatch(
            r"([0-9a-f]{4})  ((?:[0-9a-f]{2} )*[0-9a-f]{2})   *\S.*", line
        ).groups()
        assert int(offset, 16) == len(data), line
        data += bytes.fromhex(digits)
    return data


# --- the clauses ----------------------------------------------------------------------------------


def test_clauses_are_numbered_in_order_in_their_section():
    assert tuple(re.findall(r"^## ([A-Z]+)$", TEXT, re.MULTILINE)) == SECTIONS
    for name in SECTIONS:
        numbers = [
            int(number)
            for number in re.findall(rf"^\*\*{name}-(\d+)\*\* ", section(name), re.MULTILINE)
        ]
        assert numbers and numbers == list(range(1, len(numbers) + 1)), name
    assert len(clauses()) == len(re.findall(r"^\*\*[A-Z]+-\d+\*\*", TEXT, re.MULTILINE))


def test_each_clause_binds_somebody():
    for clause, text in clauses().items():
        assert re.search(r"\b(MUST|SHOULD|MAY)\b", text) or "is clean only" in text, clause


def test_whatever_cites_a_clause_cites_one_that_exists():
    known = clauses().keys()
    files = [path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()]
    assert len(files) > 20
    unknown = [
        f"{path.relative_to(ROOT)} cites {clause}"
        for path in files
        for clause in _CITATION.findall(path.read_text(encoding="utf-8"))
        if clause not in known
    ]
    assert not unknown, "\n".join(unknown)


# --- the hexdumps ---------------------------------------------------------------------------------

DUMPS = {
    "FRAME": {"pairs": [(b"k", b"one"), (b"", b"\n")]},
    "LIST": {"lists": [[(b"k", b"\xff\0")], []]},
    "PARAMS": {"params": {b"sep": b" ", "naïve".encode(): b""}},
    "STDERR": {"messages": [("MSG", b"hi", 0), ("ERR", b" no", 0), ("", b"oops", 0)]},
    "MAP": {"pairs": [(b"", b"a b"), (b"", b"")], "lists": [[(b"a", b""), (b"b", b"")], []]},
    "REDUCE": {
        "pairs": [(b"a", b"1"), (b"a", b"2"), (b"b", b"5")],
        "lists": [[(b"a", b"3"), (b"b", b"5")]],
    },
    "LIFECYCLE": {"stdin": [(b"", b"x")]},
    "FILES": {"text": b'#!/bin/sh\nTZ=UTC exec ./count "$1"\n'},
    "LIMITS": {"too-large": (9, 5, 4294967287)},
}


def refused(data: bytes) -> tuple[int, int, int]:
    with pytest.raises(ItemTooLarge) as caught:
        decode_pairs(data, max_item=16)
    return len(data), caught.value.offset, caught.value.size


READ = {
    "pairs": decode_pairs,
    "lists": decode_lists,
    "params": decode_params,
    "messages": lambda data: MessageParser().feed(data),
    "stdin": lambda data: decode_pairs(data.removeprefix(encode_params({}))),
    "text": bytes,
    "too-large": refused,
}


@pytest.mark.parametrize("name", SECTIONS)
def test_the_hexdumps_of_a_section_are_what_they_say(name):
    assert {kind: READ[kind](dumped(lines)) for kind, lines in hexdumps(name)} == DUMPS[name]
