"""README.md and the pages of docs/, as text and as blocks of code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    """The text of "README.md", or of a page such as "docs/jobs.md"."""
    return (ROOT / name).read_text()


def guides() -> list[str]:
    """The names of the guides, in the order in which docs/index.md lists them."""
    listed = page("docs/index.md").partition(":caption: Guides\n:hidden:\n")[2].partition("```")[0]
    return [f"docs/{name}.md" for name in listed.split()]


def blocks(name: str) -> list[tuple[str, str]]:
    """The language and the text of each block of code of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def table(name: str, head: str) -> str:
    """The table of a page that begins with `head`."""
    text = page(name)
    return text[text.index(head) :].split("\n\n")[0]
