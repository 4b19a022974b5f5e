"""The style and the script of the page, besides what all pages share."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root {
  --map: #2f73b7; --merge: #7a8794; --reduce: #1f9379; --failed: #d1495b; --lost: #8e44ad;
  --stripe: #ffffff; --track: #eef1f4;
  --h0: #f0f2f4; --h1: #dbe7f4; --h2: #b3cde6; --h3: #82aed6; --h4: #4f8cc3; --h5: #2567a5;
  --h6: #0c3f75;
}
@media (prefers-color-scheme: dark) {
  :root {
    --map: #5b9bd8; --merge: #8b98a5; --reduce: #3fb598; --failed: #f2788a; --lost: #c18ae0;
    --stripe: #14171a; --track: #22282e;
    --h0: #1d2227; --h1: #1d3147; --h2: #23476c; --h3: #2f6396; --h4: #4a86c0; --h5: #7fb0e2;
    --h6: #c9e1fa;
  }
}
body { max-width: 76rem }
code, pre, th, td, dd, dt, li { unicode-bidi: isolate }
.bad-side { border-color: var(--bad) } .other-side { border-color: var(--other) }
.failure { border: 1px solid var(--bad); border-radius: .5rem; padding: 0 1rem .75rem;
  margin: 1.5rem 0 }
.failure h2 { margin-top: 1rem; color: var(--bad) }
.what { font-size: 1.05rem; max-width: none; overflow-wrap: anywhere }
h3.part { display: block; margin: 1.75rem 0 .25rem; font-size: 1rem }
pre { max-height: 32rem }
details.others { border: 0; margin: .9rem 0 0 }
details.others > summary { background: none; border: 0; padding: 0 0 .5rem; color: var(--soft) }
svg { display: block; overflow: visible }
svg text { font-size: 12px; fill: var(--text) } svg text.soft, tspan.soft { fill: var(--soft) }
.timeline { margin-top: 1rem }
.track { fill: var(--track) }
.map { fill: var(--map) } .merge { fill: var(--merge) } .reduce { fill: var(--reduce) }
.timeline rect.done, .timeline rect.failed, .timeline rect.lost { stroke: var(--page);
  stroke-width: .6 }
rect.failed { fill: url(#stripes) } rect.lost { fill: url(#dots) }
rect.cancelled { fill: var(--page); stroke: var(--soft); stroke-dasharray: 3 2 }
.ground { fill: var(--failed) } .ground2 { fill: var(--lost) } .stripe { fill: var(--stripe) }
rect.stage { opacity: .25 }
.tick { stroke: var(--line) } .cut { stroke: var(--other); stroke-width: 2; stroke-dasharray: 5 3 }
.median { stroke: var(--text); stroke-dasharray: 4 3; opacity: .6 }
.bars { margin-top: 1rem }
.heat { outline: 1px solid var(--line) }
.h0 { fill: var(--h0) } .h1 { fill: var(--h1) } .h2 { fill: var(--h2) } .h3 { fill: var(--h3) }
.h4 { fill: var(--h4) } .h5 { fill: var(--h5) } .h6 { fill: var(--h6) }
.a0 { fill: var(--map) } .a1 { fill: var(--other) } .a2 { fill: var(--lost) }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0;
  margin: .5rem 0; font-size: .875rem; color: var(--soft) }
.legend svg { display: inline-block; vertical-align: -1px }
.scroll { overflow-x: auto }
table.attempts { font-size: .85rem; font-variant-numeric: tabular-nums }
table.attempts th, table.attempts td { padding: .25rem .45rem; white-space: nowrap }
table.attempts thead th { white-space: normal; vertical-align: bottom }
table.attempts tbody th { position: sticky; left: 0; background: var(--page); font-weight: 600 }
td.n, th.n { text-align: right }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap }
table.stages tbody th { font-weight: 600 }
.load { min-width: 14rem; font-size: .85rem; color: var(--soft) }
.second { display: block; color: var(--soft); font-size: .85rem }
.shares { margin: .5rem 0 .25rem }
table.counters { width: auto; min-width: min(100%, 24rem) }
th button { all: unset; cursor: pointer } th button:focus-visible { outline: 2px solid var(--link) }
th[aria-sort=ascending] button::after { content: " \\2191" }
th[aria-sort=descending] button::after { content: " \\2193" }
.notes { padding-left: 1.2rem; overflow-wrap: anywhere }
@media (max-width: 40rem) {
  .counts { gap: .35rem } .counts li { padding: .1rem .5rem; font-size: .9rem }
  th, td { padding: .35rem .5rem }
  table.stages thead { display: none }
  table.stages tr { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr));
    gap: .25rem .75rem; padding: .5rem 0; border-bottom: 1px solid var(--line) }
  table.stages th, table.stages td { display: block; border: 0; padding: 0; text-align: left;
    min-width: 0; white-space: normal }
  table.stages th, table.stages .load { grid-column: 1 / 3 }
  table.stages td::before { content: attr(data-of) " "; color: var(--soft) }
}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.attempts")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.onclick = () => {
      const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      const order = (a, b) => "v" in a.cells[column].dataset
        ? value(a) - value(b) : compare(value(a), value(b));
      body.append(...[...body.rows].sort((a, b) => sign * order(a, b)));
    };
  });
}
"""
