"""Every byte vector, against every codec: whole, in pieces, with bytes behind it, and ended at
every length.
"""

from random import Random

import pytest
from support.codecs_under_test import NAMES, Outcome, agrees, codec_named
from support.vectors_format import Vector, load

import kvproto.errors
from kvproto import ProtocolError, decode_params
from kvproto.protocol.frames import MAX_ITEM
from kvproto.protocol.params import MAX_PARAMS

PAIRS, LISTS = load("pairs"), load("lists")
PARAMS, MESSAGES = load("params"), load("messages")
VECTORS = PAIRS + LISTS + PARAMS + MESSAGES

_MANY = 4096
"""Beyond so many bytes not every cut is tried but those near the ends and some at random."""


def each(vectors: list[Vector], **kind: str) -> list:
    """Parameters of a test, marked with the clauses that the vectors name."""
    return [
        pytest.param(
            *kind.values(), vector, id=vector.id, marks=pytest.mark.clause(*vector.clauses)
        )
        for vector in vectors
    ]


every_codec = pytest.mark.parametrize("codec_name", NAMES)
every_stream = pytest.mark.parametrize(
    ("kind", "vector"),
    [*each(PAIRS, kind="pairs"), *each(LISTS, kind="lists")],
)
every_params = pytest.mark.parametrize("vector", each(PARAMS))
every_good_params = pytest.mark.parametrize(
    "vector", each([vector for vector in PARAMS if not vector.error])
)
every_params_codec = pytest.mark.parametrize(
    "codec_name", [name for name in NAMES if name != "native"]
)
every_message = pytest.mark.parametrize("vector", each(MESSAGES))


def expected(vector: Vector) -> Outcome:
    size = vector.wanted if vector.error == "Truncated" else vector.size
    return Outcome(vector.values, vector.error, vector.offset, vector.field, size, vector.had)


def lengths(vector: Vector) -> list[int]:
    """The lengths at which to cut the vector's input: all of them, or of a long one those that may
    matter.
    """
    n = len(vector.input)
    if n <= _MANY:
        return list(range(n))
    return sorted({*range(64), *range(n - 64, n), *Random(vector.id).sample(range(n), 64)})


def random_pieces(vector: Vector, round: int) -> list[bytes]:
    random = Random(f"{vector.id} {round}")
    cuts = sorted(random.choices(range(len(vector.input) + 1), k=random.randint(1, 12)))
    return [vector.input[a:b] for a, b in zip([0, *cuts], [*cuts, len(vector.input)], strict=True)]


def run(codec, kind: str, pieces, vector: Vector) -> Outcome:
    return getattr(codec, kind)(pieces, vector.max_item)


# --- the files themselves ---------------------------------------------------------------------


def test_each_vector_is_whole_and_has_a_name_of_its_own():
    assert len({vector.id for vector in VECTORS}) == len(VECTORS) > 100
    for vector in VECTORS:
        assert vector.clauses, vector.id
        assert vector.verdict in ("accept", "reject", "implementation-defined"), vector.id
        assert bool(vector.error) == (vector.verdict == "reject"), vector.id


# --- streams of pairs and of lists --------------------------------------------------------------


@pytest.mark.documented(
    "7 a pair is key size, key, value size, value; sizes are 32 bits, little-endian, in bytes",
    "8 a list is num-pairs, 32 bits, zero allowed, and exactly that many pairs",
)
@every_codec
@every_stream
def test_a_stream_has_its_verdict(codec_name, kind, vector):
    codec = codec_named(codec_name)
    assert agrees(codec, kind, run(codec, kind, [vector.input], vector), expected(vector))


@every_codec
@every_stream
def test_a_stream_has_its_verdict_in_whatever_pieces(codec_name, kind, vector):
    codec = codec_named(codec_name)
    single_bytes = [vector.input[i : i + 1] for i in range(len(vector.input))]
    assert agrees(codec, kind, run(codec, kind, single_bytes, vector), expected(vector))
    for round in range(8):
        pieces = random_pieces(vector, round)
        assert agrees(codec, kind, run(codec, kind, pieces, vector), expected(vector)), pieces


