"""Bars as one SVG image: no script, no fonts or styles from elsewhere, for light and dark pages."""

from html import escape
from itertools import groupby
from typing import NamedTuple

WIDTH = 760
LEFT = 280  # where the bars begin
LONGEST = WIDTH - LEFT - 80
TOP, TITLE, BAR, GAP = 16, 30, 20, 14

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif }
text { fill: #1f2328 }
.title { font-weight: 600 }
.note { fill: #59636e }
.page { fill: #ffffff; stroke: #d1d9e0 }
.ours { fill: #0a66c2 }
.peer { fill: #a5adb6 }
.limit { fill: #6b737c }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .note { fill: #9198a1 }
  .page { fill: #0d1117; stroke: #3d444d }
  .ours { fill: #4493f8 }
  .peer { fill: #59626d }
  .limit { fill: #8b949e }
}
"""


class Bar(NamedTuple):
    """One bar. kind: "ours", "peer" or "limit", which is its colour."""

    group: str
    name: str
    kind: str
    seconds: float


def draw(bars: list[Bar], note: str) -> str:
    """The image: a title for each group, a bar in proportion to each one's seconds, and a note."""
    scale = LONGEST / max(bar.seconds for bar in bars)
    parts, y = [], TOP
    for group, members in groupby(bars, lambda bar: bar.group):
        parts.append(text(16, y + 17, group, "title"))
        y += TITLE
        for bar in members:
            parts += draw_bar(bar, y, scale)
            y += BAR + 6
        y += GAP
    parts.append(text(16, y + 8, note, "note"))
    height = y + 24
    what = "Seconds of each way to count words, as bars"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{what}">',
            f"<style>{STYLE}</style>",
            f'<rect class="page" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def draw_bar(bar: Bar, y: int, scale: float) -> list[str]:
    length = max(bar.seconds * scale, 1)
    return [
        text(LEFT - 10, y + 15, bar.name, "name", anchor="end"),
        f'<rect class="{bar.kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>',
        text(LEFT + length + 8, y + 15, f"{bar.seconds:.2f} s", "value"),
    ]


def text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{style}" {place}>{escape(words)}</text>'
