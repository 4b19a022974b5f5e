"""A map that fails on some pairs: they are set aside, and all others answered once, in order."""

import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.catalogue import compile_worker
from support.jobs import program

from kvproto import ExternalProgram
from kvproto.driver.whole_lists import WholeLists
from kvproto.errors import DataError, ItemTooLarge, WorkerError, WorkerOutputError
from kvproto.protocol.frames import decode_lists, decode_pairs, encode_list, encode_pairs

WORKER = Path(__file__).parents[1] / "workers/bad_records/fails_on.c"


@pytest.fixture(scope="module")
def fails_on(tmp_path_factory):
    return compile_worker(WORKER, tmp_path_factory.mktemp("worker") / "op")


def mapped(worker, frames, **options):
    """What the map gives, and the records that were set aside."""
    aside = []
    with ExternalProgram([worker], mode="map", **options) as external:
        out = b"".join(external.map_frames(frames, aside.append))
    return decode_pairs(out), [error.record for error in aside]


def cut(data, sizes):
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


values = st.binary(max_size=20).map(lambda value: b"-" + value)
bad_values = st.builds(
    b"BAD%c%b".__mod__, st.tuples(st.sampled_from(b"cel!"), st.binary(max_size=5))
)
runs = st.lists(values, max_size=300) | st.lists(bad_values, max_size=2)


@pytest.mark.slow
@settings(max_examples=15)
@given(
    pairs=st.lists(runs, max_size=8).map(lambda parts: [(b"k", v) for part in parts for v in part]),
    sizes=st.lists(st.integers(1, 3000), max_size=10),
)
def test_output_and_what_is_set_aside_are_the_whole_input(fails_on, pairs, sizes):
    good = [(value, key) for key, value in pairs if not value.startswith(b"BAD")]
    bad = [(n, value) for n, (_, value) in enumerate(pairs) if value.startswith(b"BAD")]
    out, aside = mapped(fails_on, cut(encode_pairs(pairs), sizes))
    assert out == good
    assert sorted((record.number, record.value) for record in aside) == bad


@pytest.mark.parametrize("how", "celot!")
def test_each_way_to_fail_after_answers_that_were_not_written_yet(fails_on, how):
    pairs = [(b"", b"%d" % n) for n in range(5000)]
    pairs[4000] = b"", b"BAD" + how.encode()
    out, aside = mapped(fails_on, [encode_pairs(pairs)])
    assert out == [(value, key) for key, value in pairs if not value.startswith(b"BAD")]
    assert [(record.number, record.value) for record in aside] == [(4000, pairs[4000][1])]


@pytest.mark.slow
def test_a_map_that_hangs_on_a_record_is_ended_and_goes_on(fails_on):
    pairs = [(b"", b"1"), (b"", b"BADh"), (b"", b"2")]
    out, aside = mapped(fails_on, [encode_pairs(pairs)], idle=0.3, grace=0.3)
    assert ([value for value, _ in out], [record.number for record in aside]) == ([b"1", b"2"], [1])


def test_the_first_and_the_last_pair_and_all_pairs(fails_on):
    for bad in ({0}, {2}, {0, 1, 2}):
        pairs = [(b"", b"BADc" if n in bad else b"%d" % n) for n in range(3)]
        out, aside = mapped(fails_on, [encode_pairs(pairs)])
        assert [value for value, _ in out] == [b"%d" % n for n in range(3) if n not in bad]
        assert {record.number for record in aside} == bad


def test_a_worker_that_fails_on_an_earlier_record_when_it_runs_again(fails_on, tmp_path):
    marker = tmp_path / "marker"
    values = [b"%d" % n for n in range(300)]
    values[50], values[100], values[200] = b"BADc", b"BADf%b" % bytes(marker), b"BADc"
    numbers = []

    def aside(error):
        numbers.append(error.record.number)
        if error.record.number == 200:
            marker.touch()

    with ExternalProgram([fails_on], mode="map") as external:
        frames = external.map_frames([encode_pairs([(b"", value) for value in values])], aside)
        out = decode_pairs(b"".join(frames))
    assert [key for key, _ in out] == [value for value in values if value.isdigit()]
    assert numbers == [50, 200, 100]