@every_codec
@every_stream
def test_a_byte_behind_a_stream_is_a_cut_size_and_changes_nothing_before(codec_name, kind, vector):
    codec = codec_named(codec_name)
    due = expected(vector)
    if not vector.error:
        field = "num-pairs" if kind == "lists" else "key size"
        due = Outcome(vector.values, "Truncated", len(vector.input), field, 4, 1)
    elif vector.error == "Truncated" and vector.wanted - vector.had > 1:
        due = due._replace(had=vector.had + 1)
    elif (
        vector.error == "Truncated"
    ):  # the byte completes the field, so the fault is gone from there
        assert run(codec, kind, [vector.input, b"\0"], vector)[1:3] != ("Truncated", vector.offset)
        return
    assert agrees(codec, kind, run(codec, kind, [vector.input, b"\0"], vector), due)
    assert agrees(codec, kind, run(codec, kind, [vector.input + b"\0"], vector), due)


def layout(kind: str, values: list) -> list[tuple[str, int]]:
    """The fields of encoded values, (name, length) one behind the other, known without decoding
    anything.
    """
    fields = []
    for pairs in values if kind == "lists" else [values]:
        if kind == "lists":
            fields.append(("num-pairs", 4))
        for key, value in pairs:
            fields += [("key size", 4), ("key", len(key)), ("value size", 4), ("value", len(value))]
    return fields


def at_end(kind: str, values: list, n: int) -> Outcome:
    """What must come of the first n bytes of the encoded values."""
    at, n_pairs, n_left, complete = 0, 0, 0, []
    lists = iter(values)
    for field, size in layout(kind, values):
        boundary = field == "num-pairs" or (field == "key size" and kind == "pairs")
        if at == n and boundary:
            break
        if n < at + size or (at == n and size):
            return Outcome(complete, "Truncated", at, field, size, n - at)
        at += size
        if field == "num-pairs":
            pairs = next(lists)
            n_left = len(pairs)
        n_left -= field == "value"
        n_pairs += field == "value"
        if kind == "pairs":
            complete = values[:n_pairs]
        elif not n_left and field in ("num-pairs", "value"):
            complete = values[: len(complete) + 1]
    return Outcome(complete)


@pytest.mark.slow
@every_codec
@every_stream
def test_a_stream_ended_at_any_length_says_which_field_is_cut(codec_name, kind, vector):
    codec = codec_named(codec_name)
    if vector.error:
        seen_at = vector.offset + 4 if vector.error == "ItemTooLarge" else len(vector.input)
        for n in lengths(vector):
            outcome = run(codec, kind, [vector.input[:n]], vector)
            if n >= seen_at:
                assert agrees(codec, kind, outcome, expected(vector)), n
            else:
                assert outcome.error in ("", "Truncated") and outcome.offset <= n, n
    else:
        for n in lengths(vector):
            outcome = run(codec, kind, [vector.input[:n]], vector)
            assert agrees(codec, kind, outcome, at_end(kind, vector.values, n)), n


@every_stream
def test_a_stream_that_breaks_a_clause_names_it(kind, vector):
    decode = kvproto.decode_pairs if kind == "pairs" else kvproto.decode_lists
    if vector.error:
        with pytest.raises(getattr(kvproto.errors, vector.error)) as caught:
            decode(vector.input, max_item=vector.max_item)
        assert caught.value.clause in vector.clauses
        assert caught.value.decoded == vector.values
    else:
        assert decode(vector.input, max_item=vector.max_item) == vector.values


@pytest.mark.clause("FRAME-1", "FRAME-2", "FRAME-3", "LIST-1", "LIST-2")
@every_codec
@every_stream
def test_values_encode_to_the_bytes_they_came_from(codec_name, kind, vector):
    codec = codec_named(codec_name)
    if kind == "pairs":
        encoded = codec.encode_pairs(vector.values, vector.max_item)
    else:
        encoded = b"".join(codec.encode_list(pairs, vector.max_item) for pairs in vector.values)
    assert vector.input.startswith(encoded)
    assert len(encoded) == len(vector.input) or vector.error


