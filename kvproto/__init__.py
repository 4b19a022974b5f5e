"""Programs in any language as map and reduce functions, over the Disco external interface.

The codec is here: pairs, result lists, parameters and messages, to bytes and back. The driver is
`ExternalProgram`. Jobs are in `kvproto.classic`, the conformance kit is `kvproto.conformance`.
PROTOCOL.md is the normative text.
"""

from kvproto import _standard as _standard  # first: it decides what the other imports find

# isort: split
import importlib
from typing import TYPE_CHECKING

from kvproto.errors import KVProtoError, ProtocolError, WorkerError
from kvproto.protocol.frames import (
    MAX_ITEM,
    ListDecoder,
    PairDecoder,
    decode_lists,
    decode_pairs,
    encode_list,
    encode_pair,
    encode_pairs,
)
from kvproto.protocol.messages import Message, MessageParser, encode_message
from kvproto.protocol.params import decode_params, encode_params

if TYPE_CHECKING:
    from kvproto.driver.files import external
    from kvproto.driver.program import ExternalProgram

__all__ = [
    "MAX_ITEM",
    "ExternalProgram",
    "KVProtoError",
    "ListDecoder",
    "Message",
    "MessageParser",
    "PairDecoder",
    "ProtocolError",
    "WorkerError",
    "decode_lists",
    "decode_pairs",
    "decode_params",
    "encode_list",
    "encode_message",
    "encode_pair",
    "encode_pairs",
    "encode_params",
    "external",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the driver on first use: the codec and most task processes do not need it."""
    if name not in ("ExternalProgram", "external"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("kvproto.driver.program"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
