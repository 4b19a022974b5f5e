"""Faults of a worker, each one a change of a line or two in one of the contract workers, and the
case that must tell it.

`TOLD` are workers that say they follow the contract, and fail it; `ANY` are workers of which nobody
knows what they compute. A new fault is a new row.
"""

from __future__ import annotations

import py_compile
from dataclasses import dataclass
from pathlib import Path

from kvproto.conformance.player import Program
from support import catalogue
from support.languages import HERE

Told = tuple[str, str]
NOT_SEEN = ("", "")


@dataclass(frozen=True)
class Mutant:
    """A changed worker.

    name        str, its fault changes     tuple of (old, new): `old` is there exactly once map,
    reduce (ids, words): the cases that the report names first, and a part of it; None: not asked
    source      str, the worker that is changed watchdog    seconds, as `kvproto check --timeout`
    """

    name: str
    changes: tuple[tuple[str, str], ...]
    map: Told | None = None
    reduce: Told | None = None
    source: str = "contract.py"
    watchdog: float = 30.0

    def program(self, directory: Path) -> Program:
        """The changed worker as the kit takes it; `directory`: where C programs are built."""
        text = (HERE / self.source).read_text(encoding="utf-8")
        for old, new in self.changes:
            assert text.count(old) == 1, (
                f"{old!r} is there {text.count(old)} times in {self.source}"
            )
            text = text.replace(old, new)
        if not self.source.endswith(".c"):
            return Program(self.name, _compiled(text, directory))
        path = directory / f"{self.name.replace(' ', '_')}.c"
        path.write_text(text)
        return Program(
            self.name, {"op": catalogue.compile_worker(path, path.with_suffix("")).read_bytes()}
        )


def _compiled(text: str, directory: Path) -> dict[str, bytes]:
    """The files of a worker in Python that is compiled once, since each run would do that again."""
    source, compiled = directory / "contract.py", directory / "contract.pyc"
    source.write_text(text)
    py_compile.compile(source, compiled, doraise=True)
    start = b"#!/usr/bin/env python3\nimport contract\n\ncontract.main()\n"
    return {"op": catalogue.with_interpreter(start), "contract.pyc": compiled.read_bytes()}


def _in_both(ids: str, words: str) -> dict[str, Told]:
    """The same in a map and in a reduce; ids of MAP- or REDUCE- are given without that."""
    is_whole = ids.partition("-")[0].isupper()
    return {
        mode: (ids if is_whole else f"{mode.upper()}-{ids}", words) for mode in ("map", "reduce")
    }


PAIRS = """    while stdin.peek(1):
        yield read_item(stdin, "key"), read_item(stdin, "value")
"""


def _pair(*lines: str) -> tuple[str, str]:
    """Lines for each pair, in which n counts them from 1."""
    fault = "".join(f"        {line}\n" for line in lines)
    return (
        PAIRS,
        f"""    n = 0
    while stdin.peek(1):
        key, value = read_item(stdin, "key"), read_item(stdin, "value")
        n += 1
{fault}        yield key, value
""",
    )


STORE = "params[halves[0]] = halves[1]"
ECHO = """mode == "map"):
        for pair in pairs(stdin):
            write_list(stdout, 1, [pair])"""
SINK = """        for _ in pairs(stdin):
            if mode == "map":
                write_list(stdout, 0, [])"""
LISTED = "sorted(params.items())"
SAY = 'text = needed(params, b"text")\n        for'
CHECK_LIMIT = "    if size > MAX_BYTES:"
READ = "    first = stdin.read(min(size, PIECE))"
FLUSH = "        self.stdout.flush()\n"
AFTER = '        yield read_item(stdin, "key"), read_item(stdin, "value")\n'


def _flushed_if(condition: str, then: str = "pass") -> tuple[str, str]:
    """stdout is flushed only under a condition before stdin is read; Tied.n, for all to use, is 0
    at first.
    """
    head = "    def readinto(self, buffer: Any) -> int:\n"
    return head + FLUSH, f"    n = 0\n\n{head}        if {condition}:\n    {FLUSH}        {then}\n"


