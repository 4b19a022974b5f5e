"""A program that uses kvproto, as a type checker sees it: nothing of it is Any."""

from typing import assert_type

import kvproto
from kvproto import (
    MAX_ITEM,
    ExternalProgram,
    ListDecoder,
    Message,
    MessageParser,
    PairDecoder,
    WorkerError,
    decode_lists,
    decode_pairs,
    decode_params,
    encode_list,
    encode_message,
    encode_pair,
    encode_pairs,
    encode_params,
    external,
)
from kvproto.errors import JobError, ProtocolError, WorkerHung

Pair = tuple[bytes, bytes]


def codec(data: bytearray) -> None:
    assert_type(encode_pair("key", b"value", max_item=MAX_ITEM), bytes)
    assert_type(encode_pairs([("key", b"value"), (b"k", "v")]), bytes)
    assert_type(encode_list(iter([("key", "value")])), bytes)
    assert_type(decode_pairs(data), list[Pair])
    assert_type(decode_lists(memoryview(data)), list[list[Pair]])
    assert_type(encode_params({"key": "value"}), bytes)
    assert_type(encode_params({b"key": b"value"}), bytes)
    assert_type(encode_params(None), bytes)
    assert_type(decode_params(data), dict[bytes, bytes])
    assert_type(encode_message("MSG", "text"), bytes)
    pairs, lists, messages = PairDecoder(max_item=100), ListDecoder(), MessageParser()
    assert_type(pairs.feed(data), list[Pair])
    assert_type(lists.feed(data), list[list[Pair]])
    assert_type(lists.list_under_way(), tuple[int, int] | None)
    assert_type(pairs.offset, int)
    assert_type(messages.feed(data), list[Message])
    assert_type(messages.close()[0].text, bytes)


def driver(path: str) -> None:
    files = external([path])
    assert_type(files, dict[str, bytes])

    def show(message: Message) -> None:
        print(message)

    with ExternalProgram([path], params={"key": "value"}, on_message=show, total=10) as program:
        assert_type(program, ExternalProgram)
        for entry in program.map(["line", b"line", ("key", b"value")]):
            assert_type(entry, list[Pair])
        for pair in program.reduce([("key", "value")]):
            assert_type(pair, Pair)
        for frames in program.map_frames([b""]):
            assert_type(frames, bytes)
        program.pipe_frames("map", 0, lambda piece: print(len(piece)))
    try:
        list(ExternalProgram(files, idle=None).reduce_frames(0))
    except WorkerHung as e:
        assert_type(e.timeout, str)
    except WorkerError as e:
        assert_type(e.signal_name, str | None)
        assert_type(e.argv, tuple[str, ...])
        assert_type(e.pair_index, int | None)
    except ProtocolError as e:
        assert_type(e.offset, int)
    except JobError as e:
        assert_type(e.cause, BaseException | None)
        assert_type(e.task, tuple[str, int] | None)


assert_type(kvproto.__version__, str)
