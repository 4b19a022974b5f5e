"""Readers of rows: JSON lines and CSV. A bad row is a final DataError with the number of its line.

A line or a row of more than 1 GiB is an error too.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import IO, Any

from kvproto.errors import DataError
from kvproto.inputs.lines import check_text, lines_of

__all__ = ["csv_reader", "jsonl_reader"]


def jsonl_reader(
    fd: IO[str] | IO[bytes], size: int | None, url: str, params: Any = None
) -> Iterator[Any]:
    """Read the value of each line of JSON; blank lines are skipped.

    As the only reader of a map, it reads the parts of a large file in several tasks.

    Yields
    ------
    dict, list, str, int, float, bool or None

    Raises
    ------
    DataError
        A line is not JSON, or the input has no lines.
    """
    import json  # noqa: PLC0415 (slow)

    check_text(fd, f"input {url}")
    for number, line in enumerate(lines_of(fd, url), 1):
        if line.isspace():
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as e:
            raise _bad_row(url, number, f"is not JSON: {e}") from e


def csv_reader(
    fd: IO[str] | IO[bytes],
    size: int | None,
    url: str,
    params: Any = None,
    *,
    header: bool = False,
    **dialect: Any,
) -> Iterator[list[str] | dict[str, str]]:
    r"""Read the rows of CSV. A quoted field may contain newlines; empty lines are skipped.

    One task reads the whole file, because a newline may be in a field.

    Parameters
    ----------
    fd, size, url, params
        As for any reader.
    header : bool
        Whether the first row has the names of the columns.
        `functools.partial(csv_reader, header=True, delimiter=";")` is such a reader.
    **dialect
        For `csv.reader`, such as `delimiter`.

    Yields
    ------
    list of str; with `header` a dict of the name of the column to str

    Raises
    ------
    DataError
        A row has bad quotes or a field over `csv.field_size_limit()`; with `header`, a row has
        another number of fields, or a name occurs twice; or the input has no lines.
    """
    check_text(fd, f"input {url}")
    rows = csv.reader(lines_of(fd, url, as_text=True), **{"strict": True, **dialect})
    names: list[str] = []
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as e:
            raise _bad_row(url, number, f"is not a row of CSV: {e}") from e
        if row is None:
            return
        if not row:
            continue
        if header and not names:
            names = row
            if len(set(names)) < len(names):
                raise _bad_row(url, number, f"has a name twice: {row!r:.200}")
        elif header:
            if len(row) != len(names):
                raise _bad_row(
                    url, number, f"has {len(row)} fields, not {len(names)}: {row!r:.200}"
                )
            yield dict(zip(names, row, strict=True))
        else:
            yield row


def _bad_row(url: str, number: int, what: str) -> DataError:
    return DataError(f"input {url}: line {number} {what}", is_final=True)
