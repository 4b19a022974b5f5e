"""The old `disco.worker.classic.netstring`, for worker programs in Python and who feeds them: str in and out, bytes on the wire.

str are UTF-8, any other bytes lone surrogates (`surrogateescape`). `kvproto.protocol.params` is the same for any bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kvproto.classic.disco_names.compat import bytes_to_str, str_to_bytes
from kvproto.errors import ParamsError, Truncated
from kvproto.protocol.params import MAX_PARAMS as MAX_PACKET_LEN
from kvproto.protocol.params import decode_params, encode_params

__all__ = [
    "MAX_LEN_STRING",
    "MAX_PACKET_LEN",
    "NetStringError",
    "decode_netstring_fd",
    "decode_netstring_str",
    "encode_netstring_fd",
    "encode_netstring_str",
]

MAX_LEN_STRING = 10
NetStringError = ParamsError


def encode_netstring_str(d: Iterable[tuple]) -> bytes:
    """Encode pairs, without the total before them."""
    sets = (encode_params({str_to_bytes(str(key)): str_to_bytes(str(value))}) for key, value in d)
    return b"".join(data.partition(b"\n")[2] for data in sets)


def encode_netstring_fd(d: Mapping) -> bytes:
    """Encode a parameter set, as a worker program reads it from stdin."""
    body = encode_netstring_str(d.items())
    return b"%d\n%b" % (len(body), body)


def decode_netstring_str(msg: str | bytes) -> list[tuple[str, str]]:
    """Decode pairs, without a total before them; of two with one key the last. NetStringError for what is malformed."""
    data = str_to_bytes(msg)
    params = decode_params(b"%d\n%b" % (len(data), data))
    return [(bytes_to_str(key), bytes_to_str(value)) for key, value in params.items()]


def decode_netstring_fd(fd) -> dict[str, str]:
    """Read one parameter set from a file, text or binary, and not a byte more. EOFError when it ends before that."""
    fd = getattr(fd, "buffer", fd)
    head = b""
    while not head.endswith(b"\n") and len(head) <= MAX_LEN_STRING:
        byte = str_to_bytes(fd.read(1))
        if not byte:
            raise EOFError("the file ends inside the total of a parameter set")
        head += byte
    total = head[:-1]
    body = (
        str_to_bytes(fd.read(int(total)))
        if total.isdigit() and int(total) <= MAX_PACKET_LEN
        else b""
    )
    try:
        params = decode_params(head + body)
    except Truncated as e:
        raise EOFError(str(e)) from e
    return {bytes_to_str(key): bytes_to_str(value) for key, value in params.items()}
