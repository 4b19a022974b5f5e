"""Parameter sets: what a driver sends a worker before the first pair.

A dict becomes `<total>\\n` and then, for each pair, `<klen> <key> <vlen> <value>\\n`; total and
lengths are decimal and count bytes. str and bytes are sent unframed, None as nothing. No I/O.
Implements PARAMS and LIMITS-4 of PROTOCOL.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kvproto.errors import ParamsError, Truncated
from kvproto.protocol.reference import utf8

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["MAX_PARAMS", "Params", "decode_params", "encode_params"]

Params = (
    Mapping[str, str | bytes]
    | Mapping[bytes, str | bytes]
    | Mapping[str | bytes, str | bytes]
    | str
    | bytes
    | None
)
"""What `encode_params` takes."""

MAX_PARAMS = 1 << 30
"""The largest total of a parameter set: 1 GiB (LIMITS-4)."""

_MAX_DIGITS = 10
_TOTAL = "total"


def encode_params(params: Params) -> bytes:
    """Encode parameters.

    Parameters
    ----------
    params : dict, str, bytes or None
        A dict of str or bytes to str or bytes becomes a parameter set, each str as UTF-8; `{}`
        becomes ``b"0\\n"``. A str or bytes becomes raw parameters, without any framing (PARAMS-6).
        None becomes ``b""`` (PARAMS-7).

    Returns
    -------
    bytes

    Raises
    ------
    TypeError
        A value of another type; the message names the key.
    ValueError
        The set is over 1 GiB, UTF-8 cannot encode a str, or a name occurs as str and as bytes
        (PARAMS-8).
    """
    if params is None:
        return b""
    if isinstance(params, (bytes, str)):
        return _to_bytes(params, "the parameter string")
    if not isinstance(params, Mapping):
        raise TypeError(
            f"parameters must be a dict, str, bytes or None, not {type(params).__name__}"
        )
    entries: dict[bytes, bytes] = {}
    for key, value in params.items():
        name = _to_bytes(key, f"the parameter name {key!r}")
        encoded = _to_bytes(value, f"the value of parameter {key!r}")
        if name in entries:
            raise ValueError(f"the parameter name {key!r} occurs twice, as str and as bytes")
        entries[name] = b"%d %b %d %b\n" % (len(name), name, len(encoded), encoded)
    body = b"".join(entries.values())
    if len(body) > MAX_PARAMS:
        raise ValueError(f"the parameter set has {len(body)} bytes, but the limit is {MAX_PARAMS}")
    return b"%d\n%b" % (len(body), body)


def decode_params(data: Buffer) -> dict[bytes, bytes]:
    """Decode one whole parameter set.

    Parameters
    ----------
    data : bytes-like

    Returns
    -------
    dict of bytes to bytes
        The last of several entries with one name counts (PARAMS-8).

    Raises
    ------
    ParamsError
        The set is malformed, or bytes follow it; `offset` says where.
    Truncated
        The data ends inside the set.
    """
    data = bytes(memoryview(data))
    total, at = _number(data, 0, len(data), b"\n", _TOTAL)
    if total > MAX_PARAMS:
        raise ParamsError(
            f"the total at byte 0 announces {total} bytes, but the limit is {MAX_PARAMS}",
            offset=0,
            clause="LIMITS-4",
            field=_TOTAL,
        )
    end = at + total
    if len(data) < end:
        raise Truncated(
            field="parameter set", offset=at, wanted=total, had=len(data) - at, clause="PARAMS-5"
        )
    params = {}
    while at < end:
        key, at = _item(data, at, end, b" ", "parameter name")
        value, at = _item(data, at, end, b"\n", "parameter value")
        params[key] = value
    if len(data) > end:
        raise ParamsError(
            f"{len(data) - end} bytes follow the parameter set that ends at byte {end}",
            offset=end,
            clause="PARAMS-5",
            field="end",
        )
    return params


def _item(data: bytes, at: int, end: int, closing: bytes, field: str) -> tuple[bytes, int]:
    """Read `<length> <bytes><closing>` at `at`; return the bytes and the position after them."""
    size, start = _number(data, at, end, b" ", f"length of a {field}")
    stop = start + size
    if stop + 1 > end:
        raise ParamsError(
            f"the {field} at byte {start} has {size} bytes, "
            f"but the set ends {end - start} bytes later",
            offset=start,
            clause="PARAMS-5",
            field=field,
        )
    if data[stop : stop + 1] != closing:
        raise ParamsError(
            f"the {field} that ends at byte {stop} must be followed by {closing!r}, "
            f"not {data[stop : stop + 1]!r}",
            offset=stop,
            clause="PARAMS-2",
            field=field,
        )
    return data[start:stop], stop + 1


def _number(data: bytes, at: int, end: int, closing: bytes, field: str) -> tuple[int, int]:
    """Read 1 to 10 digits and the closing byte; return the number and the position after them."""
    stop = at
    while stop < end and stop - at < _MAX_DIGITS and data[stop : stop + 1].isdigit():
        stop += 1
    if stop == end:
        if field == _TOTAL:
            raise Truncated(
                field=field, offset=at, wanted=stop - at + 1, had=stop - at, clause="PARAMS-1"
            )
        raise ParamsError(
            f"the set ends inside the {field} at byte {at}",
            offset=at,
            clause="PARAMS-5",
            field=field,
        )
    if stop == at or data[stop : stop + 1] != closing:
        raise ParamsError(
            f"the {field} at byte {at} must be 1 to {_MAX_DIGITS} digits and {closing!r}, "
            f"but byte {stop} is {data[stop : stop + 1]!r}",
            offset=stop,
            clause="PARAMS-3",
            field=field,
        )
    return int(data[at:stop]), stop + 1


def _to_bytes(item: object, what: str) -> bytes:
    if isinstance(item, str):
        return utf8(item, what)
    if isinstance(item, bytes):
        return item
    raise TypeError(f"{what} must be str or bytes, not {type(item).__name__}")
