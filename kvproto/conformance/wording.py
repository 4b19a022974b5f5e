"""How the kit puts bytes and numbers into words: what comes from a worker can be read, and drives no terminal."""

from __future__ import annotations

__all__ = ["plural", "quoted", "shortened", "shown", "visible"]


def visible(text: str) -> str:
    """The text, each character that cannot be seen as an escape sequence; newlines and tabs stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def quoted(line: bytes, most: int = 60) -> str:
    """A line that a worker wrote, in quotes, cut where it is long."""
    text = (
        visible(line.decode("utf-8", "backslashreplace")).replace("\n", "\\n").replace("\t", "\\t")
    )
    return f"'{shortened(text, most)}'"


def shown(data: bytes, most: int = 12) -> str:
    """Bytes in hexadecimal, cut where there are many."""
    return data[:most].hex(" ") + " ..." * (len(data) > most) if data else "nothing"


def shortened(text: str, most: int = 80) -> str:
    """A text, cut."""
    return text if len(text) <= most else text[: most - 3] + "..."


def plural(n: int, unit: str) -> str:
    """A number of things."""
    return f"{n} {unit}{'s' * (n != 1)}"
