"""Stderr lines: nothing lost, nothing changed, in whatever pieces they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto import Message, MessageParser, encode_message
from kvproto.protocol.messages import ERR, MAX_LINE, MSG

pieces = st.sampled_from(
    [
        b"**<MSG>",
        b"**<ERR>",
        b"**<ERR",
        b"*",
        b" ",
        b"\n",
        b"\n",
        b"\r",
        b"\0",
        b"text",
        b"\xff",
        b"x" * (MAX_LINE - 1),
    ]
)
streams = st.lists(pieces, max_size=12).map(b"".join)
line_texts = st.binary(max_size=8).map(lambda text: text.replace(b"\n", b""))
cuts = st.lists(st.integers(0, MAX_LINE + 40), max_size=6)


def messages_of(chunks) -> list[Message]:
    parser = MessageParser()
    return [message for chunk in chunks for message in parser.feed(chunk)] + parser.close()


def by_hand(line: bytes) -> Message:
    """What one line means, said in another way than the parser does it."""
    kind, text = "", line
    for tag in (b"**<MSG>", b"**<ERR>"):
        if line.startswith(tag):
            kind, text = tag[3:6].decode(), line.removeprefix(tag).removeprefix(b" ")
    return Message(kind, text[:MAX_LINE], len(text[MAX_LINE:]))


@pytest.mark.clause("STDERR-1", "STDERR-2", "STDERR-3", "STDERR-5", "STDERR-6", "LIMITS-3")
@given(data=streams, at=cuts)
def test_each_line_is_one_message_in_whatever_pieces(data, at):
    *lines, rest = data.split(b"\n")
    due = [by_hand(line) for line in lines + ([rest] if rest else [])]
    places = sorted(min(place, len(data)) for place in at)
    assert messages_of([data]) == due
    assert (
        messages_of(data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True))
        == due
    )


@pytest.mark.documented("10 every line has seven bytes of tag, and a newline at the end")
@pytest.mark.clause("STDERR-1", "STDERR-3", "STDERR-4")
@given(kind=st.sampled_from([MSG, ERR]), lines=st.lists(line_texts, min_size=1))
def test_a_message_of_several_lines_is_several_tagged_lines(kind, lines):
    encoded = encode_message(kind, b"\n".join(lines) + b"\n")
    assert encoded == b"".join(b"**<%b> %b\n" % (kind.encode(), line) for line in lines)
    assert messages_of([encoded]) == [Message(kind, line) for line in lines]


@pytest.mark.documented("10 MSG and ERR lines have the printed form")
@pytest.mark.clause("STDERR-1", "STDERR-4")
def test_how_messages_are_written():
    assert encode_message("MSG", "hi") == encode_message("MSG", "hi\n") == b"**<MSG> hi\n"
    assert encode_message("ERR", "a\n\nb") == b"**<ERR> a\n**<ERR> \n**<ERR> b\n"
    assert encode_message("MSG", "") == encode_message("MSG", "\n") == b"**<MSG> \n"
    assert encode_message("MSG", "é") == "**<MSG> é\n".encode()
    assert (
        encode_message("MSG", "a\ud800") == b"**<MSG> a\\ud800\n"
    )  # what is to be said is said, come what may


@pytest.mark.parametrize("kind", ["msg", "", "OUT", b"MSG", None])
def test_a_kind_that_is_none_is_refused(kind):
    with pytest.raises(ValueError, match="the kind of a message must be 'MSG' or 'ERR'"):
        encode_message(kind, "text")


@pytest.mark.parametrize("text", [None, 3, bytearray(b"text"), ["text"]])
def test_text_that_is_none_is_refused(text):
    with pytest.raises(TypeError, match=f"must be str or bytes, not {type(text).__name__}"):
        encode_message("MSG", text)


@pytest.mark.clause("STDERR-3")
def test_a_message_is_there_with_its_newline_and_the_last_one_at_the_end():
    parser = MessageParser()
    assert parser.feed(b"**<ER") == []
    assert parser.feed(b"R> no") == []
    assert parser.feed(b"\nre") == [Message("ERR", b"no")]
    assert parser.close() == [Message("", b"re")]
    assert parser.close() == []


@pytest.mark.clause("LIMITS-3", "STDERR-6")
def test_a_line_that_never_ends_takes_no_more_memory_than_the_limit_and_says_how_much_is_cut():
    parser = MessageParser()
    for _ in range(1000):
        assert parser.feed(b"x" * 10_000) == []
        assert len(parser._line) <= MAX_LINE + 8
    (message,) = parser.feed(b"\n")
    assert message == Message("", b"x" * MAX_LINE, 10_000_000 - MAX_LINE)
    assert str(message).endswith(f"x [{10_000_000 - MAX_LINE} more bytes cut]")


@pytest.mark.clause("STDERR-5")
def test_a_message_can_be_shown_whatever_bytes_it_has():
    assert str(Message("", b"a\xff\0")) == "a\\xff\0"
    assert str(Message("MSG", "é".encode())) == "é"


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_any_bytes_like_object_can_be_fed(make):
    assert messages_of([make(b"a\n"), make(b"b")]) == [Message("", b"a"), Message("", b"b")]


@pytest.mark.parametrize("wrong", ["text", 3, None, [10]])
def test_what_is_not_bytes_is_refused_and_changes_nothing(wrong):
    parser = MessageParser()
    parser.feed(b"a")
    with pytest.raises(TypeError):
        parser.feed(wrong)
    assert parser.feed(b"b\n") == [Message("", b"ab")]
