"""Make the inputs in seeds/<target>/.

They are the byte vectors of tests/vectors/ in the form of each target, worker scripts, and the
traffic of `kvproto check` with a correct worker: what it sends, and the lists that it expects.

`PYTHONPATH=tests python fuzz/seeds.py` rewrites them reproducibly. It keeps the inputs that broke
an invariant, found-* and crash-*.
"""

import struct
from pathlib import Path

HERE = Path(__file__).parent

from support.vectors_format import load  # noqa: E402

from kvproto.conformance.contract import due  # noqa: E402
from kvproto.conformance.schedule import Setting  # noqa: E402
from kvproto.conformance.workers import CASES  # noqa: E402

MOST = 2000
"""Bytes of a seed. A longer vector adds nothing for a fuzzer."""

LIMITS = [1 << 30, 0, 1, 7, 255, 65536, 0xFFFFFFFF, 0x7FFFFFFF]  # as in fuzz.h
READ, ECHO, PREFIX, WRITE, HALF, BYTES, COPY, SAY, PARAMS, LOOK_UP, LIMIT, RAW, ALLOCATE, COPIED = (
    range(14)
)  # script.h


def limit_byte(max_item: int) -> bytes:
    """The byte that selects a limit, 1 GiB for one that no byte selects."""
    return bytes([LIMITS.index(max_item) if max_item in LIMITS else 0])


def script(
    calls, stdin: bytes = b"", outcomes: bytes = b"", stdin_buffer: int = 0, stdout_buffer: int = 0
) -> bytes:
    """The input of script.h: calls are (which, with) pairs, buffers are indexes of its sizes."""
    head = bytes([stdin_buffer, stdout_buffer, len(calls), len(outcomes)])
    return head + b"".join(map(bytes, calls)) + outcomes + stdin


