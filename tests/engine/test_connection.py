"""Messages between a driver and a task process arrive whole, or the end is an error."""

import os
import threading

import pytest

from kvproto.engine.connection import Connection


@pytest.mark.parametrize("message", [b"", b"x", bytes(range(256)) * 10_000])
def test_a_message_of_any_size_arrives_whole(message):
    ours, theirs = Connection.pair()
    with ours, theirs:
        sender = threading.Thread(target=lambda: [theirs.send(message), theirs.send(b"next")])
        sender.start()
        assert ours.receive() == message
        assert ours.receive() == b"next"
        sender.join()


@pytest.mark.parametrize("begun", [b"", b"\0" * 7, b"\0" * 7 + b"\3" + b"ab"])
def test_the_end_of_the_other_side_is_an_error_also_within_a_message(begun):
    ours, theirs = Connection.pair()
    with ours:
        os.write(theirs.fileno(), begun)
        theirs.close()
        with pytest.raises(EOFError):
            ours.receive()
        with pytest.raises(OSError):
            ours.send(b"x")
