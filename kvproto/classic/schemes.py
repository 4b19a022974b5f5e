"""Find and open inputs by their urls; `kvproto.inputs.schemes` defines these names."""

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

__path__: list[str] = []  # this was a package; `disco_names.names.MOVED` has its modules
