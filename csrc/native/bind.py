"""Write the C source of the cffi module kvproto._disco: `bind.py OUTPUT HEADER...`.

What is bound is the region of each header between `/* cffi: begin */` and `/* cffi: end */`: one
declaration serves C programs and Python, so that they cannot drift.
"""

import re
import sys
from pathlib import Path

from cffi import FFI

BEGIN, END = "/* cffi: begin */", "/* cffi: end */"
ATTRIBUTE = re.compile(r"\bDISCO_(?:API|USE_RESULT|NONNULL\([\d, ]*\))")
"""The macros for compilers, which cffi's parser of C does not know."""


def marked_region(header: Path) -> str:
    """The text between the marks, without attributes; exits unless there is one region."""
    _before, begin, rest = header.read_text().partition(BEGIN)
    region, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after:
        raise SystemExit(f"{header}: wants one region from {BEGIN} to {END}")
    return ATTRIBUTE.sub("", region)


def main(output: str, *headers: str) -> None:
    ffi = FFI()
    for header in headers:
        ffi.cdef(marked_region(Path(header)))
    includes = "".join(f'#include "{Path(header).name}"\n' for header in headers)
    ffi.set_source("kvproto._disco", includes, py_limited_api=True)
    ffi.emit_c_code(output)


main(*sys.argv[1:])
