"""The words of the public names.

vocabulary.txt lists them, so that a new word is a decision: is there none in the list, or in the
field, that says the same? docs/glossary.md says what the words of the field mean here.
"""

import ast
import re
from pathlib import Path

import kvproto

PACKAGE = Path(kvproto.__file__).parent
VOCABULARY = Path(__file__).parent / "vocabulary.txt"
NOT_NAMES = {"found", "told", "given", "held"}
"""They say what happened to a thing, not what it is."""


def names(tree):
    """All names that a module defines."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def public_names(tree):
    """The functions and classes of a module, their parameters, methods and fields."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name
            for part in [node, *(node.body if isinstance(node, ast.ClassDef) else [])]:
                if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                    yield part.name
                    yield from (
                        each.arg for each in ast.walk(part.args) if isinstance(each, ast.arg)
                    )
                elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    yield part.target.id


def words(name):
    return {word.lower() for word in re.findall(r"[a-z]+|[A-Z]+[a-z]*", name)}


def trees():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_the_words_of_public_names_are_those_of_the_vocabulary():
    used = {word for _, tree in trees() for name in public_names(tree) for word in words(name)}
    known = set(VOCABULARY.read_text(encoding="utf-8").split())
    assert sorted(used - known) == [], "new words: see the beginning of this file"
    assert sorted(known - used) == [], "words that no name has any more"


def test_no_name_says_only_what_happened_to_a_thing():
    wrong = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path, tree in trees()
        for name in names(tree)
        if words(name) & NOT_NAMES
    ]
    assert wrong == []
