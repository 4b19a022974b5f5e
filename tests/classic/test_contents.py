"""Programs and files given by their contents, as bytes or as text that was read from them."""

import shutil
from pathlib import Path

import pytest
from support.jobs import ECHO, program, results

from kvproto import ExternalProgram
from kvproto.classic import Job
from kvproto.classic.func import nop_map
from kvproto.errors import FilesError

ELF = b"\x7fELF\x02\r\n\xff\xfe\x00\xe9\n"


@pytest.mark.parametrize(
    "text",
    [
        ELF.decode("utf-8", "surrogateescape"),
        ELF.decode("latin-1"),
    ],
    ids=["surrogateescape", "latin-1"],
)
def test_a_binary_that_was_read_as_text_without_loss_is_its_bytes_again(text):
    assert ExternalProgram({"op": text})._files["op"] == ELF


def test_a_real_program_read_as_text_runs():
    with open(shutil.which("cat"), encoding="latin-1", newline="") as file:
        program = ExternalProgram({"op": file.read()}, params=None)
    assert program._files["op"].startswith(b"\x7fELF")
    with open(shutil.which("cat"), "rb") as file:
        assert program._files["op"] == file.read()


def test_a_script_keeps_its_bytes(tmp_path):
    first, rest = Path(program(tmp_path, ECHO)).read_text().split("\n", 1)
    # which is no UTF-8, as Python would see
    script = f"{first}\n# -*- coding: latin-1 -*- \udcff\n{rest}"
    assert results(input=["raw://a"], map={"op": script}) == [(b"", b"a")]


@pytest.mark.parametrize(
    "text, why",
    [
        (
            ELF.decode("latin-1").replace("\r\n", "\n"),
            "is a binary that was read as text, which changed its line ends",
        ),
        ("#!/bin/sh\n\ud800", "cannot be written as bytes: '.ud800' at character 10"),
    ],
)
def test_text_that_has_lost_bytes_is_refused_with_how_to_read_it(text, why, home):
    with pytest.raises(FilesError, match=f"'op' .*{why}.*open\\(path, 'rb'\\)"):
        ExternalProgram({"op": text})
    with pytest.raises(FilesError, match=f"map: the file 'op' {why}"):
        Job("x").run(input=["raw://a"], map={"op": text})
    with pytest.raises(FilesError, match=f"required_files: a {why}"):
        Job("x").run(input=["raw://a"], map=nop_map, required_files={"a": text})
    assert not home.exists()


def test_required_files_keep_bytes_that_are_no_text():
    def read(e, params):
        with open("some", "rb") as file:
            return [(file.read(), "")]

    assert results(input=["raw://a"], map=read, required_files={"some": "a\udcff"}) == [
        (b"a\xff", "")
    ]