COUNTS = _flushed_if("True", "Tied.n += 1")
SIZE = '    size = int.from_bytes(read_exactly(stdin, 4, "a size"), "little")'
REFUSE = '        raise Fault(f"a {what} of {size} bytes is over the limit of {MAX_BYTES}")'
EXIT = '        tell(b"ERR", text.encode'
KEEPS = (
    (
        "void echo(void)\n{\n",
        "void echo(void)\n{\n    p_entry *kept = NULL;\n    copy_entry(&kept, val);\n",
    ),
)

TOLD = (
    # what it does
    Mutant(
        "echo turns pairs round",
        ((ECHO, ECHO.replace("[pair]", "[pair[::-1]]")),),
        **_in_both("echo", "do=echo"),
    ),
    Mutant(
        "fan is one too many",
        (('n = number(params, b"n")', 'n = 1 + number(params, b"n")'),),
        **_in_both("fan", "do=fan"),
    ),
    Mutant(
        "fan writes one more than it says",
        (("for _ in range(n))", "for _ in range(n + 1))"),),
        **_in_both("fan", "inside a result list"),
    ),
    Mutant(
        "lists are counted in 16 bits",
        (("U32.pack(count)", "U32.pack(count & 0xFFFF)"),),
        ("MAP-fan-long", "result lists"),
    ),
    Mutant(
        "sink says nothing",
        ((SINK, "        for _ in pairs(stdin):\n            pass"),),
        ("MAP-sink", "0 result lists"),
        NOT_SEEN,
    ),
    Mutant(
        "sink echoes in a reduce",
        (
            (
                SINK,
                SINK.replace("_ in", "pair in")
                + "\n            else:\n                write_list(stdout, 1, [pair])",
            ),
        ),
        NOT_SEEN,
        ("REDUCE-sink", "do=sink"),
    ),
    Mutant(
        "hold sorts",
        (("list(pairs(stdin))", "sorted(pairs(stdin))"),),
        NOT_SEEN,
        ("REDUCE-hold", "do=hold"),
    ),
    Mutant(
        "without do it is a sink",
        (('b"do", b"echo"', 'b"do", b"sink"'),),
        **_in_both("PARAMS-none", "do=echo"),
    ),
    # parameters, as they are told
    Mutant(
        "parameters are in falling order",
        ((LISTED, f"{LISTED}[::-1]"),),
        **_in_both("PARAMS-one", "do=params"),
    ),
    Mutant(
        "room for 500 parameters",
        ((STORE, f"if len(params) < 500:\n            {STORE}"),),
        **_in_both("PARAMS-thousand", "do=params"),
    ),
    Mutant(
        "parameters without a name are none",
        ((STORE, f"if halves[0]:\n            {STORE}"),),
        **_in_both("PARAMS-empty-name", "do=params"),
    ),
    Mutant(
        "parameters without a value are none",
        ((LISTED, "sorted(p for p in params.items() if p[1])"),),
        **_in_both("PARAMS-empty-value", "do=params"),
    ),
    Mutant(
        "values are trimmed",
        ((LISTED, "sorted((k, v.strip()) for k, v in params.items())"),),
        **_in_both("PARAMS-white-space", "do=params"),
    ),
    Mutant(
        "names are trimmed",
        ((STORE, "params[halves[0].strip()] = halves[1]"),),
        **_in_both("PARAMS-white-space", "do=params"),
    ),
    Mutant(
        "a value is taken for an entry",
        ((LISTED, 'sorted(p for p in params.items() if p[1][:2] != b"1 ")'),),
        **_in_both("PARAMS-entries-inside", "do=params"),
    ),
    Mutant(
        "parameters are text",
        ((LISTED, 'sorted((k, v.decode(errors="replace").encode()) for k, v in params.items())'),),
        **_in_both("PARAMS-any-bytes", "do=params"),
    ),
    Mutant(
        "room for 64 KiB of parameters",
        (("    if total > MAX_BYTES:", "    if 65536 < total < 1 << 24 or total > MAX_BYTES:"),),
        **_in_both("PARAMS-1-mib", "over the limit"),
    ),
    Mutant(
        "of a name that comes twice the first counts",
        ((STORE, "params.setdefault(halves[0], halves[1])"),),
        **_in_both("PARAMS-twice", "do=params"),
    ),
    Mutant(
        "lengths with leading zeros are none",
        (
            (
                "    return int(digits)",
                '    return int(digits) if digits[:1] != b"0" or closing == b"\\n" else 0',
            ),
        ),
        **_in_both("PARAMS-zeros-inside", "is not followed by"),
    ),
    Mutant(
        "a short set has to come whole",
        (
            (
                "read_exactly(stdin, total, ",
                "stdin.read1(total) if total < 256 else read_exactly(stdin, total, ",
            ),
        ),
        **_in_both("PARAMS-dump-byte-by-byte", "it reports an error"),
    ),
    # parameters that are refused
    Mutant(
        "a total may have a sign",
        (("not digits.isdigit()", 'not digits.strip(b"+").isdigit() and digits != b"+"'),),
        **_in_both("PARAMS-bad-head", "exit status 0"),
    ),
    Mutant(
        "a length may have 11 digits",
        (("len(digits) > 10:", 'len(digits) > (10 if closing == b"\\n" else 11):'),),
        **_in_both("PARAMS-bad-length", "exit status 0"),
    ),
    Mutant(
        "nobody looks what is behind an entry",
        (("if entries.read(1) != closing:", "if len(entries.read(1)) != len(closing):"),),
        **_in_both("PARAMS-bad-entry", "exit status 0"),
    ),
    Mutant(
        "entries may go beyond the total",
        (
            ("read_exactly(entries, size, ", "entries.read(size) or read_exactly(entries, size, "),
            ("if entries.read(1) != closing:", 'if entries.read(1) not in (closing, b""):'),
        ),
        **_in_both("PARAMS-bad-total", "exit status 0"),
    ),
    Mutant(
        "what is missing is 1",
        (
            (
                '        raise Fault(f"the parameter {name.decode()} is missing")',
                '        return b"1"',
            ),
        ),
        **_in_both("PARAMS-missing", "the parameter n is missing"),
    ),
    Mutant(
        "numbers are trimmed",
        (("(text.isdigit()", "(text.strip().isdigit()"),),
        **_in_both("PARAMS-no-number", "the parameter n is not a number"),
    ),
    Mutant(
        "what to do may be in capitals",
        (('params.get(b"do", b"echo")', 'params.get(b"do", b"echo").lower()'),),
        **_in_both("PARAMS-wrong-do", "does not define this"),
    ),
    # arguments
    Mutant(
        "the mode may be in capitals",
        (("if mode not in", "if mode.lower() not in"),),
        ("LIFECYCLE-wrong-modes", "neither map nor reduce"),
        NOT_SEEN,
    ),
    Mutant(
        "the mode is the first argument",
        (("sys.argv[-1]", "sys.argv[1]"),),
        **_in_both("LIFECYCLE-mode-behind-others", "the last argument is map or reduce"),
    ),
    # stderr
    Mutant(
        "say counts from 1",
        (("(text, index))", "(text, index + 1))"),),
        **_in_both("STDERR-message", "at 0"),
    ),
    Mutant(
        "messages are trimmed",
        ((SAY, SAY.replace(")\n", ").strip()\n")),),
        **_in_both("STDERR-message-spaces", "two 0"),
    ),
    Mutant(
        "messages are text",
        ((SAY, SAY.replace(")\n", ').decode(errors="replace").encode()\n')),),
        **_in_both("STDERR-message-any-bytes", "xff"),
    ),
    Mutant(
        "only the first line has a tag",
        (('text.replace(b"\\n", b"\\n**<%s> " % tag)', "text"),),
        **_in_both("STDERR-message-lines", "2 of its stderr"),
    ),
    Mutant(
        "a thousand messages and no more",
        (('tell(b"MSG", b"%s', 'index < 1000 and tell(b"MSG", b"%s'),),
        **_in_both("STDERR-flood", "8400 lines"),
    ),
    Mutant(
        "it fails with status 2",
        (("os._exit(1)", "os._exit(2)"),),
        **_in_both("STDERR-error", "exit status 2"),
    ),
    Mutant(
        "it fails without a tag",
        ((EXIT, '        os.write(2, b"%b\\n" % text.encode'),),
        **_in_both("STDERR-error", "ERR line"),
    ),
    Mutant(
        "of an error only the first line has a tag",
        ((EXIT, '        os.write(2, b"**<ERR> %b\\n" % text.encode'),),
        **_in_both("STDERR-error-lines", "line 2 of its stderr"),
    ),
    Mutant(
        "an error far away is one",
        (('number(params, b"at")\n', 'number(params, b"at")\n        1 // (at < 1000)\n'),),
        **_in_both("STDERR-error-not-due", "ZeroDivisionError"),
    ),
    Mutant(
        "it reads to the end before it fails",
        (("if index == at:\n", "if index == at:\n                stdin.read()\n"),),
        **_in_both("STDERR-error-at-once", "does not exit"),
    ),
    Mutant(
        "an error loses the answers before it",
        (("            stdout.flush()\n", "            pass\n        stdout.flush()\n"),),
        **_in_both("STDERR-error", "do=err"),
    ),
    # limits
    Mutant(
        "a size over the limit is refused when the item is there",
        ((CHECK_LIMIT, f"{CHECK_LIMIT[:-1]} and read_exactly(stdin, size, what):"),),
        **_in_both("LIMITS-over-at-once", "does not exit"),
    ),
    Mutant(
        "parameters have no limit",
        (("    if total > MAX_BYTES:", "    if total < 0:"),),
        **_in_both("LIMITS-params-over", "does not exit"),
    ),
    Mutant(
        "items are allocated by their size",
        ((READ, f"    room = bytearray(size)\n{READ}"),),
        **_in_both("LIMITS-item-not-allocated", "memory"),
    ),
    Mutant(
        "parameters are allocated by their total",
        (("    entries = io", "    room = bytearray(total)\n    entries = io"),),
        **_in_both("LIMITS-params-not-allocated", "memory"),
    ),
    Mutant(
        "every value is kept",
        KEEPS,
        ("LIMITS-flat", "32 bytes more for each pair"),
        source="contract.c",
    ),
    # files
    Mutant(
        "files are trimmed",
        (("return file.read()", "return file.read().rstrip()"),),
        **_in_both("FILES-supporting", "do=file"),
    ),
    Mutant(
        "a file must not be empty",
        (("return file.read()", "return file.read() or needed({}, name)"),),
        **_in_both("FILES-empty", "the parameter nothing is missing"),
    ),
    Mutant(
        "a file is at most 1 MiB",
        (("return file.read()", "return file.read(PIECE)"),),
        **_in_both("FILES-large", "do=file"),
    ),
    Mutant(
        "a name may not be of dots",
        (('if name in (b"", b".", b"..") or', 'if not name.strip(b".") or'),),
        **_in_both("FILES-odd-names", "not the plain name"),
    ),
    Mutant(
        "a file that is not there is made",
        (('open(name, "rb")', 'open(name, "rb" if os.path.exists(name) else "wb+")'),),
        **_in_both("FILES-not-there", "not one of its own"),
    ),
    Mutant(
        "a name may have slashes",
        ((' or b"/" in name', ""),),
        **_in_both("FILES-not-plain", "not one of its own"),
    ),
    # what only a drawn schedule meets
    Mutant(
        "hold holds in a map",
        ((" && !is_map)\n        hold", ")\n        hold"),),
        ("MAP-drawn-told", "result list"),
        source="contract.c",
    ),
    Mutant(
        "fan is odd",
        (('n = number("n"), i;', 'n = number("n") | 1, i;'),),
        ("MAP-fan", "do=fan"),
        ("REDUCE-drawn-told", "do=fan"),
        source="contract.c",
    ),
)

