"""The web as input, from real servers on loopback.

Whole bodies, broken ones continued, refusals tried again; never a short one.
"""

import email.utils
import os
import re
import socket
import struct
import time

import pytest
from support.web_server import answer, chunked, page, serving

from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import open_input, web

BODY = b"".join(b"line %d of the body\n" % number for number in range(20_000))
CUT = 150_000


def read(url):
    """The data behind url, the size that was announced, and the pauses that reading it took."""
    pauses = []
    file, size = web.open(url, 0, None, sleep=pauses.append)
    with file:
        return file.read(), size, pauses


@pytest.mark.documented("3 input: http:// is any address")
def test_a_body_is_read_with_its_length_in_chunks_and_to_the_end_of_the_connection():
    pages = {
        "/length": page(BODY),
        "/chunks": lambda handler, number: chunked(handler, [BODY[:10], BODY[10:CUT], BODY[CUT:]]),
        "/neither": page(BODY, length=False),
        "/empty": page(b""),
    }
    with serving(pages) as server:
        assert read(f"{server.url}/length") == (BODY, len(BODY), [])
        assert read(f"{server.url}/chunks") == (BODY, None, [])
        assert read(f"{server.url}/neither") == (BODY, None, [])
        assert read(f"{server.url}/empty") == (b"", 0, [])
        with open_input(f"{server.url}/length")[0] as file:
            assert file.read() == BODY


def broken(
    *, etag='"one"', cut=CUT, honest=True, in_chunks=False, give_range=True, etag_then=None, shift=0
):
    """A page that breaks off after `cut` bytes the first time, and then gives ranges, or something
    else.
    """

    def give(handler, number):
        headers = {"ETag": etag} if etag else {}
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if number == 1 and in_chunks:
            chunked(handler, [BODY[:cut]], is_whole=False, **headers)
        elif number == 1:
            answer(handler, BODY[:cut], length=len(BODY), **headers)
        elif asked and give_range and handler.headers.get("If-Range") == (etag_then or etag):
            start = int(asked[1]) + shift
            headers["Content-Range"] = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
            answer(handler, BODY[start:], 206, **headers)
        else:
            answer(handler, BODY, **headers)

    return give


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_connection_that_breaks_inside_a_body_is_continued_by_a_range_of_the_same_entity(
    in_chunks,
):
    with serving({"/": broken(in_chunks=in_chunks)}) as server:
        data, _, pauses = read(f"{server.url}/")
        assert data == BODY
        assert pauses == [0.5]
        [_, (_, headers)] = server.requests
        assert headers["If-Range"] == '"one"'
        assert headers["Range"] == f"bytes={CUT}-"


def test_without_an_etag_the_time_of_the_last_change_tells_the_entity():
    def give(handler, number):
        headers = {"Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT", "ETag": 'W/"weak"'}
        if number == 1:
            answer(handler, BODY[:CUT], length=len(BODY), **headers)
        else:
            assert handler.headers["If-Range"] == headers["Last-Modified"]
            content_range = f"bytes {CUT}-{len(BODY) - 1}/{len(BODY)}"
            answer(handler, BODY[CUT:], 206, Content_Range=content_range, **headers)

    with serving({"/": give}) as server:
        assert read(f"{server.url}/")[0] == BODY


def test_a_body_that_breaks_again_and_again_is_continued_as_long_as_bytes_come():
    def give(handler, number):
        start = (number - 1) * 50_000
        headers = {"ETag": '"one"'}
        if number > 1:
            assert handler.headers["Range"] == f"bytes={start}-"
            headers["Content-Range"] = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        answer(
            handler,
            BODY[start : start + 50_000],
            206 if number > 1 else 200,
            length=len(BODY) - start,
            **headers,
        )

    with serving({"/": give}) as server:
        data, _, pauses = read(f"{server.url}/")
        assert data == BODY
        assert len(pauses) == len(BODY) // 50_000
        assert set(pauses) == {0.5}


def test_a_body_that_stands_still_is_given_up_after_five_breaks():
    def give(handler, number):
        headers = (
            {"Content-Range": f"bytes {CUT}-{len(BODY) - 1}/{len(BODY)}"} if number > 1 else {}
        )
        sent = BODY[:CUT] if number == 1 else b""
        answer(
            handler,
            sent,
            206 if number > 1 else 200,
            length=len(BODY) - CUT * (number > 1),
            ETag='"one"',
            **headers,
        )

    with serving({"/": give}) as server:
        with pytest.raises(
            DataError, match=f"input {server.url}/: .* after {CUT} bytes; 5 times in a row"
        ):
            read(f"{server.url}/")
        assert len(server.requests) == 5


