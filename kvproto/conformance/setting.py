"""A setting: what a user says of the worker beforehand, and a case begins with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Setting", "parameter_set"]

Entry = tuple[bytes, bytes]


class Setting(NamedTuple):
    """How a worker is asked.

    mode     "map" or "reduce"
    params   tuple of (name, value), bytes: the parameters that it needs, `-p` of `kvproto check`
    """

    mode: str
    params: tuple[Entry, ...] = ()

    def head(self, *more: Entry) -> bytes:
        """The parameter set that a run begins with: the user's, and `more`, which win over them."""
        return parameter_set(
            [*(entry for entry in self.params if entry[0] not in dict(more)), *more]
        )


def parameter_set(entries: Iterable[Entry]) -> bytes:
    """A parameter set as it goes over the wire (PARAMS-1, PARAMS-2); the kit's own encoder."""
    body = b"".join(
        b"%d %b %d %b\n" % (len(name), name, len(value), value) for name, value in entries
    )
    return b"%d\n%b" % (len(body), body)
