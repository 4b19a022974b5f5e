"""Finding and opening inputs by their urls, from `kvproto.inputs.schemes`."""

from kvproto.inputs.schemes import (
    SCHEMES,
    Input,
    Tell,
    find_inputs,
    known_form,
    open_input,
    tell,
)

__all__ = [
    "SCHEMES",
    "Input",
    "Tell",
    "find_inputs",
    "known_form",
    "open_input",
    "tell",
]

__path__: list[str] = []  # it was a package: `disco_names.names.MOVED` has its modules