@pytest.mark.parametrize(
    "wicked, says",
    [
        (broken(etag=None), "without ETag or Last-Modified"),
        (broken(etag=None, in_chunks=True), "without ETag or Last-Modified"),
        (broken(give_range=False), "changed, or the server gives no ranges"),
        (broken(etag_then='"two"'), "changed, or the server gives no ranges"),
        (broken(shift=7), "another part or other data"),
        (broken(shift=-7), "another part or other data"),
    ],
)
def test_a_body_that_cannot_be_continued_is_an_error_that_says_why(wicked, says):
    with (
        serving({"/": wicked}) as server,
        pytest.raises(
            DataError,
            match=f"input {server.url}/: the connection ended .* after {CUT} bytes; .*{says}",
        ),
    ):
        read(f"{server.url}/")


@pytest.mark.parametrize(
    "headers", [{"ETag": '"two"'}, {"Content_Range": f"bytes {CUT}-{len(BODY)}/{len(BODY) + 1}"}]
)
def test_a_range_of_other_data_is_refused_though_the_server_gives_it(headers):
    def give(handler, number):
        if number == 1:
            answer(handler, BODY[:CUT], length=len(BODY), ETag='"one"')
        else:
            answer(
                handler,
                BODY[CUT:],
                206,
                **{"Content_Range": f"bytes {CUT}-{len(BODY) - 1}/{len(BODY)}", **headers},
            )

    with (
        serving({"/": give}) as server,
        pytest.raises(DataError, match="another part or other data"),
    ):
        read(f"{server.url}/")


def test_a_rest_that_is_refused_is_worth_another_try_of_the_task():
    def give(handler, number):
        if number == 1:
            answer(handler, BODY[:CUT], length=len(BODY), ETag='"one"')
        else:
            answer(handler, b"", 416)

    with (
        serving({"/": give}) as server,
        pytest.raises(
            DataError, match=f"after {CUT} bytes; the request for the rest failed: .*416"
        ),
    ):
        read(f"{server.url}/")


def test_a_server_that_is_busy_is_asked_again_with_pauses_that_double():
    with serving(
        {"/": lambda handler, number: answer(handler, BODY, 503 if number < 4 else 200)}
    ) as server:
        assert read(f"{server.url}/") == (BODY, len(BODY), [0.5, 1.0, 2.0])


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_status_that_another_try_may_mend_is_tried_five_times(status):
    pauses = []
    with serving({"/": page(status=status)}) as server:
        with pytest.raises(
            DataError, match=f"input {server.url}/: HTTP Error {status}: .*; 5 attempts"
        ):
            web.open(f"{server.url}/", 0, None, sleep=pauses.append)
        assert len(server.requests) == 5
    assert pauses == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_status_that_is_the_request_s_own_fault_is_final(status):
    with serving({"/": page(status=status)}) as server:
        with pytest.raises(JobError, match=f"input {server.url}/: .*{status}"):
            read(f"{server.url}/")
        assert len(server.requests) == 1


def test_a_server_says_how_long_to_wait_up_to_a_minute():
    asked = ["7", "86400", "soon", email.utils.formatdate(time.time() + 30, usegmt=True)]

    def give(handler, number):
        if number <= len(asked):
            answer(handler, b"", 429, Retry_After=asked[number - 1])
        else:
            answer(handler, BODY)

    with serving({"/": give}) as server:
        data, _, pauses = read(f"{server.url}/")
    assert data == BODY
    assert pauses[:3] == [7, 60, 2]
    assert 4 < pauses[3] <= 30


def test_a_server_that_is_not_there_yet_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    pauses = []
    with pytest.raises(DataError, match=f"input {url}: .*Connection refused; 5 attempts"):
        web.open(url, 0, None, sleep=pauses.append)
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_a_connection_that_is_closed_without_an_answer_is_tried_again():
    def give(handler, number):
        if number > 2:
            answer(handler, BODY)

    with serving({"/": give}) as server:
        assert read(f"{server.url}/") == (BODY, len(BODY), [0.5, 1.0])


def test_a_server_that_says_nothing_is_tried_again(monkeypatch):
    monkeypatch.setattr(web, "_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DataError, match=f"input {url}: .*timed out; 5 attempts"):
            read(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:port/", "http://[::1/", "http://"])
def test_what_is_no_address_is_an_error_that_names_it(url):
    with pytest.raises(JobError, match=re.escape(f"input {url}: ")):
        open_input(url)


def test_a_connection_that_is_reset_is_never_the_end_of_a_body():
    def give(handler, number):
        answer(handler, BODY[:CUT], length=False)
        handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(handler.connection.detach())  # with that option: reset, not ended

    with (
        serving({"/": give}) as server,
        pytest.raises(DataError, match=f"input {server.url}/: ConnectionResetError.*without ETag"),
    ):
        read(f"{server.url}/")
