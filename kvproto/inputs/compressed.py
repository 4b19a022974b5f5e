"""What a job needs to know of compressed inputs before it reads them."""

from __future__ import annotations

from contextlib import suppress

from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import Input, open_input
from kvproto.inputs.unpacking import content_of

__all__ = ["check_content", "is_compressed"]


def is_compressed(one: Input) -> bool:
    """Whether an input or a replica of it is compressed; not if it cannot be read."""
    for url in (one.url, *one.replicas):
        with suppress(DataError, JobError), open_input(url)[0] as file:
            if content_of(file, f"input {url}") is not None:
                return True
    return False


def check_content(url: str) -> None:
    """Unpack an input to its end, if it is compressed. DataError if it is cut or damaged.

    Damage may be found long after the data that has it, when entries of that data have been used.
    So this comes before the first of several replicas is read.
    """
    with open_input(url)[0] as file:
        for _ in content_of(file, f"input {url}") or ():
            pass
