"""The sizes of the partitions, and what each map wrote for each, as bars and as a heat map."""

from __future__ import annotations

from statistics import median

from kvproto._page import safe
from kvproto._text import amount, counted
from kvproto.report.course import Course

__all__ = ["as_sizes", "partition_bytes"]

MAX_BARS, MAX_ROWS, MAX_COLUMNS = 128, 32, 64
"""The most bars, and cells of the heat map: more are drawn in groups."""

_LEVELS = 6
_HEIGHT, _CELL = 120, 12


def partition_bytes(course: Course) -> tuple[list[int], int]:
    """Return the bytes of each partition, or of each group, and how many partitions a group has.

    By what the reduces have read if all are done, otherwise by what the maps have written so far.
    """
    reduces, stage = course.accepted("reduce"), course.stages.get("reduce")
    if stage is not None and 1 < stage.n_tasks == len(reduces):
        return [reduces[number].bytes_in for number in sorted(reduces)], 1
    columns = _columns(course)
    if not columns:
        return [], 1
    sums = [sum(column) for column in zip(*columns.values(), strict=True)]
    n_partitions = stage.n_tasks if stage is not None else len(sums)
    return sums, max(1, -(-n_partitions // len(sums)))


def _columns(course: Course) -> dict[int, list[int]]:
    """What each map wrote for each partition, of those with the same number of them."""
    maps = {number: one.parts for number, one in course.accepted("map").items() if one.parts}
    n_parts = max((len(parts) for parts in maps.values()), default=0)
    return {number: parts for number, parts in sorted(maps.items()) if len(parts) == n_parts}


def as_sizes(course: Course) -> str:
    """Return the part of the page with the sizes."""
    sizes, n_each = partition_bytes(course)
    parts = [_bars(sizes, n_each)] if len(sizes) > 1 else []
    columns = _columns(course)
    if len(columns) > 1 and len(sizes) > 1:
        parts.append(_heat_map(columns, course))
    return "".join(parts)


# --- partitions ---------------------------------------------------------------------------------


def _bars(sizes: list[int], n_each: int) -> str:
    group = -(-len(sizes) // MAX_BARS)
    largest_of = [max(sizes[at : at + group]) for at in range(0, len(sizes), group)]
    most, typical = max(sizes), median(sizes)
    width = 100 / len(largest_of)
    gap = min(0.3, width / 5)
    rects = []
    for number, n_bytes in enumerate(largest_of):
        height = max(1.0, _HEIGHT * n_bytes / most) if most else 1.0
        name = _numbers(number, group * n_each, len(sizes) * n_each)
        rects.append(
            f'<rect class="done reduce" x="{number * width + gap / 2:.3f}%" '
            f'y={_HEIGHT - height:.1f} width="{width - gap:.3f}%" height={height:.1f}>'
            f"<title>partition {name}: {amount(n_bytes)}</title></rect>"
        )
        if len(largest_of) <= 12:
            rects.append(
                f'<text class=soft x="{(number + 0.5) * width:.3f}%" y={_HEIGHT + 15} '
                f"text-anchor=middle>{name}</text>"
            )
    line = _HEIGHT - _HEIGHT * typical / most if most else _HEIGHT
    rects.append(f'<line class=median x1=0 x2="100%" y1={line:.1f} y2={line:.1f} />')
    ratio = most / typical if typical else 0
    skew = (
        f"The largest has {ratio:.1f} times as much as the one in the middle. "
        if ratio >= 1.05
        else "They are even. "
    )
    advice = (
        "Its reduce takes the longest: look for a key that most pairs have, or use another "
        "partition function. "
        if ratio >= 2
        else ""
    )
    which = _numbers(sizes.index(most), n_each, len(sizes) * n_each)
    verb = f"Partitions {which} are" if n_each > 1 else f"Partition {which} is"
    groups = f"Each bar is the largest of {group}. " if group > 1 else ""
    groups += f"Partitions are counted in groups of {n_each}. " if n_each > 1 else ""
    return (
        "<h2>Partitions</h2>\n"
        f"<p>{verb} the largest, with {amount(most)}; the median is "
        f"{amount(typical)}. {skew}{advice}<span class=soft>{groups}The line is the median."
        "</span></p>\n"
        f'<svg class=bars width="100%" height={_HEIGHT + 22} role=img '
        f'aria-label="Bytes of each partition">{"".join(rects)}</svg>\n'
    )


def _numbers(number: int, n_each: int, n_all: int) -> str:
    first = number * n_each
    last = min(first + n_each, n_all) - 1
    return f"{first}" if last <= first else f"{first} to {last}"


# --- maps and partitions ------------------------------------------------------------------------


def _heat_map(columns: dict[int, list[int]], course: Course) -> str:
    numbers, rows = list(columns), list(columns.values())
    n_maps, n_parts = len(rows), len(rows[0])
    by_row, by_column = -(-n_maps // MAX_ROWS), -(-n_parts // MAX_COLUMNS)
    cells = [
        [
            sum(sum(row[x : x + by_column]) for row in rows[y : y + by_row])
            for x in range(0, n_parts, by_column)
        ]
        for y in range(0, n_maps, by_row)
    ]
    most = max(map(max, cells))
    width, height = 100 / len(cells[0]), _CELL * len(cells)
    stage = course.stages.get("reduce")
    n_partitions = max(n_parts, stage.n_tasks if stage is not None else 0)
    n_each = by_column * -(-n_partitions // n_parts)
    rects = []
    for y, row in enumerate(cells):
        last = min((y + 1) * by_row, n_maps) - 1
        name = f"map {numbers[y * by_row]}" + (f" to {numbers[last]}" if by_row > 1 else "")
        for x, n_bytes in enumerate(row):
            rects.append(
                f'<rect class=h{_level(n_bytes, most)} x="{x * width:.3f}%" y={y * _CELL} '
                f'width="{width:.3f}%" height={_CELL}><title>{safe(name)}, partition '
                f"{_numbers(x, n_each, n_partitions)}: {amount(n_bytes)}</title></rect>"
            )
    grouped = (
        f" A cell is the sum of {counted(by_row, 'map')} and {counted(n_each, 'partition')}."
        if by_row > 1 or n_each > 1
        else ""
    )
    return (
        "<h3 class=part>What each map wrote for each partition</h3>\n"
        f"<p class=soft>Maps from top to bottom, partitions from left to right.{grouped}</p>\n"
        f"{_scale(most)}"
        f'<svg class=heat width="100%" height={height} role=img '
        f'aria-label="Bytes of each map for each partition">{"".join(rects)}</svg>\n'
    )


def _level(n_bytes: int, most: int) -> int:
    """0 for nothing, then 1 to _LEVELS."""
    return min(_LEVELS, 1 + _LEVELS * n_bytes // max(1, most)) if n_bytes else 0


def _scale(most: int) -> str:
    words = ["0", *(f"to {amount(most * level / _LEVELS)}" for level in range(1, _LEVELS + 1))]
    items = "".join(
        f"<li><svg width=16 height=12><rect class=h{level} width=16 height=12 /></svg> {text}</li>"
        for level, text in enumerate(words)
    )
    return f"<ul class=legend>{items}</ul>\n"
