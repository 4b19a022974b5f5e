"""Inputs and outputs of tasks: functions for the stream chains of a job, and readers.

They are defined in `kvproto.inputs.readers` and `kvproto.inputs.streams`.
"""

from kvproto.inputs.readers import (
    chain_reader,
    chain_stream,
    default_stream,
    disco_input_stream,
    disco_output_stream,
    gzip_line_reader,
    gzip_line_stream,
    gzip_reader,
    gzip_stream,
    input_stream,
    map_input_stream,
    map_line_reader,
    map_output_stream,
    old_netstr_reader,
    output_stream,
    plain_output_stream,
    re_reader,
    reduce_input_stream,
    reduce_output_stream,
    string_input_stream,
    task_input_stream,
    task_output_stream,
)
from kvproto.inputs.streams import InputStream, OutputStream, chain_input, chain_output

__all__ = [
    "InputStream",
    "OutputStream",
    "chain_input",
    "chain_output",
    "chain_reader",
    "chain_stream",
    "default_stream",
    "disco_input_stream",
    "disco_output_stream",
    "gzip_line_reader",
    "gzip_line_stream",
    "gzip_reader",
    "gzip_stream",
    "input_stream",
    "map_input_stream",
    "map_line_reader",
    "map_output_stream",
    "old_netstr_reader",
    "output_stream",
    "plain_output_stream",
    "re_reader",
    "reduce_input_stream",
    "reduce_output_stream",
    "string_input_stream",
    "task_input_stream",
    "task_output_stream",
]
