"""The codecs that must agree, each with the same methods: the Python reference, the compiled one,
the C core.

KVPROTO_PURE=1 asks for the reference alone, so then the tests are for it alone. Otherwise all three
are under test, and one that is not built fails its tests: nothing is skipped in silence.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from kvproto import (
    ListDecoder,
    MessageParser,
    PairDecoder,
    ProtocolError,
    decode_params,
    encode_message,
    encode_params,
)
from kvproto.errors import ItemTooLarge, Truncated
from kvproto.protocol import native as _native
from kvproto.protocol import reference as _reference

NAMES = (
    ["reference"]
    if os.environ.get("KVPROTO_PURE", "") not in ("", "0")
    else ["reference", "native", "c"]
)

_ALL = (1 << 62) - 1
_FIELDS = ("num-pairs", "key size", "key", "value size", "value")  # as disco_field counts them


class Outcome(NamedTuple):
    """What a codec made of a stream: the values, and the fault, if any. `wanted` is also the size
    of an item too large.
    """

    values: list
    error: str = ""
    offset: int = 0
    field: str = ""
    wanted: int = 0
    had: int = 0


class ReferencePairDecoder(PairDecoder):
    """PairDecoder over the reference primitives, whatever is built."""

    def _scan(self, data, out):
        return _reference.scan_pairs(data, 0, _ALL, self.max_item, out)


class ReferenceListDecoder(ListDecoder):
    """ListDecoder over the reference primitives, whatever is built."""

    def _scan(self, data, out):
        position, self._pairs, self._pairs_left, fault = _reference.scan_lists(
            data, 0, self._pairs, self._pairs_left, self.max_item, out
        )
        return position, fault


class Reference:
    """The codec in pure Python."""

    primitives = _reference
    pair_decoder = ReferencePairDecoder
    list_decoder = ReferenceListDecoder

    def pairs(self, chunks, max_item: int) -> Outcome:
        return _decoded(self.pair_decoder(max_item=max_item), chunks)

    def lists(self, chunks, max_item: int) -> Outcome:
        return _decoded(self.list_decoder(max_item=max_item), chunks)

    def params(self, data: bytes) -> Outcome:
        try:
            return Outcome(list(decode_params(data).items()))
        except Truncated as e:
            return Outcome([], "Truncated", e.offset, e.field, e.wanted, e.had)
        except ProtocolError as e:
            return Outcome([], type(e).__name__, e.offset, e.field)

    def messages(self, chunks) -> list[tuple[str, bytes, int]]:
        parser = MessageParser()
        messages = [message for chunk in chunks for message in parser.feed(chunk)]
        return [tuple(message) for message in messages + parser.close()]

    def encode_pairs(self, pairs, max_item: int) -> bytes | None:
        """The bytes, or None when an item is over the limit."""
        try:
            return self.primitives.pack_pairs(pairs, max_item)[0]
        except ValueError:
            return None

    def encode_list(self, pairs, max_item: int) -> bytes | None:
        frames = self.encode_pairs(pairs, max_item)
        return None if frames is None else struct.pack("<I", len(pairs)) + frames

    def encode_params(self, params: dict[bytes, bytes]) -> bytes:
        return encode_params(params)

    def encode_message(self, kind: str, text: bytes) -> bytes:
        return encode_message(kind, text)


class Native(Reference):
    """The codec as users get it where the compiled module is built."""

    primitives = _native
    pair_decoder = PairDecoder
    list_decoder = ListDecoder


class C:
    """The C core, as a C program calls it. Its fields and offsets are those of disco_walk."""

    def pairs(self, chunks, max_item: int) -> Outcome:
        outcome, frames, _ = self._walk(chunks, False, max_item)
        return outcome._replace(values=self._frames(frames, max_item))

    def lists(self, chunks, max_item: int) -> Outcome:
        """Values are one flat list of pairs and, as its last element, the number of
        complete lists.
        """
        outcome, frames, n_lists = self._walk(chunks, True, max_item)
        return outcome._replace(values=[*self._frames(frames, max_item), n_lists])

    def params(self, data: bytes) -> Outcome:
        lib, new = _native.lib, _native.ffi.new
        total, at = new("uint32_t *"), new("size_t *")
        source = _native.ffi.from_buffer(data)
        status = lib.disco_params_head(source, len(data), total, at)
        if status == lib.DISCO_MORE:
            return Outcome([], "Truncated", 0, "total", len(data) + 1, len(data))
        if status != lib.DISCO_OK:
            return Outcome([], "ParamsError", at[0])
        head = at[0]
        if len(data) - head < total[0]:
            return Outcome([], "Truncated", head, "parameter set", total[0], len(data) - head)
        values = {}
        key, value = new("disco_slice *"), new("disco_slice *")
        at[0] = 0
        while at[0] < total[0]:
            if lib.disco_params_entry(source + head, total[0], at, key, value) != lib.DISCO_OK:
                return Outcome([], "ParamsError", head + at[0])
            values[_bytes(key)] = _bytes(value)
        end = head + total[0]
        return Outcome([], "ParamsError", end) if len(data) > end else Outcome(list(values.items()))

    def messages(self, chunks) -> list[tuple[str, bytes, int]]:
        lib, new = _native.lib, _native.ffi.new
        parser, message = new("disco_message_parser *"), new("disco_message *")
        consumed, messages = new("size_t *"), []

        def take() -> None:
            kind = ("", "MSG", "ERR")[message.kind]
            messages.append((kind, _bytes(message.text), message.n_cut))

        lib.disco_messages_start(parser)
        for chunk in chunks:
            source, at = _native.ffi.from_buffer(chunk), 0
            while at < len(chunk):
                status = lib.disco_decode_message(
                    parser, source + at, len(chunk) - at, message, consumed
                )
                at += consumed[0]
                if status == lib.DISCO_OK:
                    take()
        if lib.disco_decode_last_message(parser, message) == lib.DISCO_OK:
            take()
        assert lib.disco_decode_last_message(parser, message) == lib.DISCO_END
        return messages

    def encode_pairs(self, pairs, max_item: int) -> bytes | None:
        encode = _native.lib.disco_encode_pair
        parts = [_encoded(encode, *_sized(key), *_sized(value), max_item) for key, value in pairs]
        return None if None in parts else b"".join(parts)

    def encode_list(self, pairs, max_item: int) -> bytes | None:
        frames = self.encode_pairs(pairs, max_item)
        head = _encoded(_native.lib.disco_encode_list_head, len(pairs))
        return None if frames is None else head + frames

    def encode_params(self, params: dict[bytes, bytes]) -> bytes:
        encode = _native.lib.disco_encode_params_entry
        entries = [
            _encoded(encode, *_sized(name), *_sized(value)) for name, value in params.items()
        ]
        body = b"".join(entries)
        return _encoded(_native.lib.disco_encode_params_head, len(body)) + body

    def encode_message(self, kind: str, text: bytes) -> bytes:
        return _encoded(
            _native.lib.disco_encode_message, ("", "MSG", "ERR").index(kind), *_sized(text)
        )

    def _walk(self, chunks, with_lists: bool, max_item: int) -> tuple[Outcome, bytes, int]:
        lib, ffi = _native.lib, _native.ffi
        walker = ffi.new("disco_walker *")
        lib.disco_walk_start(walker, with_lists, max_item)
        frames, status = [], lib.DISCO_OK
        for chunk in chunks:
            kept, n_kept = ffi.new("unsigned char[]", max(1, len(chunk))), ffi.new("size_t *")
            status = lib.disco_walk(walker, ffi.from_buffer(chunk), len(chunk), kept, n_kept)
            frames.append(bytes(ffi.buffer(kept, n_kept[0])))
            if status == lib.DISCO_TOO_LARGE:
                break
        outcome = Outcome([])
        if status != lib.DISCO_OK:
            error, had = (
                ("Truncated", walker.had) if status == lib.DISCO_MORE else ("ItemTooLarge", 0)
            )
            outcome = Outcome(
                [], error, walker.field_offset, _FIELDS[walker.field], walker.wanted, had
            )
        return outcome, b"".join(frames), walker.n_lists

    def _frames(self, frames: bytes, max_item: int) -> list:
        lib, new = _native.lib, _native.ffi.new
        key, value, consumed = new("disco_slice *"), new("disco_slice *"), new("size_t *")
        source, at, values = _native.ffi.from_buffer(frames), 0, []
        while (
            lib.disco_decode_pair(source + at, len(frames) - at, max_item, key, value, consumed)
            == lib.DISCO_OK
        ):
            values.append((_bytes(key), _bytes(value)))
            at += consumed[0]
        return values


def codec_named(name: str):
    """The codec called reference, native or c. Raises RuntimeError where it is not built."""
    if name != "reference" and not _native.NATIVE:
        raise RuntimeError(
            f"the {name} codec is not built, so nothing here tests it: run `make build`, "
            "or set KVPROTO_PURE=1 to test the reference alone"
        )
    return {"reference": Reference, "native": Native, "c": C}[name]()


def agrees(codec, kind: str, outcome: Outcome, expected: Outcome) -> bool:
    """Does the outcome say what is expected? `kind` is "pairs", "lists" or "params"; C gives lists
    in a form of its own.
    """
    if isinstance(codec, C) and kind == "lists":
        *pairs, n_lists = outcome.values
        due = [pair for pairs_of_list in expected.values for pair in pairs_of_list]
        whole = (
            pairs == due if not expected.error else pairs[: len(due)] == due
        )  # and those of the list under way
        return whole and n_lists == len(expected.values) and outcome[1:] == expected[1:]
    if isinstance(codec, C) and kind == "params" and expected.error == "ParamsError":
        expected = expected._replace(field="")  # C says where, not what
    return outcome == expected


def _decoded(decoder, chunks) -> Outcome:
    values = []
    try:
        for chunk in chunks:
            values += decoder.feed(chunk)
        decoder.close()
    except Truncated as e:
        return Outcome(values, "Truncated", e.offset, e.field, e.wanted, e.had)
    except ItemTooLarge as e:
        return Outcome(values + e.decoded, "ItemTooLarge", e.offset, e.field, e.size, 0)
    return Outcome(values)


def _sized(data: bytes) -> tuple[bytes, int]:
    return data, len(data)


def _encoded(encode, *arguments) -> bytes | None:
    """What an encoder of C writes, measured first; None when it is too large.

    It must write into exactly the room that it needs, and nothing into less.
    """
    lib, ffi = _native.lib, _native.ffi
    n_bytes = ffi.new("size_t *")
    status = encode(*arguments, ffi.NULL, 0, n_bytes)
    if status == lib.DISCO_TOO_LARGE:
        return None
    assert status == lib.DISCO_NO_ROOM
    size = n_bytes[0]
    out = ffi.new("unsigned char[]", b"\xa5" * (size + 8))
    assert encode(*arguments, out, size - 1, n_bytes) == lib.DISCO_NO_ROOM
    assert (n_bytes[0], ffi.buffer(out)[size - 1 : size]) == (size, b"\xa5")
    assert encode(*arguments, out, size, n_bytes) == lib.DISCO_OK
    assert (n_bytes[0], ffi.buffer(out)[size : size + 8]) == (size, b"\xa5" * 8)
    return bytes(ffi.buffer(out, size))


def _bytes(piece) -> bytes:
    return bytes(_native.ffi.buffer(piece.data, piece.n_bytes))
