"""The evidence of a failure: a directory with stdin, stdout, stderr, the schedules, and a repro.sh.

`kvproto check --replay` plays the schedules; repro.sh needs a POSIX shell and the worker, but
nothing of kvproto.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

from kvproto._text import visible
from kvproto.conformance.case import Case
from kvproto.conformance.player import VARIABLES, Program
from kvproto.conformance.runner import Check, Result
from kvproto.conformance.schedule import Answers, CloseOutput, Pause, Schedule, Send
from kvproto.conformance.trace import Finding, Trace
from kvproto.conformance.workers import CASES

__all__ = ["Replay", "comment", "keep", "load", "write"]

SECONDS_OPEN = 2
"""How long repro.sh keeps stdin open when an answer is due: a user sees that none comes."""


class Replay(NamedTuple):
    """What a directory of evidence holds: the case, the schedules, and the worker."""

    case: Case
    mode: str
    contract: str
    schedules: list[Schedule]
    worker: list[str]
    files: list[str]
    handed_on: list[str]


def keep(result: Result, check: Check, directory: Path) -> None:
    """Write the evidence of a failing result; a directory of that name is replaced."""
    program, finding = check.program, result.finding
    assert isinstance(finding, Finding)
    trace = finding.trace
    supporting = {name: content for name, content in program.files.items() if name != "op"}
    files = {**supporting, **dict(trace.schedule.files)}
    facts = {
        "case": result.case.id,
        "mode": result.mode,
        "contract": check.contract,
        "worker": [os.path.abspath(program.path), *program.arguments],
        "files": sorted(supporting),
        "environment": program.handed_on,
        "schedules": [json.loads(one.schedule.to_json()) for one in (*finding.also, trace)],
    }
    contents = {
        "stdin": trace.schedule.stdin,
        "stdout": trace.stdout,
        "stderr": trace.stderr,
        **{f"files/{name}": content for name, content in files.items()},
        "schedule.json": json.dumps(facts, indent=1).encode() + b"\n",
        "repro.sh": _script(result, trace, program, bool(files)).encode("utf-8", "surrogateescape"),
    }
    write(directory, contents)


def write(directory: Path, contents: dict[str, bytes]) -> None:
    """Replace a directory by these files; repro.sh and files/* are executable."""
    shutil.rmtree(directory, ignore_errors=True)
    for name, content in contents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if name == "repro.sh" or name.startswith("files/"):
            path.chmod(0o755)


def comment(result: Result, *lines: str) -> str:
    """Describe a failing result in the comment that begins a script."""
    finding = result.finding
    about = [
        f"{result.case.id} ({result.mode}) [{finding.clause}]: {finding.what}",
        f"expected: {finding.expected}",
        f"got: {finding.got}",
        "",
        *lines,
    ]
    shown = visible("\n".join(about)).split("\n")
    return "".join(f"# {line}".rstrip() + "\n" for line in shown)


def load(directory: Path) -> Replay:
    """Read what `keep` wrote. Raises ValueError if it is not evidence of a case, and OSError."""
    text = (directory / "schedule.json").read_text()
    try:
        facts = json.loads(text)
        case = next(case for case in CASES if case.id == facts["case"])
        schedules = [Schedule.from_json(json.dumps(one)) for one in facts["schedules"]]
        files = [str(directory / "files" / name) for name in facts["files"]]
        environment = facts["environment"]
        return Replay(
            case, facts["mode"], facts["contract"], schedules, facts["worker"], files, environment
        )
    except StopIteration:
        raise ValueError(f"{directory}: there is no case {facts['case']}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        what = f"{type(e).__name__}: {e}"
        raise ValueError(
            f"{directory}/schedule.json is not the evidence of a failure ({what})"
        ) from None


def _script(result: Result, trace: Trace, program: Program, has_files: bool) -> str:
    schedule = trace.schedule
    about = comment(result, "usage: ./repro.sh [worker]; its output is then in $directory/stdout")
    run = shlex.join(["./op", *program.arguments, *schedule.between, schedule.argument])
    names = () if schedule.environment == "empty" else (*VARIABLES, *program.handed_on)
    run = " ".join(["env -i", *(f'${{{name}+"{name}=${name}"}}' for name in names), run])
    return f"""#!/bin/sh
{about}here=$(cd "$(dirname "$0")" && pwd)
worker=$(realpath "${{1:-{_quoted(os.path.abspath(program.path))}}}")
directory=$(mktemp -d) && cd "$directory" || exit
cp "$worker" op && chmod +x op || exit
{'cp -R "$here/files/." . || exit' + chr(10) if has_files else ""}{_pipeline(trace, run)}
echo "exit status: $(cat status)"
echo "stdout, $(wc -c < stdout) bytes, in $directory:"
od -A x -t x1 stdout | head -n 20
"""


def _pipeline(trace: Trace, run: str) -> str:
    """Write a schedule as shell commands: all input at once, or in two parts around an answer."""
    schedule = trace.schedule
    kinds = {type(step) for step in schedule.steps}
    feed = 'cat "$here/stdin"'
    if Answers in kinds:
        n_bytes = _n_bytes_before_answers(trace)
        when = f"{SECONDS_OPEN} seconds after the first {n_bytes} bytes of stdin"
        show = f'sleep {SECONDS_OPEN}; echo "stdout, {when}: $(wc -c < stdout) bytes" >&2'
        feed = (
            f'{{ head -c {n_bytes} "$here/stdin"; {show}; tail -c +{n_bytes + 1} "$here/stdin"; }}'
        )
    run = f"{{ {run}; echo $? > status; }}"
    if schedule.stdout == "closed":
        return f": > stdout\n{feed} | {run} >&-"
    if schedule.stdout == "full":
        return f": > stdout\n{feed} | {run} > /dev/full"
    if CloseOutput in kinds:
        return f": > stdout\n{feed} | {{ sleep 1; {run}; }} | :"
    if Pause in kinds:
        return f"{feed} | {run} | {{ sleep 1; cat; }} > stdout"
    return f"{feed} | {run} > stdout"


def _n_bytes_before_answers(trace: Trace) -> int:
    """Count the bytes sent before the answers that were held back, or before the first answers."""
    owed = trace.owed[0].n_due if trace.owed else None
    n_bytes = 0
    for step in trace.schedule.steps:
        if isinstance(step, Send):
            n_bytes += len(step.data) * step.times
        elif isinstance(step, Answers) and owed in (None, step.n):
            break
    return n_bytes


def _quoted(path: str) -> str:
    return "".join("\\" + c if c in '"\\$`}' else c for c in path)