# --- parameter sets -----------------------------------------------------------------------------


@pytest.mark.documented("11 a dictionary of strings is sent as netstrings, pair after pair")
@every_params_codec
@every_params
def test_a_parameter_set_has_its_verdict(codec_name, vector):
    codec = codec_named(codec_name)
    assert agrees(codec, "params", codec.params(vector.input), expected(vector))


@every_params
def test_a_parameter_set_that_breaks_a_clause_names_it(vector):
    if not vector.error:
        assert decode_params(vector.input) == dict(vector.values)
        return
    with pytest.raises(ProtocolError) as caught:
        decode_params(vector.input)
    assert type(caught.value).__name__ == vector.error
    assert caught.value.clause in vector.clauses


@every_params_codec
@every_good_params
def test_a_good_parameter_set_is_cut_at_any_shorter_length_and_over_at_any_longer(
    codec_name, vector
):
    codec = codec_named(codec_name)
    head = vector.input.index(b"\n") + 1
    for n in lengths(vector):
        total = len(vector.input) - head
        cut = Outcome([], "Truncated", head, "parameter set", total, n - head)
        if n < head:
            cut = Outcome([], "Truncated", 0, "total", n + 1, n)
        assert agrees(codec, "params", codec.params(vector.input[:n]), cut), n
    over = Outcome([], "ParamsError", len(vector.input), "end")
    assert agrees(codec, "params", codec.params(vector.input + b"0"), over)


@every_params_codec
@every_good_params
def test_parameters_encode_to_the_bytes_they_came_from(codec_name, vector):
    encoded = codec_named(codec_name).encode_params(dict(vector.values))
    assert (encoded == vector.input) == vector.canonical


# --- stderr -------------------------------------------------------------------------------------


@pytest.mark.documented("10 every line has seven bytes of tag, and a newline at the end")
@every_params_codec
@every_message
def test_messages_are_as_the_vector_says(codec_name, vector):
    messages_of = codec_named(codec_name).messages
    assert messages_of([vector.input]) == vector.values


@every_params_codec
@every_message
def test_messages_are_the_same_in_whatever_pieces(codec_name, vector):
    messages_of = codec_named(codec_name).messages
    assert messages_of(vector.input[i : i + 1] for i in range(len(vector.input))) == vector.values
    for round in range(8):
        pieces = random_pieces(vector, round)
        assert messages_of(pieces) == vector.values, pieces


@every_params_codec
@every_message
def test_messages_before_the_end_stand_wherever_it_comes(codec_name, vector):
    messages_of = codec_named(codec_name).messages
    for n in lengths(vector):
        n_ended = vector.input[:n].count(b"\n")
        assert messages_of([vector.input[:n]])[:n_ended] == vector.values[:n_ended], n
        assert len(messages_of([vector.input[:n]])) == n_ended + (
            n > 0 and vector.input[n - 1] != 0x0A
        ), n


@every_params_codec
@every_message
def test_a_newline_more_ends_the_last_line_or_is_an_empty_one(codec_name, vector):
    messages_of = codec_named(codec_name).messages
    unended = vector.input and not vector.input.endswith(b"\n")
    assert messages_of([vector.input + b"\n"]) == vector.values + (
        [] if unended else [("", b"", 0)]
    )


@pytest.mark.parametrize(
    "vector", [v for v in MESSAGES if all(kind for kind, *_ in v.values)], ids=lambda v: v.id
)
@every_params_codec
def test_messages_encode_to_the_bytes_they_came_from(codec_name, vector):
    codec = codec_named(codec_name)
    encoded = b"".join(codec.encode_message(kind, text) for kind, text, _ in vector.values)
    assert (encoded == vector.input) == (vector.canonical and vector.verdict == "accept")


# --- the limits are those of the clauses
# ------------------------------------------------------------


@pytest.mark.clause("LIMITS-1", "LIMITS-4")
def test_the_default_limits_are_one_gibibyte():
    assert MAX_ITEM == MAX_PARAMS == 1 << 30
