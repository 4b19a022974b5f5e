"""Workers that a test writes for itself, as scripts."""

import textwrap
from pathlib import Path

PAIRS = [(b"key %d" % index, b"value \n\0\xff %d" % index) for index in range(5000)]


def script(
    tmp_path: Path, body: str, interpreter: str = "/usr/bin/env python3", name: str = "worker"
) -> Path:
    path = tmp_path / name
    path.write_text(f"#!{interpreter}\n{textwrap.dedent(body)}")
    path.chmod(0o755)
    return path


TELL = """
    import os, struct, sys
    def item(data): return struct.pack("<I", len(data)) + data
    def tell(*pairs):
        data = b"".join(item(key) + item(value) for key, value in pairs)
        sys.stdout.buffer.write(struct.pack("<I", len(pairs)) + data)
        sys.stdout.flush()
"""
"""The beginning of a script that writes result lists: tell((key, value), ...)."""
