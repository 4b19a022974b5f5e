"""One HTML page: a file that needs no network, in the light or dark mode of the system.

The reports of the kit and of jobs share it. All text from outside goes through `safe`.
"""

from __future__ import annotations

from html import escape

from kvproto._text import visible

__all__ = ["STYLE", "attribute", "page", "safe"]


def page(title: str, body: str, style: str = "", head: str = "") -> str:
    """Make the page; `body` and `head` are HTML, and `style` has rules besides STYLE."""
    return (
        "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        f"{head}<title>{safe(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def safe(text: str) -> str:
    """Escape a text; characters that cannot be seen become escape sequences."""
    return escape(visible(text))


def attribute(text: str) -> str:
    """Quote the value of an attribute."""
    return f'"{safe(text)}"'


STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1c2024; --soft: #5c646d; --line: #dfe3e8; --panel: #f5f7f9;
  --good: #17703a; --bad: #b3261e; --other: #6b5a00; --wrong: #ffd84d; --wrong-text: #1c2024;
  --link: #1857b8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --text: #e4e7ea; --soft: #9aa4ae; --line: #30363d; --panel: #1c2126;
    --good: #63c98a; --bad: #ff8a80; --other: #e0c65c; --wrong: #f2c744; --wrong-text: #14171a;
    --link: #82b1ff;
  }
}
* { box-sizing: border-box }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 64rem; background: var(--page);
  color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans",
  sans-serif;
}
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
  monospace }
code { font-size: .9em; overflow-wrap: anywhere }
a { color: var(--link) }
h1 { margin: 0 0 .5rem; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere }
h2 { margin: 2.75rem 0 .25rem; font-size: 1.25rem }
h3 { display: inline; margin: 0; font-size: 1rem; font-weight: 600 }
h4 { margin: 1.25rem 0 .35rem; font-size: .875rem; color: var(--soft); font-weight: 600 }
p { margin: .4rem 0; max-width: 46rem }
.soft { color: var(--soft) }
.verdict { border-left: .4rem solid var(--good); padding: .25rem 0 .25rem 1rem;
  margin-bottom: 1rem }
.verdict.failed { border-color: var(--bad) }
.counts { list-style: none; display: flex; flex-wrap: wrap; gap: .5rem; padding: 0;
  margin: 1rem 0 0 }
.counts li { border: 1px solid var(--line); border-radius: .5rem; padding: .2rem .7rem;
  background: var(--panel) }
.counts b { font-size: 1.1rem }
.good { color: var(--good) } .bad { color: var(--bad) }
.other { color: var(--other) } .none { color: var(--soft) }
details { border: 1px solid var(--line); border-radius: .5rem; margin: 1rem 0 }
summary { cursor: pointer; padding: .6rem .9rem; background: var(--panel); border-radius: .5rem }
details[open] > summary { border-bottom: 1px solid var(--line); border-radius: .5rem .5rem 0 0 }
.body { padding: .25rem .9rem .9rem }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .35rem 1rem;
  margin: .75rem 0 }
dt { color: var(--soft) }
dd { margin: 0; white-space: pre-line; overflow-wrap: anywhere }
pre {
  margin: 0; padding: .6rem .75rem; overflow-x: auto; background: var(--panel);
  border: 1px solid var(--line);
  border-radius: .4rem; font-size: .82rem; line-height: 1.45; tab-size: 4;
}
pre.command { white-space: pre-wrap; overflow-wrap: anywhere }
mark { background: var(--wrong); color: var(--wrong-text); border-radius: .15rem; padding: 0 .1rem }
table { width: 100%; border-collapse: collapse; margin: .75rem 0 0 }
th, td { padding: .45rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top }
thead th { color: var(--soft); font-size: .85rem; font-weight: 600 }
th:first-child { padding-left: 0 }
tbody th { font-weight: 400 }
@media (max-width: 40rem) {
  body { padding: 1rem .9rem 3rem }
  h1 { font-size: 1.35rem }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0 }
  dd { margin-bottom: .6rem }
  pre { font-size: .75rem }
}
@media print { details { break-inside: avoid } }
"""