ANY = (
    # pairs
    Mutant(
        "no room for a value of 512 KiB",
        (_pair("if len(value) > 1 << 19:", '    raise Fault("no room")'),),
        **_in_both("buffer-sizes", "no room"),
    ),
    Mutant(
        "no room for a value of 8 MiB",
        (_pair("if len(value) > 1 << 23:", '    raise Fault("no room")'),),
        **_in_both("size-16-mib", "no room"),
    ),
    Mutant(
        "a value of four bytes 255 is no size",
        (_pair(r'if value == b"\xff\xff\xff\xff":', '    raise Fault("no size")'),),
        **_in_both("frames-inside", "no size"),
    ),
    Mutant(
        "Control-Z ends a text",
        (_pair(r'if key == b"\x1a":', '    raise Fault("end of text")'),),
        **_in_both("text-inside", "end of text"),
    ),
    Mutant(
        "an empty key fails",
        (_pair("if not key and value:", '    raise Fault("no key")'),),
        **_in_both("empty-key", "no key"),
    ),
    Mutant(
        "an empty pair fails",
        (_pair("if not key and not value:", '    raise Fault("nothing")'),),
        **_in_both("empty-pair", "nothing"),
    ),
    Mutant(
        "no room for 5000 pairs",
        (_pair("if n > 5000:", '    raise Fault("no room")'),),
        ("MAP-tiny-pairs", "no room"),
        ("REDUCE-one-key", "no room"),
    ),
    Mutant(
        "no room for 5000 empty keys",
        (_pair("n -= bool(key)", "if n > 5000:", '    raise Fault("no room")'),),
        **_in_both("tiny-pairs", "no room"),
    ),
    Mutant(
        "two bytes of a size are taken for all of it",
        (
            (
                SIZE,
                """    begun = stdin.read1(4)
    begun += read_exactly(stdin, 4 - len(begun), "a size") if len(begun) < 2 else b""
    size = int.from_bytes(begun, "little")""",
            ),
        ),
        **_in_both("two-pieces", "truncated input"),
    ),
    # answers
    Mutant(
        "answers are drawn by lot",
        (_pair("key += os.urandom(4)"),),
        **_in_both("same-again", "differently from run to run"),
    ),
    Mutant(
        "answers tell in how many reads a pair came",
        (
            COUNTS,
            ("while stdin.peek(1):\n", "while stdin.peek(1):\n        before = Tied.n\n"),
            (
                '        yield read_item(stdin, "key"), read_item(stdin, "value")',
                '        pair = read_item(stdin, "key"), read_item(stdin, "value")\n'
                '        yield (*pair[:1], b"%b%d" % (pair[1], Tied.n - before))',
            ),
        ),
        **_in_both("same-in-pieces", "cut into pieces"),
    ),
    Mutant(
        "answers tell how many reads there were",
        (COUNTS, _pair('value += b"%d" % Tied.n')),
        ("MAP-same-one-by-one", "written ahead"),
        ("REDUCE-same-in-pieces", "cut into pieces"),
    ),
    Mutant(
        "a large answer is not flushed",
        (_flushed_if("Tied.n < 65536"), _pair("Tied.n = len(value)")),
        ("MAP-lockstep-large", "it waits for pair 2"),
        NOT_SEEN,
    ),
    Mutant(
        "nothing is flushed while a pair has begun",
        (
            _flushed_if("Tied.n == 0"),
            ("stdin.peek(1):\n", "stdin.peek(1):\n        Tied.n = 1\n"),
            (AFTER, f"{AFTER}        Tied.n = 0\n"),
        ),
        ("MAP-lockstep-next-begun", "it waits for pair 2"),
        NOT_SEEN,
    ),
    Mutant(
        "two answers at once are not flushed",
        (_flushed_if("Tied.n < 2", "Tied.n = 0"), _pair("Tied.n += 1")),
        ("MAP-lockstep-bursts", "it waits for pair 4"),
        NOT_SEEN,
    ),
    # parameters
    Mutant(
        "pairs have to come with the parameters",
        (
            COUNTS,
            (
                PAIRS,
                "    before = Tied.n\n"
                f"    if stdin.peek(1) and Tied.n > before:\n        raise Fault('no pairs')\n"
                f"{PAIRS}",
            ),
        ),
        ("MAP-lockstep", "no pairs"),
        ("PARAMS-apart", "no pairs"),
    ),
    Mutant(
        "what came with the parameters is answered late",
        (_flushed_if("Tied.n != 1", "Tied.n += 1"),),
        ("PARAMS-with-first-pair", "it waits for pair 2"),
        NOT_SEEN,
    ),
    Mutant(
        "the total has to come whole",
        (
            (
                "    total = read",
                "    if b'\\n' not in stdin.peek(1)[:11]:\n        raise Fault('no total')\n"
                "    total = read",
            ),
        ),
        **_in_both("PARAMS-byte-by-byte", "no total"),
    ),
    Mutant(
        "numbers have no leading zeros",
        (("    if not digits:", '    if not digits or digits[:1] == b"0" != digits:'),),
        **_in_both("PARAMS-zeros", "is empty"),
    ),
    Mutant(
        "parameters that it does not know are an error",
        (
            (
                '    do = params.get(b"do", b"echo")\n',
                '    do = params.pop(b"do", b"echo")\n    if params:\n'
                '        raise Fault("what is that?")\n',
            ),
        ),
        **_in_both("PARAMS-not-known", "what is that?"),
    ),
    Mutant(
        "the end of input ends the total",
        (("stdin.read(1)) != closing:", 'stdin.read(1)) not in (closing, b""):'),),
        **_in_both("PARAMS-cut", "exit status 0"),
    ),
    # from the start to the exit
    Mutant(
        "without one byte of input it waits",
        (
            (
                "        digits += byte\n",
                "        if not byte and not digits:\n            os.read(os.pipe()[0], 1)\n"
                "        digits += byte\n",
            ),
        ),
        **_in_both("LIFECYCLE-no-bytes", "does not exit"),
    ),
    Mutant(
        "a stdout that is not open is /dev/null",
        (
            (
                "io.FileIO(1, ",
                'io.FileIO(1 if os.path.exists("/dev/fd/1") else os.open("/dev/null", '
                "os.O_WRONLY), ",
            ),
        ),
        **_in_both("LIFECYCLE-no-stdout", "is not open"),
    ),
    Mutant(
        "twenty large pairs are enough",
        (_pair("if n > 20 and len(value) > 60000:", "    return"),),
        **_in_both("LIFECYCLE-reads-all-of-much", "before it has read all its input"),
    ),
    Mutant(
        "it fails without a word when input is cut",
        ((EXIT, f'        if not text.startswith("truncated"):\n    {EXIT}'),),
        **_in_both("STDERR-says-why", "no ERR line says why"),
    ),
    # limits
    Mutant(
        "a size over the limit is the end of input",
        ((REFUSE, "        os._exit(0)"),),
        **_in_both("LIMITS-key-over", "exit status 0"),
    ),
    Mutant(
        "a value over the limit is the end of input",
        ((REFUSE, '        os._exit(what == "key")'),),
        **_in_both("LIMITS-value-over", "exit status 0"),
    ),
    Mutant(
        "a key fills memory by its size",
        ((READ, f'    room = b"x" * (size // 8 * (what == "key"))\n{READ}'),),
        **_in_both("LIMITS-key-announced", "memory"),
    ),
    Mutant(
        "a value fills memory by its size",
        ((READ, f'    room = b"x" * (size // 8 * (what == "value"))\n{READ}'),),
        **_in_both("LIMITS-value-announced", "memory"),
    ),
    Mutant(
        "every value is kept",
        KEEPS,
        **_in_both("LIMITS-flat-memory", "32 bytes more for each pair"),
        source="contract.c",
    ),
)

NOTED = (
    (
        Mutant("the mode is the first argument", (("sys.argv[-1]", "sys.argv[1]"),)),
        "LIFECYCLE-mode-is-last",
    ),
)
"""Workers of which an INFO case has something to tell, which fails nobody."""
