"""What `make bench` leaves in build/bench: figures.md, all of it as Markdown tables, and bench.svg,
a chart of the whole jobs.
"""

import os
import platform
import re
import shutil
from pathlib import Path

from benchmarks import chart


def machine() -> str:
    """The machine in a line: processor, cores, memory, system, Python."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    n_cores = len(os.sched_getaffinity(0))
    kernel = platform.release().partition("-")[0]
    return (
        f"{models[0] if models else platform.machine()}, {n_cores} cores, {memory:.0f} GiB, "
        f"Linux {kernel}, Python {platform.python_version()}"
    )


def write(directory: Path, rows: list[dict], bars: list[dict]) -> None:
    """Write the files. Each row is what `measure.row` gives, each bar what `measure.bar` gives."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = [machine()]
    if bars:
        parts.append(table_of_jobs(bars))
        shown = [chart.Bar(bar["group"], bar["name"], bar["kind"], bar["wall"]) for bar in bars]
        (directory / "bench.svg").write_text(chart.draw(shown, f"Shorter is better. {machine()}"))
    if rows:
        parts.append(table_of_figures(rows))
    (directory / "figures.md").write_text("\n\n".join(parts) + "\n")


def publish(directory: Path, root: Path) -> None:
    """Put the table and the chart of the whole jobs into README.md and docs/."""
    of_machine, table = (directory / "figures.md").read_text().split("\n\n")[:2]
    measured = f'Measured by `make bench OPTIONS="--only wordcount"`: {of_machine.strip()}.'
    readme = root / "README.md"
    block = f"<!-- figures -->\n{table}\n\n{measured}\n<!-- end of figures -->"
    pattern = "<!-- figures -->.*<!-- end of figures -->"
    readme.write_text(re.sub(pattern, lambda _: block, readme.read_text(), flags=re.DOTALL))
    shutil.copyfile(directory / "bench.svg", root / "docs" / "bench.svg")


def table_of_jobs(bars: list[dict]) -> str:
    """Seconds and memory of each way to do each job. The first bar is the limit."""
    lines = [
        "| | | s | CPU s | MB | times one C process |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    group = ""
    for bar in bars:
        cells = [
            "" if bar["group"] == group else bar["group"],
            bar["name"].replace("|", "\\|"),
            f"{bar['wall']:.2f}",
            f"{bar['cpu']:.1f}",
            bar["peak"],
            f"{bar['wall'] / bars[0]['wall']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
        group = bar["group"]
    return "\n".join(lines)


def table_of_figures(rows: list[dict]) -> str:
    """Each figure beside the figure asked for."""
    lines = ["| | measured | asked | |", "| --- | --- | --- | --- |"]
    for row in rows:
        verdict = {True: "ok", False: "missed", None: ""}[row["ok"]]
        lines.append(f"| {row['what']} | {row['measured']} | {row['asked']} | {verdict} |")
    return "\n".join(lines)
