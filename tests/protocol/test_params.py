"""Parameter sets: what goes out for each thing ext_params may be, and what comes of any bytes."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.codecs_under_test import NAMES, agrees, codec_named

from kvproto import decode_params, encode_params, errors
from kvproto.protocol import params as netstring

every_codec = pytest.mark.parametrize("codec_name", [name for name in NAMES if name != "native"])

names = st.binary(max_size=8) | st.sampled_from([b"1 a", b" ", b"\n", b"10 ", b"x" * 100])
sets = st.dictionaries(names, names, max_size=6)
set_like = st.lists(
    st.sampled_from(
        [b"0", b"1", b"2", b"8", b"16", b"00", b" ", b" ", b"\n", b"\n", b"k", b"-", b"9999999999"]
    ),
    max_size=14,
).map(b"".join)
ill_counted = st.tuples(st.integers(0, 24), set_like).map(lambda parts: b"%d\n%b" % parts)


@pytest.mark.clause("PARAMS-1", "PARAMS-2", "PARAMS-5")
@every_codec
@given(params=sets)
def test_whatever_is_encoded_is_decoded_again(codec_name, params):
    outcome = codec_named(codec_name).params(encode_params(params))
    assert (outcome.values, outcome.error) == (list(params.items()), "")


@pytest.mark.clause("PARAMS-2", "PARAMS-3", "PARAMS-5")
@every_codec
@given(data=set_like | ill_counted)
def test_any_bytes_give_the_values_and_the_fault_of_the_reference(codec_name, data):
    due = codec_named("reference").params(data)
    assert agrees(codec_named(codec_name), "params", codec_named(codec_name).params(data), due)


@every_codec
@given(params=sets, at=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_set_with_one_byte_changed_gives_what_the_reference_gives(codec_name, params, at, byte):
    data = bytearray(encode_params(params))
    data[at % len(data)] = byte
    due = codec_named("reference").params(bytes(data))
    assert agrees(
        codec_named(codec_name), "params", codec_named(codec_name).params(bytes(data)), due
    )


@pytest.mark.documented("11 a dictionary of strings is sent as netstrings, pair after pair")
@pytest.mark.clause("PARAMS-1", "PARAMS-2", "PARAMS-4")
def test_a_dict_goes_out_as_a_set_that_counts_bytes():
    assert encode_params({"k": "v", "naïve": "é\n"}) == "23\n1 k 1 v\n6 naïve 3 é\n\n".encode()
    assert encode_params({b"\xff": b"\0"}) == b"8\n1 \xff 1 \0\n"


@pytest.mark.documented(
    "11 a string is sent unchanged, before any pair; the program reads all of it"
)
@pytest.mark.clause("PARAMS-6")
def test_text_and_bytes_go_out_as_they_are():
    assert encode_params("3\nraw é") == "3\nraw é".encode()
    assert encode_params(b"\0\xff") == b"\0\xff"
    assert encode_params("") == b""


@pytest.mark.clause("PARAMS-7")
def test_no_parameters_are_an_empty_set_and_none_is_nothing():
    assert encode_params({}) == b"0\n"
    assert encode_params(None) == b""


@pytest.mark.clause("PARAMS-8")
def test_a_name_given_as_text_and_as_bytes_is_refused():
    with pytest.raises(
        ValueError, match="the parameter name b'k' occurs twice, as str and as bytes"
    ):
        encode_params({"k": "1", b"k": "2"})


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (3, "parameters must be a dict, str, bytes or None, not int"),
        ([("k", "v")], "parameters must be a dict, str, bytes or None, not list"),
        (bytearray(b"raw"), "parameters must be a dict, str, bytes or None, not bytearray"),
        ({"k": 1}, "the value of parameter 'k' must be str or bytes, not int"),
        ({"k": None}, "the value of parameter 'k' must be str or bytes, not NoneType"),
        ({1: "v"}, "the parameter name 1 must be str or bytes, not int"),
    ],
)
def test_what_cannot_be_a_parameter_is_named_with_its_type(params, text):
    with pytest.raises(TypeError) as caught:
        encode_params(params)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (
            "\ud800",
            "the parameter string is a str that UTF-8 cannot encode: surrogates not allowed",
        ),
        (
            {"k": "\ud800"},
            "the value of parameter 'k' is a str that UTF-8 cannot encode: surrogates not allowed",
        ),
        (
            {"\ud800": ""},
            "the parameter name '\\ud800' is a str that UTF-8 cannot encode: surrogates "
            "not allowed",
        ),
    ],
)
def test_text_that_utf8_has_not_is_refused(params, text):
    with pytest.raises(ValueError) as caught:
        encode_params(params)
    assert type(caught.value) is ValueError
    assert str(caught.value) == text


def test_any_mapping_will_do():
    class Settings(Mapping):
        def __getitem__(self, name):
            return name * 2

        def __iter__(self):
            return iter(["a", "b"])

        def __len__(self):
            return 2

    assert decode_params(encode_params(Settings())) == {b"a": b"aa", b"b": b"bb"}


@pytest.mark.clause("LIMITS-4")
def test_a_set_over_the_limit_is_not_written(monkeypatch):
    monkeypatch.setattr(netstring, "MAX_PARAMS", 8)
    assert encode_params({"k": "v"}) == b"8\n1 k 1 v\n"
    with pytest.raises(ValueError, match="the parameter set has 9 bytes, but the limit is 8"):
        encode_params({"k": "vv"})


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_any_bytes_like_object_can_be_decoded(make):
    assert decode_params(make(b"8\n1 k 1 v\n")) == {b"k": b"v"}


@pytest.mark.parametrize("wrong", ["0\n", 3, None, [48, 10]])
def test_what_is_not_bytes_is_the_callers_mistake(wrong):
    with pytest.raises(TypeError):
        decode_params(wrong)


def test_errors_say_what_and_where():
    with pytest.raises(errors.ParamsError) as caught:
        decode_params(b"8\n1 k 2 v\n")
    assert "the parameter value at byte 8 has 2 bytes" in str(caught.value)
    with pytest.raises(errors.ParamsError) as caught:
        decode_params(b"+8\n")
    assert "the total at byte 0 must be 1 to 10 digits" in str(caught.value)
    with pytest.raises(errors.Truncated) as caught:
        decode_params(b"8\n1 k")
    assert "inside the parameter set at byte 2: it needs 8 bytes, but has 3" in str(caught.value)
