"""libdisco's classic layer: each function and each die(), as a real process over real pipes.

What is expected is written with the Python codec, which is the reference. The same cases run plain,
under the sanitizers, and, where memory is at stake, under valgrind.
"""

import re
import shutil
import subprocess

import pytest
from support.disco_cases import ECHOED, GOOD, PAIRS, SET
from support.disco_failures import BAD, SHORT
from support.disco_programs import C11, HERE, LIBRARY, ROOT, Build, compile_or_fail, have, run

from kvproto import encode_list, encode_message, encode_pairs, encode_params
from kvproto.protocol.messages import MessageParser, parse_count

NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}  # die() leaves the memory to the system


@pytest.fixture(scope="session", params=["plain", "sanitized", "musl", "portable"])
def build(request, tmp_path_factory):
    return Build.of_kind(request.param, tmp_path_factory)


@pytest.fixture(scope="session")
def script(build):
    return build.program("script")


@pytest.mark.slow
@pytest.mark.documented(
    "8 each pair is answered with a result list before the next is read; it may be empty",
    "11 a string is sent unchanged, before any pair; the program reads all of it",
    "11 the C library parses the parameters",
    "13 memory for pairs is reused, not allocated for each pair",
    "13 read_kv(): reads a pair, and returns 0 at the end",
    "13 read_kv(): the next call reuses key and value, whatever they hold",
    "13 read_kv(): a copy keeps an entry; the caller frees the copy",
    "13 p_entry: len is the length and sze the capacity; len <= sze",
    "13 p_entry: data has len bytes, followed by a zero byte",
    "13 write_num_prefix(): begins a list of that many pairs, which must follow",
    "13 write_kv(): writes a pair, only in a list",
    "13 dxmalloc(): allocates that many bytes, or calls die()",
    "13 copy_entry(): copies, and grows or allocates the destination",
)
@pytest.mark.parametrize(("arguments", "stdin", "stdout", "says", "error"), GOOD)
def test_worker_does_what_it_should(script, arguments, stdin, stdout, says, error):
    result = run(script, *arguments, stdin=stdin)
    assert (result.status, result.errors, result.messages) == (0, [], says)
    assert result.stdout == stdout


@pytest.mark.slow
@pytest.mark.documented(
    "13 write_num_prefix(): begins a list of that many pairs, which must follow",
    "13 write_kv(): writes a pair, only in a list",
)
@pytest.mark.parametrize(("arguments", "stdin", "stdout", "says", "error"), BAD)
def test_worker_dies_and_says_why(script, arguments, stdin, stdout, says, error):
    result = run(script, *arguments, stdin=stdin, faults=NO_LEAK_CHECK)
    assert (result.status, result.stderr.decode()) == (1, f"**<ERR> {error}\n")
    if stdout is not None:
        assert result.stdout == stdout


MEMORY_CASES = [
    "pairs_of_every_size",
    "lists_of_any_length_by_halves",
    "copies",
    "stdout_unbuffered",
    "parameters_then_pairs",
    "a_long_value_cut",
    "a_huge_size_without_a_limit",
    "parameters_with_a_value_over_the_total",
]


@pytest.mark.slow
@pytest.mark.documented(
    "13 read_kv(): the next call reuses key and value, whatever they hold",
    "13 read_kv(): a copy keeps an entry; the caller frees the copy",
)
@pytest.mark.skipif(not have("valgrind"), reason="valgrind is not installed")
@pytest.mark.parametrize("name", MEMORY_CASES)
def test_valgrind_finds_nothing(tmp_path_factory, name):
    [case] = [case for case in GOOD + BAD if case.id == name]
    arguments, stdin, _, _, error = case.values
    script = Build.plain(tmp_path_factory).program("script")
    leaks = "--leak-check=no" if error else "--leak-check=full"
    result = run(["valgrind", "-q", leaks, "--error-exitcode=99", *script], *arguments, stdin=stdin)
    assert (result.status, b"==" in result.stderr) == (1 if error else 0, False), (
        result.stderr.decode()
    )


