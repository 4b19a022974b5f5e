"""Show text and bytes from outside: escaped, shortened, without passwords, or as a dump."""

from __future__ import annotations

import re
import signal

__all__ = [
    "ROW_BYTES",
    "amount",
    "counted",
    "dump_row",
    "printable",
    "quoted_ascii",
    "quoted_text",
    "shortened",
    "signal_name",
    "visible",
    "without_passwords",
]

ROW_BYTES = 12
"""The most bytes in a row of a dump."""


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_QUOTE = r"""["'<>](?![,;:\s)\]}])"""  # a quote that does not end a quotation
# The password in a URL. All lengths are bounded, since a text may be long and hostile.
_PASSWORD = re.compile(
    r"""(://[^/?#@:\s"'<>]{0,200}:)"""  # the user's name
    rf"""(?:(?:[^/?#\s"'<>]|{_QUOTE}){{0,500}}"""  # well-formed: up to the last @ before the path
    # with / ? # in it, which a port does not have
    rf"""|(?!\d*[/?#\s])(?:(?:[^\s"'<>]|{_QUOTE}){{0,500}}"""
    rf"""|(?:[^\n"'<>@]|{_QUOTE}){{0,500}}))@(?=[\w[])"""  # with spaces in it: up to the first @
)


def printable(text: str) -> str:
    """Escape control characters except newlines and tabs, since they may control a terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def visible(text: str) -> str:
    """Show characters that cannot be seen as escape sequences; newlines and tabs stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def without_passwords(text: str) -> str:
    """Replace the passwords in the URLs of a text by ***, as in http://user:***@host/."""
    return _PASSWORD.sub(r"\1***@", text) if "://" in text and "@" in text else text


def shortened(text: str, most: int) -> str:
    """Cut a text after `most` characters, and add how many were cut."""
    n_more = len(text) - most
    return text if n_more <= 0 else f"{text[:most]} [cut: {n_more:,} more characters]"


def amount(n_bytes: float) -> str:
    """Format a number of bytes for a person: "1 byte", "1.0 kB", "12.3 MB", "1.0 GB"."""
    if n_bytes < 999.5:
        n = round(n_bytes)
        return f"{n} byte{'s' * (n != 1)}"
    for unit, size in (("kB", 1e3), ("MB", 1e6)):
        if n_bytes / size < 999.95:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes / 1e9:.1f} GB"


def counted(n: int, unit: str) -> str:
    """Say how many of something, as "1 pair" or "12,345 pairs"."""
    plural = f"{unit}es" if unit.endswith(("ch", "s")) else f"{unit}s"
    return f"{n:,} {unit if n == 1 else plural}"


def dump_row(offset: int, data: bytes, words: str, is_wrong: bool = False) -> list[str]:
    """Show up to ROW_BYTES bytes of a stream, and below them a mark if the first one is wrong."""
    place = f"{'>' if is_wrong else ' '} {offset:04x}  "
    row = f"{place}{data.hex(' '):<{3 * ROW_BYTES}}  {words}".rstrip()
    return [row, f"{' ' * len(place)}^^ the first wrong byte"] if is_wrong and data else [row]


def quoted_ascii(data: bytes) -> str:
    """Quote the ASCII of up to two rows of bytes, with a dot for each other byte."""
    most = 2 * ROW_BYTES
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data[:most])
    return f'"{text}"' + "..." * (len(data) > most)


def quoted_text(data: bytes) -> str:
    """Quote the text of up to two rows of bytes: UTF-8, with a dot for each byte that is none.

    Newlines, tabs and backslashes are escaped; any other character that cannot be seen is a dot.
    """
    most = 2 * ROW_BYTES
    end = min(len(data), most)
    while end > most - 4 and len(data) > end and data[end] & 0xC0 == 0x80:
        end -= 1  # not within a character
    text = data[:end].decode("utf-8", "replace").replace("\ufffd", ".")
    shown = "".join(_ESCAPES.get(c, c if c.isprintable() else ".") for c in text)
    return f'"{shown}"' + "..." * (len(data) > most)


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}


def signal_name(status: int | None) -> str | None:
    """Name the signal of a negative exit status: -11 -> "SIGSEGV". None for any other status."""
    if status is None or status >= 0:
        return None
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
