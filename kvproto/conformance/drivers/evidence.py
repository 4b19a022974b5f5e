"""A directory for each failure of a driver: the worker, the request, what came of it, and a repro.sh.

Promises: repro.sh needs a POSIX shell, the adapter, and what the worker needs (Python); nothing of kvproto.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from kvproto.conformance.runner import Result
from kvproto.conformance.wording import visible

__all__ = ["keep"]


def keep(result: Result, adapter: list[str], directory: Path) -> None:
    """Write the evidence of a failing result; a directory of that name is replaced."""
    play = result.verdict.play
    shutil.rmtree(directory, ignore_errors=True)
    contents = {
        "request.json": play.document.encode(),
        "answer.json": bytes(play.answer),
        "adapter-stderr": play.stderr,
        "stdin": play.stdin,
        "notes": "".join(f"{facts!r}\n" for facts in play.notes).encode(),
        **{f"worker/{name}": content for name, content in play.files.items()},
        "repro.sh": _script(result, adapter).encode("utf-8", "surrogateescape"),
    }
    for name, content in contents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (directory / "repro.sh").chmod(0o755)


def _script(result: Result, adapter: list[str]) -> str:
    finding, play = result.verdict, result.verdict.play
    about = [
        f"{result.case.id} ({result.mode}) [{finding.clause}]: {finding.what}",
        f"expected: {finding.expected}",
        f"got: {finding.got}",
        "",
        "usage: ./repro.sh [adapter argument ...]; lines that begin with { come from the worker",
    ]
    if result.case.kill:
        about.append(
            f"When the worker says is_done, send the adapter signal {result.case.kill}: kill -{result.case.kill} PID",
        )
    comment = "".join(
        f"# {line}".rstrip() + "\n" for text in about for line in visible(text).split("\n")
    )
    program = os.path.abspath(adapter[0]) if "/" in adapter[0] else adapter[0]
    moved = f"""sed "s|{play.folder}|$folder|g\""""
    files = "\n".join(
        f'mkdir -p "$folder"/{shlex.quote(os.path.dirname(name) or ".")} && {moved} "$here"/worker/{shlex.quote(name)} '
        f'> "$folder"/{shlex.quote(name)} && chmod +x "$folder"/{shlex.quote(name)} || exit'
        for name in play.files
    )
    return f"""#!/bin/sh
{comment}here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- {shlex.join([program, *adapter[1:]])}
folder=$(mktemp -d) && mkfifo "$folder/notes" && : > "$folder/stdin" || exit
{files}
cat "$folder/notes" &
notes=$!
{moved} "$here/request.json" > "$folder/request.json"
"$@" < "$folder/request.json" > "$folder/answer.json"
echo "exit status: $?"
kill "$notes" 2> /dev/null
echo "what the worker read, $(wc -c < "$folder/stdin") bytes, in $folder/stdin:"
od -A x -t x1 "$folder/stdin" | head -n 20
echo "the answer, in $folder/answer.json:"
head -c 1000 "$folder/answer.json"
echo
"""