def frames(*pairs: tuple[bytes, bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for pair in pairs for item in pair)


PAIRS = frames((b"key", b"value"), (b"", b""), (b"k" * 70, b"v" * 200))
SET = b"16\n1 a 1 1\n1 b 1 2\n"
SHORT_IO = bytes([0, 1, 9, 0xFF, 3, 20, 1])
SCRIPTS = {
    "echo": script([(ECHO, 0)], PAIRS),
    "echo-small-buffers": script([(ECHO, 0)], PAIRS, stdin_buffer=4, stdout_buffer=4),
    "echo-short-io": script([(ECHO, 0)], PAIRS, SHORT_IO, 2, 2),
    "echo-never-blocks": script([(ECHO, 0)], PAIRS, b"\x11", 3, 5),
    "echo-truncated": script([(ECHO, 0)], PAIRS[:-1]),
    "echo-too-large": script([(LIMIT, 2), (ECHO, 0)], PAIRS),
    "params-then-echo": script([(PARAMS, 0), (LOOK_UP, 0), (ECHO, 0)], SET + PAIRS, SHORT_IO),
    "params-of-one-name": script([(PARAMS, 0), (LOOK_UP, 0)], b"16\n1 a 1 1\n1 a 1 2\n"),
    "params-malformed": script([(PARAMS, 0)], b"8\n1 a 1 1x"),
    "params-truncated": script([(PARAMS, 0)], SET[:-3]),
    "params-twenty": script([(PARAMS, 0), (LOOK_UP, 0)], b"160\n" + b"1 a 1 1\n" * 20),
    "raw": script([(RAW, 5), (ECHO, 0)], b"12345" + PAIRS),
    "raw-truncated": script([(RAW, 200)], PAIRS[:50]),
    "halves": script(
        [(READ, 0), (COPY, 0), (PREFIX, 2), (HALF, 0), (HALF, 1), (COPIED, 0), (HALF, 1)], PAIRS
    ),
    "copies-that-grow": script(
        [(READ, 0), (COPY, 0), (READ, 0), (COPY, 0), (READ, 0), (COPY, 0)], PAIRS
    ),
    "half-left": script([(READ, 0), (PREFIX, 1), (HALF, 0)], PAIRS),
    "prefix-after-half": script([(READ, 0), (PREFIX, 1), (HALF, 0), (PREFIX, 1)], PAIRS),
    "pair-after-half": script([(READ, 0), (PREFIX, 2), (HALF, 0), (WRITE, 0)], PAIRS),
    "prefix-negative": script([(PREFIX, 255)]),
    "prefix-too-early": script([(PREFIX, 2), (BYTES, 3), (PREFIX, 1)]),
    "pair-without-list": script([(BYTES, 3)]),
    "pair-too-many": script([(PREFIX, 1), (BYTES, 3), (BYTES, 3)]),
    "pairs-missing": script([(PREFIX, 3), (BYTES, 3)]),
    "long-values": script(
        [(PREFIX, 3), (BYTES, 0xFE), (BYTES, 0xFF), (BYTES, 0xFA)], b"", SHORT_IO, 0, 6
    ),
    "exact-buffers": script(
        [(PREFIX, 3), (BYTES, 0x40), (BYTES, 0x3C), (BYTES, 0x2C)], stdout_buffer=5
    ),
    "messages": script(
        [(SAY, 0), (SAY, 1), (SAY, 255), (ALLOCATE, 0), (ALLOCATE, 9)], b"", SHORT_IO
    ),
    "nothing": script([]),
    # poll() reports input, but the read finds none: the buffer must be flushed before waiting.
    "crash-input-gone-again": script(
        [(PREFIX, 1), (BYTES, 3), (READ, 0)], PAIRS, b"\x01\x09\xff\xff"
    ),
}
MESSAGES = {  # repetitions - 1, flags (1: die, 2: no memory), outcomes, text
    "empty": b"\0\0\0",
    "die": b"\0\1\0no",
    "lines": b"\0\0\0one\ntwo\n\n",
    "newline-alone": b"\0\1\0\n",
    "long": bytes([127, 0, 0]) + b"0123456789" * 8,
    "long-short-io": bytes([127, 0, 7]) + SHORT_IO + b"line\n" * 20,
    "long-no-memory": bytes([127, 3, 0]) + b"0123456789" * 8,
    "length-2047": bytes([88, 2, 0]) + b"x" * 23,
    "length-2048": bytes([127, 2, 0]) + b"x" * 16,
}


def keys(*all_keys: bytes) -> bytes:
    """The keys of sorting.c, each after its size."""
    return b"".join(bytes([len(key)]) + key for key in all_keys)


FEW = [b"b", b"a", b"", b"b", b"a\0", b"a", b"long key 1", b"long key 0", b"long key", b"\xff"]
MANY = [b"%d" % (number * number % 211) for number in range(400)]
PREFIXED = [b"the same beginning %d" % (number * 7 % 50) for number in range(90)]
SORTS = {  # memory, piece - 1, the allocation that fails, keys
    "few": b"\0\xff\0" + keys(*FEW),
    "few-byte-by-byte": b"\1\0\0" + keys(*FEW),
    "many": b"\0\x40\0" + keys(*MANY),
    "many-in-runs": b"\2\xff\0" + keys(*MANY),
    "long-in-runs": b"\3\x10\0" + keys(*PREFIXED),
    "no-memory": b"\0\x40\3" + keys(*MANY),
    "no-memory-later": b"\0\x40\7" + keys(*MANY),
    "records": b"\0\0\0key\2a value\0key \1\3\2\1\4\1\5\0",
    "records-malformed": b"\0\0\0key\2value\1\6\0",
}
LISTS = b"".join(struct.pack("<I", 3) + frames(*[(key, b"1")] * 3) for key in PREFIXED[:20])
DEALS = {  # limit, flags (1: lists, 2: by tables), partitions - 1, capacity - 1, lengths, stream
    "lists": b"\0\1\2\xff\0" + LISTS,
    "lists-in-pieces": b"\0\1\2\xff\3\x65\x7f\x03" + LISTS,
    "lists-full-buffers": b"\0\1\1\x20\1\x90" + LISTS,
    "lists-byte-by-byte": b"\0\1\3\0\1\1" + LISTS[:300],
    "pairs": b"\0\0\2\xff\0" + frames(*[(key, key) for key in FEW] * 9),
    "pairs-of-one-partition": b"\0\0\0\xff\1\x99" + frames(*[(key, key) for key in FEW] * 9),
    "pairs-over-a-buffer": b"\0\0\1\x30\0" + frames((b"k" * 90, b"v" * 200), (b"", b"")),
    "lists-by-tables": b"\0\3\2\xff\3\x65\x7f\x03" + LISTS,
    "keys-of-any-size": b"\0\0\2\xff\0" + frames(*[(b"k" * size, b"") for size in range(40)]),
    "keys-of-any-size-by-tables": b"\0\2\2\xff\0"
    + frames(*[(b"k" * size, b"") for size in range(40)]),
    "empty-lists": b"\0\1\1\xff\0" + struct.pack("<I", 0) * 40 + LISTS,
    "too-large": b"\0\1\1\xff\0" + LISTS + b"\1\0\0\0" + b"\xff" * 60,
    "cut": b"\0\1\1\xff\0" + LISTS[:-3],
}
LARGEST = b"9" * 18
SUMS = {  # memory and type, room - 1, the allocation that fails, frames
    "few": b"\0\xff\0" + frames((b"a", b"1"), (b"b", b"-20"), (b"a", b"300"), (b"", b"0")),
    "long-keys": b"\0\1\0" + frames(*[(key, b"7") for key in PREFIXED]),
    "full": b"\2\x20\0" + frames(*[(key, b"2") for key in MANY[:120]]),
    "odd": b"\1\0\0"
    + frames((b"a", b"1"), (b"a", b"01"), (b"a", b"-0"), (b"a", b""), (b"a", b"1x")),
    "overflow": b"\0\0\0" + frames(*[(b"a", LARGEST)] * 12, *[(b"b", b"-" + LARGEST)] * 12),
    "cut": b"\0\0\0" + frames((b"a", b"1"), (b"a", b"1"))[:-1],
    "too-large": b"\0\0\0" + frames((b"a", b"1")) + b"\xff" * 8,
    "no-memory": b"\0\0\2" + frames((b"a", b"1"), (b"b", b"1")),
    "no-memory-later": b"\0\0\4" + frames((b"a", b"1"), (b"b", b"1")),
    "typed": b"\x80\xff\0"
    + frames(*[(key, b"i" + bytes(range(at, at + 8))) for at, key in enumerate((b"", b"a", b"a"))]),
    "typed-odd": b"\x81\0\0" + frames((b"a", b"i1234567"), (b"a", b"f12345678"), (b"a", b"")),
    "typed-overflow": b"\x80\0\0" + frames(*[(b"a", b"i" + b"\xff" * 7 + b"\x7f")] * 3),
}


def traffic() -> dict[str, bytes]:
    """Make seeds of each case's first short run, without duplicates: target/kit-ID -> bytes."""
    names: dict[tuple[str, bytes], str] = {}
    for case in CASES:
        schedules = [
            schedule
            for schedule in case.schedules(Setting(case.modes[0]))
            if len(schedule.stdin) <= MOST
        ]
        for schedule in schedules[:1]:
            read, lists = schedule.read, due(schedule).lists
            output = b"".join(struct.pack("<I", len(pairs)) + b"".join(pairs) for pairs in lists)
            for target, data in (
                ("params", schedule.stdin[: read.n_params] or schedule.stdin),
                ("pairs", limit_byte(1 << 30) + bytes(read.pairs.data)),
                ("lists", limit_byte(1 << 30) + output),
                ("chunking", limit_byte(1 << 30) + b"\1\5\1\4\x09" + output),
                ("dealing", limit_byte(1 << 30) + b"\1\1\xff\1\x50" + output),
                (
                    "sequences",
                    script([(PARAMS, 0), (LOOK_UP, 0), (ECHO, 0)], schedule.stdin, SHORT_IO, 2, 2),
                ),
            ):
                names.setdefault((target, data), f"{target}/kit-{case.id.lower()}")
    return {name: data for (_target, data), name in names.items()}


def seeds() -> dict[str, bytes]:
    """Make all seeds: target/name -> bytes."""
    made = {}
    for vector in load("pairs"):
        made[f"pairs/{vector.id}"] = limit_byte(vector.max_item) + vector.input
        made[f"chunking/{vector.id}"] = limit_byte(vector.max_item) + b"\2\3\1\0\5" + vector.input
    for vector in load("lists"):
        made[f"lists/{vector.id}"] = limit_byte(vector.max_item) + vector.input
        made[f"chunking/{vector.id}"] = limit_byte(vector.max_item) + b"\1\2\3\7" + vector.input
    made |= {f"params/{vector.id}": vector.input for vector in load("params")}
    for vector in load("messages"):
        made[f"lines/{vector.id}"] = b"\0\6" + vector.input
    made["lines/over-64-kib"] = b"\xff\xff**<ERR> " + b"x" * 300
    made["lines/over-64-kib-in-bytes"] = b"\xff\0" + b" y" * 200
    made |= {f"messages/{name}": data for name, data in MESSAGES.items()}
    for target in ("sequences", "allocation"):
        made |= {f"{target}/{name}": data for name, data in SCRIPTS.items()}
    made |= {f"dealing/{name}": data for name, data in DEALS.items()}
    made |= {f"sorting/{name}": data for name, data in SORTS.items()}
    made |= {f"summing/{name}": data for name, data in SUMS.items()}
    made |= traffic()
    return {name: data for name, data in made.items() if len(data) <= MOST}


def main() -> None:
    for old in HERE.glob("seeds/*/*"):
        if not old.name.startswith(("crash-", "found-")):
            old.unlink()
    for name, data in seeds().items():
        path = HERE / "seeds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
