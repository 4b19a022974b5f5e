"""`disco://host/path`: the file /path, where the host is this machine or left out, else http://host:8989/path.

`nodes` has it exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BufferedReader
from types import ModuleType

from kvproto.inputs.schemes import Input, Tell, files, nodes, web

__all__ = ["find", "open"]


def find(url: str, tell: Tell) -> Iterable[Input]:
    """What the file or the web address stands for."""
    module, there = _there(url)
    return module.find(there, tell)


def open(url: str, start: int, end: int | None) -> tuple[BufferedReader, int | None]:
    """The file or the body."""
    module, there = _there(url)
    return module.open(there, start, end)


def _there(url: str) -> tuple[ModuleType, str]:
    server, path = nodes.split(url)
    return (web, f"{server}/{path}") if server else (files, f"/{path}")
