"""The streams of inputs and outputs, from `kvproto.inputs.streams`."""

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
