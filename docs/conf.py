"""Configuration of Sphinx: `make docs` builds these pages into build/docs."""

import re

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import kvproto

project = "kvproto"
version = release = kvproto.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns: list[str] = []

default_role = "code"  # docstrings write `name`, as Markdown does
napoleon_google_docstring = False
napoleon_use_ivar = True  # else attributes that have a docstring too are there twice
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"kvproto {version}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_theme_options = {
    "light_css_variables": {"font-stack": "system-ui, sans-serif"},
}

CLAUSE = re.compile(r"[A-Z]+-[0-9]+$")


def give_clauses_an_address(app: Sphinx, document: nodes.document) -> None:
    """Let protocol.html#MAP-4 lead to that clause."""
    for strong in document.findall(nodes.strong):
        if CLAUSE.match(strong.astext()):
            strong["ids"].append(strong.astext())


def setup(app: Sphinx) -> None:
    app.add_lexer("hexdump", TextLexer)  # the dumps of PROTOCOL.md say what each field is
    app.connect("doctree-read", give_clauses_an_address)
