"""Workers that fail, and of which nobody knows what they compute. A new fault is a new row."""

from support.mutant import EXIT, KEEPS, NOT_SEEN, READ, Mutant, in_both

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

ANY = (
    # pairs
    Mutant(
        "no room for a value of 512 KiB",
        (_pair("if len(value) > 1 << 19:", '    raise Fault("no room")'),),
        **in_both("buffer-sizes", "no room"),
    ),
    Mutant(
        "no room for a value of 8 MiB",
        (_pair("if len(value) > 1 << 23:", '    raise Fault("no room")'),),
        **in_both("size-16-mib", "no room"),
    ),
    Mutant(
        "a value of four bytes 255 is no size",
        (_pair(r'if value == b"\xff\xff\xff\xff":', '    raise Fault("no size")'),),
        **in_both("frames-inside", "no size"),
    ),
    Mutant(
        "Control-Z ends a text",
        (_pair(r'if key == b"\x1a":', '    raise Fault("end of text")'),),
        **in_both("text-inside", "end of text"),
    ),
    Mutant(
        "an empty key fails",
        (_pair("if not key and value:", '    raise Fault("no key")'),),
        **in_both("empty-key", "no key"),
    ),
    Mutant(
        "an empty pair fails",
        (_pair("if not key and not value:", '    raise Fault("nothing")'),),
        **in_both("empty-pair", "nothing"),
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
        **in_both("tiny-pairs", "no room"),
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
        **in_both("two-pieces", "truncated input"),
    ),
    # answers
    Mutant(
        "answers are drawn by lot",
        (_pair("key += os.urandom(4)"),),
        **in_both("same-again", "differently from run to run"),
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
        **in_both("same-in-pieces", "cut into pieces"),
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
        **in_both("PARAMS-byte-by-byte", "no total"),
    ),
    Mutant(
        "numbers have no leading zeros",
        (("    if not digits:", '    if not digits or digits[:1] == b"0" != digits:'),),
        **in_both("PARAMS-zeros", "is empty"),
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
        **in_both("PARAMS-not-known", "what is that?"),
    ),
    Mutant(
        "the end of input ends the total",
        (("stdin.read(1)) != closing:", 'stdin.read(1)) not in (closing, b""):'),),
        **in_both("PARAMS-cut", "exit status 0"),
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
        **in_both("LIFECYCLE-no-bytes", "does not exit"),
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
        **in_both("LIFECYCLE-no-stdout", "is not open"),
    ),
    Mutant(
        "twenty large pairs are enough",
        (_pair("if n > 20 and len(value) > 60000:", "    return"),),
        **in_both("LIFECYCLE-reads-all-of-much", "before it has read all its input"),
    ),
    Mutant(
        "it fails without a word when input is cut",
        ((EXIT, f'        if not text.startswith("truncated"):\n    {EXIT}'),),
        **in_both("STDERR-says-why", "no ERR line says why"),
    ),
    # limits
    Mutant(
        "a size over the limit is the end of input",
        ((REFUSE, "        os._exit(0)"),),
        **in_both("LIMITS-key-over", "exit status 0"),
    ),
    Mutant(
        "a value over the limit is the end of input",
        ((REFUSE, '        os._exit(what == "key")'),),
        **in_both("LIMITS-value-over", "exit status 0"),
    ),
    Mutant(
        "a key fills memory by its size",
        ((READ, f'    room = b"x" * (size // 8 * (what == "key"))\n{READ}'),),
        **in_both("LIMITS-key-announced", "memory"),
    ),
    Mutant(
        "a value fills memory by its size",
        ((READ, f'    room = b"x" * (size // 8 * (what == "value"))\n{READ}'),),
        **in_both("LIMITS-value-announced", "memory"),
    ),
    Mutant(
        "every value is kept",
        KEEPS,
        **in_both("LIMITS-flat-memory", "32 bytes more for each pair"),
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