@pytest.mark.slow
@pytest.mark.clause(
    "FRAME-1",
    "FRAME-4",
    "FRAME-5",
    "LIMITS-1",
    "LIST-3",
    "PARAMS-1",
    "PARAMS-2",
    "PARAMS-3",
    "PARAMS-5",
    "LIMITS-4",
)
def test_core_reads_no_byte_behind_its_input_whatever_the_length(build):
    result = run(build.program("core"))
    assert (result.status, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.skipif(not have("valgrind"), reason="valgrind is not installed")
def test_core_under_valgrind(tmp_path_factory):
    core = Build.plain(tmp_path_factory).program("core")
    assert run(["valgrind", "-q", "--error-exitcode=99", *core]).status == 0


def test_a_huge_announced_size_is_not_allocated(tmp_path_factory):
    script = Build.plain(tmp_path_factory).program("script")
    stdin = b"\xff\xff\xff\x3f" + bytes(100_000)
    result = run(script, f"address-space:{100 << 20}", "echo", stdin=stdin)
    assert result.errors == [SHORT.format("key", 4, (1 << 30) - 1, 100_000, "FRAME-4")]
    assert run(script, f"address-space:{100 << 20}", "allocate:1073741824").errors == [
        "out of memory: dxmalloc of 1073741824 bytes"
    ]


TEXTS = [
    "",
    "one",
    "two\nlines",
    "closed\n",
    "\n",
    "\nempty first",
    "an empty\n\none",
    "tab\tand \u00e9",
    "x" * 3000,
    "line\n" * 4000,
]


@pytest.mark.documented(
    "13 die(): ends the job with its message",
    "13 msg(): sends a message, with a format like that of printf",
)
@pytest.mark.clause("STDERR-1", "STDERR-3", "STDERR-4")
@pytest.mark.parametrize("kind", ["msg", "die"])
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_message_is_tagged_line_by_line_as_the_python_codec_does(script, kind, text):
    result = run(script, f"{kind}:{text}")
    assert result.stderr == encode_message({"msg": "MSG", "die": "ERR"}[kind], text)
    assert result.status == {"msg": 0, "die": 1}[kind]


def test_message_that_printf_cannot_format_appears_as_its_format(script):
    assert run(script, "msg-impossible").stderr == encode_message("MSG", "wide %ls")


@pytest.mark.clause("STDERR-9")
def test_counts_are_messages_that_a_driver_adds(script):
    result = run(script, "count-sum:12", "count-sum:-3", "count:" + "n" * 128)
    assert result.status == 0
    lines = MessageParser().feed(result.stderr)
    counted = [("a.b-c:d_1", 12), ("a.b-c:d_1", -3), ("n" * 128, -(2**63))]
    assert [parse_count(line) for line in lines] == counted


@pytest.mark.clause("STDERR-9")
@pytest.mark.parametrize("name", ["", "two words", "caf\u00e9", "line\n", "n" * 129])
def test_a_name_that_no_counter_can_have_is_fatal(script, name):
    result = run(script, f"count:{name}")
    assert result.status == 1
    assert b"**<ERR> disco_count(" in result.stderr
    assert b"[STDERR-9]" in result.stderr


@pytest.mark.documented("13 die(): ends the job with its message")
def test_die_writes_no_zero_status_and_no_loop_whatever_the_exit_handlers_do(script):
    result = run(script, "at-exit-die", "prefix:1", "die:first")
    assert (result.status, result.errors) == (1, ["first", "late"])
    result = run(script, "at-exit-die", "prefix:0")
    assert (result.status, result.errors) == (1, ["late"])
    result = run(
        script, "at-exit-die", "prefix:1"
    )  # the check at exit dies itself: no handler runs behind it
    assert (result.status, len(result.errors)) == (1, 1)


@pytest.fixture(scope="session")
def judy(tmp_path_factory):
    """Can programs with Judy be built here?"""
    probe = subprocess.run(
        ["gcc", "-x", "c", "-", "-fsyntax-only"],
        input=b"#include <Judy.h>\n",
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip("Judy.h is not installed: apt install libjudy-dev")


@pytest.mark.documented(
    "13 parameters come as a Judy array",
    "13 the echo program of the documentation runs (with the list prefix that it lacks)",
    "13 read_parameters(): is called before the first read_kv() and returns a JudySL array",
    "13 msg(): sends a message, with a format like that of printf",
)
@pytest.mark.parametrize("source", ["echo.c", "header.cpp"])
def test_echo_program_of_the_documentation(judy, tmp_path_factory, tmp_path, source):
    build = Build.plain(tmp_path_factory)
    compiler = ["gcc", "-std=c11"] if source == "echo.c" else ["g++", "-std=c++11"]
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    flags = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", f"-I{ROOT / 'include'}", *build.flags]
    printed = compile_or_fail([*compiler, *flags, "-c", HERE / source, "-o", tmp_path / "echo.o"])
    assert "disco.h:" not in "".join(line for line in printed.splitlines() if "warning" in line)
    compile_or_fail(
        [
            compiler[0],
            *build.flags,
            tmp_path / "echo.o",
            build.library(),
            "-lJudy",
            "-o",
            tmp_path / "echo",
        ]
    )
    echo = [str(tmp_path / "echo")]
    result = run(
        echo, stdin=encode_params({"some parameter": "x"}) + encode_pairs([("k", "v"), ("l", "w")])
    )
    assert (result.status, result.stdout) == (
        0,
        encode_list([("k", "v")]) + encode_list([("l", "w")]),
    )
    assert result.messages == ["Got key <k> val <v>", "2 key-value pairs read ok"]
    assert run(echo, stdin=encode_params({"another": "x"})).errors == ["parameter missing"]
    assert run(echo, stdin=encode_params({"zero\0byte": "x"})).errors == [
        "the name of parameter 0 has a zero byte, which a JudySL array cannot hold: use "
        "disco_params_read()"
    ]


def test_library_without_judy_has_no_trace_of_it(tmp_path_factory, tmp_path):
    source = tmp_path / "none.c"
    source.write_text(
        "#include <disco.h>\n#ifdef Pvoid_t\n#error Judy\n#endif\n"
        "int main(void) { return disco_version()[0] != '0'; }\n"
    )
    library = Build.plain(tmp_path_factory).library()
    flags = [*C11, *Build.plain(tmp_path_factory).flags]
    compile_or_fail(["gcc", *flags, "-DDISCO_NO_JUDY", source, library, "-o", tmp_path / "none"])
    assert run([str(tmp_path / "none")]).status == 0
    assert b"Judy" not in subprocess.run(["nm", library], capture_output=True, check=True).stdout


@pytest.mark.skipif(not have("clang-14") and not have("clang"), reason="clang is not installed")
def test_library_compiles_without_a_warning_under_clang(tmp_path_factory):
    compiler = "clang" if have("clang") else "clang-14"
    Build.named(tmp_path_factory, "clang", compiler=compiler).library()


@pytest.mark.slow
@pytest.mark.documented(
    "7 a pair is key size, key, value size, value; sizes are 32 bits, little-endian, in bytes"
)
@pytest.mark.clause("FRAME-1")
def test_big_endian_host_with_32_bit_addresses_speaks_the_same_bytes(tmp_path_factory):
    build = Build.of_kind("powerpc", tmp_path_factory)
    assert run(build.program("core")).status == 0
    script = build.program("script")
    result = run(script, "params", "echo", stdin=SET + encode_pairs(PAIRS))
    assert (result.status, result.stdout) == (0, ECHOED)
    result = run(script, "max:4294967295", "echo", stdin=b"\xfb\xff\xff\xffabc")
    assert result.errors == [SHORT.format("key", 4, 4294967291, 3, "FRAME-4")]


def test_shared_library_exports_what_the_header_declares_and_nothing_else(
    tmp_path_factory, tmp_path
):
    library = tmp_path / "libdisco.so"
    compile_or_fail(["gcc", *C11, "-fPIC", "-shared", *LIBRARY, "-o", library])
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    )
    header = (
        (ROOT / "include" / "disco.h")
        .read_text()
        .replace("static inline Pvoid_t read_parameters", "")
    )
    declared = set(re.findall(r"^DISCO_API [\w\s*]*?\b(\w+)\(", header, re.MULTILINE))
    assert {line.split()[-1] for line in symbols.stdout.splitlines()} == declared
