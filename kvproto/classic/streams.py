"""The streams of inputs and outputs; `kvproto.inputs.streams` defines these names."""

from kvproto.inputs.streams import (
    InputStream,
    OutputStream,
    chain_input,
    chain_output,
)

__all__ = [
    "InputStream",
    "OutputStream",
    "chain_input",
    "chain_output",
]
