"""Inputs and outputs of tasks: functions for the stream chains of a job, and readers.

They are defined in `kvproto.inputs.readers` and `kvproto.inputs.streams`.
"""

from kvproto.inputs import readers
from kvproto.inputs.readers import *  # noqa: F403 (the names are listed once, there)
from kvproto.inputs.streams import InputStream, OutputStream, chain_input, chain_output

__all__ = ["InputStream", "OutputStream", "chain_input", "chain_output"]
__all__ += readers.__all__
