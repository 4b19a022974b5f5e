"""Workers that say they follow the contract, and fail it. A new fault is a new row."""

from support.mutant import EXIT, KEEPS, NOT_SEEN, READ, Mutant, in_both

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

TOLD = (
    # what it does
    Mutant(
        "echo turns pairs round",
        ((ECHO, ECHO.replace("[pair]", "[pair[::-1]]")),),
        **in_both("echo", "do=echo"),
    ),
    Mutant(
        "fan is one too many",
        (('n = number(params, b"n")', 'n = 1 + number(params, b"n")'),),
        **in_both("fan", "do=fan"),
    ),
    Mutant(
        "fan writes one more than it says",
        (("for _ in range(n))", "for _ in range(n + 1))"),),
        **in_both("fan", "inside a result list"),
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
        **in_both("PARAMS-none", "do=echo"),
    ),
    # parameters, as they are told
    Mutant(
        "parameters are in falling order",
        ((LISTED, f"{LISTED}[::-1]"),),
        **in_both("PARAMS-one", "do=params"),
    ),
    Mutant(
        "room for 500 parameters",
        ((STORE, f"if len(params) < 500:\n            {STORE}"),),
        **in_both("PARAMS-thousand", "do=params"),
    ),
    Mutant(
        "parameters without a name are none",
        ((STORE, f"if halves[0]:\n            {STORE}"),),
        **in_both("PARAMS-empty-name", "do=params"),
    ),
    Mutant(
        "parameters without a value are none",
        ((LISTED, "sorted(p for p in params.items() if p[1])"),),
        **in_both("PARAMS-empty-value", "do=params"),
    ),
    Mutant(
        "values are trimmed",
        ((LISTED, "sorted((k, v.strip()) for k, v in params.items())"),),
        **in_both("PARAMS-white-space", "do=params"),
    ),
    Mutant(
        "names are trimmed",
        ((STORE, "params[halves[0].strip()] = halves[1]"),),
        **in_both("PARAMS-white-space", "do=params"),
    ),
    Mutant(
        "a value is taken for an entry",
        ((LISTED, 'sorted(p for p in params.items() if p[1][:2] != b"1 ")'),),
        **in_both("PARAMS-entries-inside", "do=params"),
    ),
    Mutant(
        "parameters are text",
        ((LISTED, 'sorted((k, v.decode(errors="replace").encode()) for k, v in params.items())'),),
        **in_both("PARAMS-any-bytes", "do=params"),
    ),
    Mutant(
        "room for 64 KiB of parameters",
        (("    if total > MAX_BYTES:", "    if 65536 < total < 1 << 24 or total > MAX_BYTES:"),),
        **in_both("PARAMS-1-mib", "over the limit"),
    ),
    Mutant(
        "of a name that comes twice the first counts",
        ((STORE, "params.setdefault(halves[0], halves[1])"),),
        **in_both("PARAMS-twice", "do=params"),
    ),
    Mutant(
        "lengths with leading zeros are none",
        (
            (
                "    return int(digits)",
                '    return int(digits) if digits[:1] != b"0" or closing == b"\\n" else 0',
            ),
        ),
        **in_both("PARAMS-zeros-inside", "is not followed by"),
    ),
    Mutant(
        "a short set has to come whole",
        (
            (
                "read_exactly(stdin, total, ",
                "stdin.read1(total) if total < 256 else read_exactly(stdin, total, ",
            ),
        ),
        **in_both("PARAMS-dump-byte-by-byte", "it reports an error"),
    ),
    # parameters that are refused
    Mutant(
        "a total may have a sign",
        (("not digits.isdigit()", 'not digits.strip(b"+").isdigit() and digits != b"+"'),),
        **in_both("PARAMS-bad-head", "exit status 0"),
    ),
    Mutant(
        "a length may have 11 digits",
        (("len(digits) > 10:", 'len(digits) > (10 if closing == b"\\n" else 11):'),),
        **in_both("PARAMS-bad-length", "exit status 0"),
    ),
    Mutant(
        "nobody looks what is behind an entry",
        (("if entries.read(1) != closing:", "if len(entries.read(1)) != len(closing):"),),
        **in_both("PARAMS-bad-entry", "exit status 0"),
    ),
    Mutant(
        "entries may go beyond the total",
        (
            ("read_exactly(entries, size, ", "entries.read(size) or read_exactly(entries, size, "),
            ("if entries.read(1) != closing:", 'if entries.read(1) not in (closing, b""):'),
        ),
        **in_both("PARAMS-bad-total", "exit status 0"),
    ),
    Mutant(
        "what is missing is 1",
        (
            (
                '        raise Fault(f"the parameter {name.decode()} is missing")',
                '        return b"1"',
            ),
        ),
        **in_both("PARAMS-missing", "the parameter n is missing"),
    ),
    Mutant(
        "numbers are trimmed",
        (("(text.isdigit()", "(text.strip().isdigit()"),),
        **in_both("PARAMS-no-number", "the parameter n is not a number"),
    ),
    Mutant(
        "what to do may be in capitals",
        (('params.get(b"do", b"echo")', 'params.get(b"do", b"echo").lower()'),),
        **in_both("PARAMS-wrong-do", "does not define this"),
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
        **in_both("LIFECYCLE-mode-behind-others", "the last argument is map or reduce"),
    ),
    # stderr
    Mutant(
        "say counts from 1",
        (("(text, index))", "(text, index + 1))"),),
        **in_both("STDERR-message", "at 0"),
    ),
    Mutant(
        "messages are trimmed",
        ((SAY, SAY.replace(")\n", ").strip()\n")),),
        **in_both("STDERR-message-spaces", "two 0"),
    ),
    Mutant(
        "messages are text",
        ((SAY, SAY.replace(")\n", ').decode(errors="replace").encode()\n')),),
        **in_both("STDERR-message-any-bytes", "xff"),
    ),
    Mutant(
        "only the first line has a tag",
        (('text.replace(b"\\n", b"\\n**<%s> " % tag)', "text"),),
        **in_both("STDERR-message-lines", "2 of its stderr"),
    ),
    Mutant(
        "a thousand messages and no more",
        (('tell(b"MSG", b"%s', 'index < 1000 and tell(b"MSG", b"%s'),),
        **in_both("STDERR-flood", "8400 lines"),
    ),
    Mutant(
        "it fails with status 2",
        (("os._exit(1)", "os._exit(2)"),),
        **in_both("STDERR-error", "exit status 2"),
    ),
    Mutant(
        "it fails without a tag",
        ((EXIT, '        os.write(2, b"%b\\n" % text.encode'),),
        **in_both("STDERR-error", "ERR line"),
    ),
    Mutant(
        "of an error only the first line has a tag",
        ((EXIT, '        os.write(2, b"**<ERR> %b\\n" % text.encode'),),
        **in_both("STDERR-error-lines", "line 2 of its stderr"),
    ),
    Mutant(
        "an error far away is one",
        (('number(params, b"at")\n', 'number(params, b"at")\n        1 // (at < 1000)\n'),),
        **in_both("STDERR-error-not-due", "ZeroDivisionError"),
    ),
    Mutant(
        "it reads to the end before it fails",
        (("if index == at:\n", "if index == at:\n                stdin.read()\n"),),
        **in_both("STDERR-error-at-once", "does not exit"),
    ),
    Mutant(
        "an error loses the answers before it",
        (("            stdout.flush()\n", "            pass\n        stdout.flush()\n"),),
        **in_both("STDERR-error", "do=err"),
    ),
    # limits
    Mutant(
        "a size over the limit is refused when the item is there",
        ((CHECK_LIMIT, f"{CHECK_LIMIT[:-1]} and read_exactly(stdin, size, what):"),),
        **in_both("LIMITS-over-at-once", "does not exit"),
    ),
    Mutant(
        "parameters have no limit",
        (("    if total > MAX_BYTES:", "    if total < 0:"),),
        **in_both("LIMITS-params-over", "does not exit"),
    ),
    Mutant(
        "items are allocated by their size",
        ((READ, f"    room = bytearray(size)\n{READ}"),),
        **in_both("LIMITS-item-not-allocated", "memory"),
    ),
    Mutant(
        "parameters are allocated by their total",
        (("    entries = io", "    room = bytearray(total)\n    entries = io"),),
        **in_both("LIMITS-params-not-allocated", "memory"),
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
        **in_both("FILES-supporting", "do=file"),
    ),
    Mutant(
        "a file must not be empty",
        (("return file.read()", "return file.read() or needed({}, name)"),),
        **in_both("FILES-empty", "the parameter nothing is missing"),
    ),
    Mutant(
        "a file is at most 1 MiB",
        (("return file.read()", "return file.read(PIECE)"),),
        **in_both("FILES-large", "do=file"),
    ),
    Mutant(
        "a name may not be of dots",
        (('if name in (b"", b".", b"..") or', 'if not name.strip(b".") or'),),
        **in_both("FILES-odd-names", "not the plain name"),
    ),
    Mutant(
        "a file that is not there is made",
        (('open(name, "rb")', 'open(name, "rb" if os.path.exists(name) else "wb+")'),),
        **in_both("FILES-not-there", "not one of its own"),
    ),
    Mutant(
        "a name may have slashes",
        ((' or b"/" in name', ""),),
        **in_both("FILES-not-plain", "not one of its own"),
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
