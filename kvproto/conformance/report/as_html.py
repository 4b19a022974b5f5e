"""The report as one HTML page, for readers who do not know the kit.

The page is one file without scripts that needs no network, and everything from a worker is escaped.
It shows the verdict, then each fault with its bytes, then a table of the cases of each section. It
follows the light or dark mode of the system, and works on a phone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kvproto._page import attribute, page, safe
from kvproto.conformance.display import plural
from kvproto.conformance.report.parts import (
    SECTIONS,
    Dump,
    Failure,
    by_section,
    failures,
    is_of_driver,
    leaders,
    parts_of,
    words,
)
from kvproto.conformance.report.text import conclusion, counts
from kvproto.conformance.runner import Result

__all__ = ["as_html"]

ABOUT_WORKER = (
    "A worker is a program, in any language, that reads pairs of a key and a value on its standard "
    "input and writes lists of such pairs to its standard output. This page shows whether this "
    "worker does so as the protocol requires."
)
ABOUT_DRIVER = (
    "A driver starts workers, which are programs that read pairs of a key and a value and write "
    "lists of such pairs, and it judges what they do. This page shows whether this driver, run "
    "through its adapter, does so as the protocol requires."
)

STATUSES = {
    "pass": ("good", "passes", "pass"),
    "fail": ("bad", "fails", "fail"),
    "fixed": ("bad", "passes, listed as failing", "pass, listed as failing"),
    "known": ("other", "known failure", "known to fail"),
    "note": ("other", "note", "noted"),
    "n/a": ("none", "not applicable", "not applicable"),
}
"""The CSS class of each status, and the words for one result and for several."""

LEVELS = (
    "The levels are those of the protocol: a MUST case checks what is required, a SHOULD case "
    "checks what is recommended, and an INFO case only informs."
)

NAMES = {"likely": "likely mistake", "worker": "the worker here"}
HIDDEN = ("found",)
"""Fields that the heading of a fault already shows."""

LINE = re.compile(r"([> ]) ([0-9a-f]{4,})  ([0-9a-f]{2}[0-9a-f ]{0,33}?)( {2,})(.*)")
"""A line of a dump: mark of the first wrong byte, offset, bytes, gap, words."""


def as_html(
    subject: str, results: list[Result], directories: Mapping[str, str], run: Mapping[str, str]
) -> str:
    """Make the page about a worker or a driver.

    directories  the evidence of each failing result, by ID.mode
    run          texts, by name, that say what was run and how
    """
    faults = failures(results)
    parts = [_head(subject, results), _faults(faults, directories), _asides(results)]
    parts += [_section(name, some, leaders(results)) for name, some in by_section(results).items()]
    parts += [f"<h2>What was run</h2>\n{_list(run)}<p class=soft>{safe(LEVELS)}</p>\n"]
    return page(f"{subject} {conclusion(results)}", "".join(parts), STYLE)


def _head(subject: str, results: list[Result]) -> str:
    verdict = conclusion(results).partition(":")[0]
    about = ABOUT_DRIVER if is_of_driver(results) else ABOUT_WORKER
    is_bad = any(result.fails for result in results)
    n_faults, n_fixed = len(failures(results)), sum(result.status == "fixed" for result in results)
    faults = f"It has {plural(n_faults, 'fault')}, described below. "
    summary = faults if n_faults else "No fault was found. "
    summary += f"Known failures that pass: {n_fixed}, described below. " if n_fixed else ""
    chips = [
        f"<li><b class={kind}>{n}</b> {label}</li>"
        for (kind, _, label), n in ((STATUSES[status], n) for status, n in counts(results).items())
    ]
    n_checks = f"{plural(len(results), 'check')} (a check is one case in one mode):"
    return (
        f'<header>\n<div class="verdict{" failed" * is_bad}">\n'
        f"<h1><code>{safe(subject)}</code> {safe(verdict)}</h1>\n"
        f"<p>{safe(summary)}{n_checks}</p>\n<ul class=counts>{''.join(chips)}</ul>\n</div>\n"
        f"<p class=soft>{safe(about)}</p>\n</header>\n"
    )


def _faults(faults: list[Failure], directories: Mapping[str, str]) -> str:
    if not faults:
        return ""
    return "<h2>Faults</h2>\n" + "".join(
        _fault(one, directories[one.result.name]) for one in faults
    )


def _fault(one: Failure, directory: str) -> str:
    case, mode, finding = one.result.case, one.result.mode, one.finding
    parts = parts_of(one.result)
    fields = {NAMES.get(name, name): text for name, text in parts.fields.items()}
    dumps = "".join(_dump(dump) for dump in parts.dumps)
    title = finding.what[:1].upper() + finding.what[1:]
    return (
        f"<details open id={attribute(one.result.name)}>\n"
        f"<summary><h3>{safe(title)}</h3></summary>\n<div class=body>\n"
        f"<p class=soft><code>{safe(case.id)}</code> ({mode}), level {case.level}, clause "
        f"{safe(finding.clause)} of the protocol. It says: {safe(case.title)}.</p>\n"
        f"{_list(fields)}{dumps}{_others(one)}<h4>To reproduce it</h4>\n"
        f"{_again(directory, one.result, parts.needs)}</div>\n</details>\n"
    )


def _others(one: Failure) -> str:
    if not one.others:
        return ""
    names = ", ".join(f"<code>{safe(other.case.id)}</code> ({other.mode})" for other in one.others)
    about = f"The same fault makes {plural(len(one.others), 'other check')} fail"
    return f"<details class=others>\n<summary>{about}</summary>\n<p>{names}</p>\n</details>\n"


def _again(directory: str, result: Result, needs: str) -> str:
    script = (
        f"<pre class=command>{safe(directory)}/repro.sh</pre>\n"
        f"<p class=soft>needs {safe(needs)}.</p>\n"
    )
    if is_of_driver([result]):
        return script
    replay = f"<pre class=command>kvproto check --replay {safe(directory)}</pre>\n"
    return f"{script}{replay}<p class=soft>repeats the run exactly.</p>\n"


def _dump(dump: Dump) -> str:
    lines = [_dump_line(line) for line in dump.lines if not line.lstrip().startswith("^^ ")]
    body = "\n".join(lines) or "<span class=soft>nothing</span>"
    return f"<h4>{safe(dump.name)}: {safe(dump.about)}</h4>\n<pre>{body}</pre>\n"


def _dump_line(line: str) -> str:
    parts = LINE.fullmatch(line)
    if parts is None:
        return f"<mark>{safe(line)}</mark>" if line.startswith(">") else safe(line)
    is_wrong, offset, data, gap, about = parts.groups()
    about = safe(about)
    if is_wrong == ">":
        data = f"<mark>{data[:2]}</mark>{data[2:]}"
        about += "   <mark>the first wrong byte</mark>"
    return f"{safe(is_wrong)} {offset}  {data}<span class=gap>{gap[2:]}</span>  {about}"


def _asides(results: list[Result]) -> str:
    """Make the part about known failures that pass, since they decide the verdict."""
    fixed = [result for result in results if result.status == "fixed"]
    if not fixed:
        return ""
    rows = "".join(
        f"<li><code>{safe(r.case.id)}</code> ({r.mode}): {safe(words(r))}</li>\n" for r in fixed
    )
    return f"<h2>Known failures that pass</h2>\n<ul>\n{rows}</ul>\n"


def _section(name: str, results: list[Result], same: Mapping[str, Result]) -> str:
    modes = [mode for mode in ("map", "reduce") if any(result.mode == mode for result in results)]
    by_case: dict[str, dict[str, Result]] = {}
    for result in results:
        by_case.setdefault(result.case.id, {})[result.mode] = result
    heads = "".join(f"<th scope=col class=mode>in a {mode}</th>" for mode in modes)
    rows = "".join(_row(some, modes, same) for some in by_case.values())
    return (
        f"<section>\n<h2>{safe(name)}</h2>\n<p class=soft>{safe(SECTIONS.get(name, ''))}</p>\n"
        "<table>\n<thead><tr><th scope=col>case</th><th scope=col class=level>level</th>"
        f"{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</section>\n"
    )


def _row(by_mode: Mapping[str, Result], modes: list[str], same: Mapping[str, Result]) -> str:
    case = next(iter(by_mode.values())).case
    texts = {
        mode: words(result)
        for mode, result in by_mode.items()
        if words(result) and result.name not in same
    }
    if len(texts) == len(by_mode) and len(set(texts.values())) == 1:
        texts = {"": next(iter(texts.values()))}
    why = [
        f"<span class=why>{mode}{': ' * bool(mode)}{safe(text)}</span>"
        for mode, text in texts.items()
    ]
    cells = "".join(_cell(by_mode.get(mode), mode, same) for mode in modes)
    return (
        f"<tr><th scope=row>{safe(case.title)} <code class=soft>{safe(case.id)}</code>"
        f"{''.join(why)}</th><td class=level>{case.level}</td>{cells}</tr>\n"
    )


def _cell(result: Result | None, mode: str, same: Mapping[str, Result]) -> str:
    if result is None:
        return '<td class="mode none">&ndash;</td>'
    kind, label, _ = STATUSES[result.status]
    if result.status == "fail":
        label = (
            f"<a class=bad href={attribute('#' + same.get(result.name, result).name)}>{label}</a>"
        )
    return f'<td class="mode {kind}" data-of="{mode}:">{label}</td>'


def _list(fields: Mapping[str, str]) -> str:
    items = "".join(
        f"<dt>{safe(name)}</dt><dd{' class=key' * (name == NAMES['likely'])}>{safe(text)}</dd>\n"
        for name, text in fields.items()
        if name not in HIDDEN
    )
    return f"<dl>\n{items}</dl>\n"


STYLE = """
dd.key { font-weight: 600 }
th.mode, td.mode { width: 8rem } th.level, td.level { width: 5rem; color: var(--soft) }
.why { display: block; color: var(--soft); font-size: .9rem; overflow-wrap: anywhere }
details.others { border: 0; margin: .9rem 0 0 }
details.others > summary { background: none; border: 0; padding: 0; color: var(--soft) }
details.others > p { font-size: .9rem; max-width: none }
@media (max-width: 40rem) {
  .gap { display: none }
  thead { display: none }
  tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line) }
  tbody th, tbody td.level, tbody td.mode { display: inline-block; border: 0;
  padding: 0 1rem 0 0; width: auto }
  tbody th { display: block; padding: 0 }
  tbody td[data-of]::before { content: attr(data-of) " "; color: var(--soft) }
}
"""
