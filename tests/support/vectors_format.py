"""Reads the byte vectors of tests/vectors/, whose README describes the format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DIRECTORY = Path(__file__).parents[1] / "vectors"


@dataclass
class Vector:
    """One vector. `values` is a list of pairs, of lists of pairs, of params or of messages, as its
    file's name says.
    """

    id: str = ""
    clauses: tuple[str, ...] = ()
    verdict: str = ""
    input: bytes = b""
    max_item: int = 1 << 30
    canonical: bool = True
    values: list = field(default_factory=list)
    error: str = ""
    offset: int = 0
    field: str = ""
    wanted: int = 0
    had: int = 0
    size: int = 0


def load(kind: str) -> list[Vector]:
    """Read the vectors of one file: kind is "pairs", "lists", "params" or "messages"."""
    text = (DIRECTORY / f"{kind}.txt").read_text(encoding="utf-8")
    vectors = [_vector(block) for block in text.split("\n\n")]
    return [vector for vector in vectors if vector.id]


def _vector(block: str) -> Vector:
    vector = Vector()
    target = vector.values  # where a pair goes: to the vector, or to the list begun last
    for line in block.splitlines():
        if line.startswith("#"):
            continue
        name, _, value = line.partition(":")
        words = value.split()
        match name:
            case "id" | "verdict" | "error" | "field":
                setattr(vector, name, value.strip())
            case "max_item" | "offset" | "wanted" | "had" | "size":
                setattr(vector, name, int(value))
            case "clause":
                vector.clauses = tuple(words)
            case "input":
                vector.input += _bytes(words)
            case "canonical":
                vector.canonical = value.strip() != "no"
            case "list":
                target = []
                vector.values.append(target)
            case "pair" | "param":
                target.append((_bytes(words[:1]), _bytes(words[1:])))
            case "pairs":
                target += [(_bytes(words[1:2]), _bytes(words[2:]))] * int(words[0])
            case "message":
                kind = "" if words[0] == "-" else words[0]
                target.append((kind, _bytes(words[1:2]), int(words[2])))
            case "note":
                pass
            case _:
                raise ValueError(f"vector {vector.id}: a line that is none of the format: {line!r}")
    return vector


def _bytes(tokens: list[str]) -> bytes:
    """Join hex tokens: "6b", "61*65536", "-"."""
    parts = []
    for token in tokens:
        digits, _, times = token.partition("*")
        parts.append(bytes.fromhex(digits.replace("-", "")) * int(times or 1))
    return b"".join(parts)