def test_what_was_counted_before_a_failure_is_not_counted_again(fails_on):
    pairs = [(b"", b"%d" % n) for n in range(1000)]
    for at in (100, 500, 501):
        pairs[at] = b"", b"BADc"
    messages = []
    _, aside = mapped(fails_on, [encode_pairs(pairs)], on_message=lambda m: messages.append(str(m)))
    assert len(aside) == 3
    assert messages == ["count read 1"] * 997


def test_pairs_go_to_their_partitions(fails_on):
    pairs = [(b"k", b"%d" % n) for n in range(3000)]
    pairs[2000] = b"k", b"BADe"
    parts, aside = [b"", b"", b""], []

    def write(partition, data, n_pairs):
        parts[partition] += bytes(data)

    with ExternalProgram([fails_on], mode="map") as external:
        external.deal_frames("map", [encode_pairs(pairs)], 3, write, aside.append)
    assert len(aside) == 1
    good = [(value, key) for key, value in pairs if not value.startswith(b"BAD")]
    for partition, data in enumerate(parts):
        assert decode_pairs(data) == [p for p in good if zlib.crc32(p[0]) % 3 == partition]


def test_a_record_that_was_answered_is_not_set_aside(fails_on):
    """Two lists for one pair: all later answers belong to the pair before."""
    pairs = [(b"", b"1"), (b"", b"BAD2"), (b"", b"3")]
    with pytest.raises(WorkerOutputError):
        mapped(fails_on, [encode_pairs(pairs)])


def test_a_failure_that_needs_the_pairs_before_is_an_error(tmp_path):
    worker = program(
        tmp_path,
        "for n, (key, value) in enumerate(pairs()):\n"
        "    if n == 3: os._exit(5)\n"
        "    answer((key, value))\n",
    )
    with pytest.raises(WorkerError) as caught:
        mapped(worker, [encode_pairs([(b"", b"x")] * 10)])
    assert (caught.value.record.first, caught.value.record.number) == (0, 3)


def test_the_numbers_of_a_later_failure_count_from_the_beginning(tmp_path):
    worker = program(
        tmp_path,
        "for n, (key, value) in enumerate(pairs()):\n"
        "    if value == b'bad' or (n == 5 and value == b'last'): os._exit(5)\n"
        "    answer((key, value))\n",
    )
    values = [b"1", b"bad", b"2", b"3", b"4", b"5", b"6", b"last"]
    with pytest.raises(WorkerError) as caught:
        mapped(worker, [encode_pairs([(b"", value) for value in values])])
    assert (caught.value.record.number, caught.value.record.value) == (7, b"last")


@pytest.mark.parametrize("error", [DataError("cut"), OSError("gone")])
def test_an_error_of_the_input_is_not_taken_for_its_end(fails_on, error):
    def frames():
        # More than a pipe takes: the driver reads on only after the failure.
        yield encode_pairs([(b"", b"1"), (b"", b"BADc"), (b"", bytes(4 << 20))])[: 3 << 20]
        raise error

    with pytest.raises(type(error)):
        mapped(fails_on, frames())


def test_a_descriptor_or_no_search_is_refused(fails_on):
    with ExternalProgram([fails_on], pinpoint=0) as external:
        with pytest.raises(ValueError, match="pinpoint"):
            list(external.map_frames([b""], print))
        with pytest.raises(ValueError, match="descriptor"):
            list(external.map_frames(0, print))


# --- whole lists -------------------------------------------------------------------------------


lists = st.lists(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=4))


@given(whole=lists, tail=st.integers(0, 30), sizes=st.lists(st.integers(1, 25)))
def test_only_whole_lists_pass_wherever_the_bytes_are_cut(whole, tail, sizes):
    data = b"".join(map(encode_list, whole))
    partial = encode_list([(b"key", b"a value of some size")])[:tail]
    decoder, out = WholeLists(1 << 20), []
    for piece in cut(data + partial, sizes):
        new = b"".join(decoder.feed(piece))
        assert decode_lists(new) is not None
        out.append(new)
    assert b"".join(out) == data
    assert decoder.n_lists == len(whole)


@given(whole=lists, sizes=st.lists(st.integers(1, 25)))
def test_the_lists_before_a_fault_are_not_lost(whole, sizes):
    data = b"".join(map(encode_list, whole))
    decoder, out = WholeLists(100), []
    with pytest.raises(ItemTooLarge):
        for piece in cut(data + encode_list([(b"k" * 101, b"")]), sizes):
            out += [bytes(one) for one in decoder.feed(piece)]
    assert b"".join([*out, *decoder.rest]) == data
