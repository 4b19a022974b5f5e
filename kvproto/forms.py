"""The forms that pairs take outside the wire, lines and text, to frames and back, piece by piece; see `jsonl` too.

Every function is a generator from an iterable of bytes, cut anywhere, to an iterable of bytes; frames are
bare pairs. Holds one piece and what of it is incomplete. No I/O; the forms are kvproto's own, no clause says them.

lines   each line, its newline included, is the value of an empty key
text    key, tab, value, newline; made for people and for sort(1): the first tab ends the key, and what holds
        tabs and newlines of its own needs another form
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvproto.errors import DataError
from kvproto.inputs.lines import checked_lines
from kvproto.protocol.frames import MAX_ITEM, PairDecoder, encode_pairs
from kvproto.protocol.native import frame_lines

__all__ = [
    "decoded_pairs",
    "frames_from_lines",
    "frames_from_text",
    "text_from_frames",
    "whole_lines",
]


def frames_from_lines(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Frame each line, its newline included, as the value of an empty key; a last line without newline too.

    A byte order mark before the first line is dropped. Raises as `whole_lines` does, and DataError for data that has no
    lines, such as compressed data.
    """
    for lines in whole_lines(checked_lines(pieces, "the input"), max_item):
        yield frame_lines(lines, True)[0]


def frames_from_text(pieces: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Frame each line: the key up to its first tab, the value behind it, without newline; no tab: an empty value.

    Raises as `whole_lines` does.
    """
    for lines in whole_lines(pieces, max_item):
        ended = lines[:-1] if lines.endswith(b"\n") else lines
        yield encode_pairs(
            [line.partition(b"\t")[::2] for line in ended.split(b"\n")], max_item=max_item
        )


def text_from_frames(frames: Iterable[bytes], *, max_item: int = MAX_ITEM) -> Iterator[bytes]:
    """Write each pair as key, tab, value, newline; the bytes of both as they are."""
    for pairs in decoded_pairs(frames, max_item):
        yield b"".join([b"%b\t%b\n" % pair for pair in pairs])


def whole_lines(pieces: Iterable[bytes], max_item: int) -> Iterator[bytes]:
    """Cut behind newlines: each block is one or more whole lines; the last one may lack its newline.

    Raises DataError for a line that grows beyond max_item bytes before it ends.
    """
    unended: list[bytes] = []
    n_unended = 0
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield b"".join([*unended, piece[:end]])
            unended, n_unended = [], 0
        unended.append(piece[end:])
        n_unended += len(piece) - end
        if n_unended > max_item:
            raise DataError(
                f"a line of more than {max_item} bytes in the input; raise max_item if that is meant"
            )
    if n_unended:
        yield b"".join(unended)


def decoded_pairs(frames: Iterable[bytes], max_item: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """Decode frames; one list for each piece. Raises as `decode_pairs` does."""
    decoder = PairDecoder(max_item=max_item)
    for frame in frames:
        yield decoder.feed(frame)
    decoder.close()
