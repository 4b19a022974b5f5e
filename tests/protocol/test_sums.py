"""Summing pairs as they come: the primitive, compiled and in Python, and what the job functions
make of it.
"""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.codecs_under_test import NAMES, codec_named
from support.jobs import results

from kvproto.classic.func import sum_combiner, sum_reduce
from kvproto.errors import JobError

NEVER = 1 << 40
TEXTS = (
    st.text(max_size=2)
    | st.text("aé\udc80", max_size=20)
    | st.sampled_from(["x" * 16, "x" * 17, "x" * 16 + "y"])
)
KEYS = TEXTS | TEXTS.map(lambda text: text.encode("utf-8", "surrogateescape"))
ANY_KEYS = KEYS | st.integers(0, 2) | st.just(1.0) | st.tuples(st.integers(0, 2))
INTS = st.integers(-9, 9) | st.sampled_from([1 << 62, (1 << 63) - 1, -1 << 63, 1 << 63, 1 << 64])
NUMBERS = INTS | st.sampled_from([0.5, 0.1, -0.0, True, Fraction(1, 3)])


@pytest.fixture(params=[name for name in NAMES if name != "c"])
def sum_pairs(request):
    return codec_named(request.param).primitives.sum_pairs


def summed(pairs) -> dict:
    """The definition."""
    sums: dict = {}
    for key, value in pairs:
        sums[key] = sums.get(key, 0) + value
    return sums


def typed(sums: dict) -> list:
    return [(key, type(key), value, type(value)) for key, value in sums.items()]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "c"])
@given(pairs=st.lists(st.tuples(KEYS, INTS)) | st.lists(st.tuples(ANY_KEYS, NUMBERS)))
def test_numbers_are_summed_by_key_in_the_order_of_the_keys(name, pairs):
    sums: dict = {}
    assert codec_named(name).primitives.sum_pairs(iter(pairs), sums, NEVER) == []
    assert typed(sums) == typed(summed(pairs))


def sums_and_rest(sum_pairs, items, max_keys):
    """What a call leaves: the sums, the items that it has not added, and whether the iterator's
    error passed.
    """

    def pairs():
        for item in items:
            if item is ZeroDivisionError:
                raise item
            yield item

    iterator, sums, left = pairs(), {}, []
    try:
        left = sum_pairs(iterator, sums, max_keys)
    except ZeroDivisionError:
        return typed(sums), None, True
    is_raised = False
    try:
        left += list(iterator)
    except ZeroDivisionError:
        is_raised = True
    return typed(sums), left, is_raised


FIT = st.tuples(st.text("ab", max_size=2) | st.text("a", min_size=15, max_size=18), INTS)
ITEMS = st.lists(FIT, max_size=40) | st.lists(
    FIT | st.sampled_from([("a", None), ("a", 0.5), (["a"], 1), ("a",), "ab", None]), max_size=40
)


@given(items=ITEMS, max_keys=st.integers(0, 6) | st.just(NEVER))
def test_compiled_and_in_python_the_same_is_added_and_left(items, max_keys):
    reference, *compiled = [
        sums_and_rest(codec_named(name).primitives.sum_pairs, items, max_keys)
        for name in NAMES
        if name != "c"
    ]
    assert compiled in ([], [reference])


@given(items=st.lists(FIT, max_size=40))
def test_an_error_of_the_iterator_passes_after_all_pairs_before_it_are_added(items):
    for name in NAMES:
        if name != "c":
            added, left, is_raised = sums_and_rest(
                codec_named(name).primitives.sum_pairs, [*items, ZeroDivisionError], NEVER
            )
            assert added == typed(summed(items)) and left is None and is_raised


@pytest.mark.parametrize("kind", [str, str.encode], ids=["str", "bytes"])
def test_any_number_of_keys_has_its_sums(sum_pairs, kind):
    def pairs():
        return (
            (kind(f"{number * number % 5_003:0{number % 30}}"), number) for number in range(20_000)
        )

    sums: dict = {}
    assert sum_pairs(pairs(), sums, NEVER) == []
    assert typed(sums) == typed(summed(pairs()))


ODD = [
    "ab",
    None,
    7,
    (),
    ("a",),
    ("a", 1, 2),
    ["a", 1],
    ("a", "b"),
    ("a", None),
    (["a"], 1),
    ("text", 1),
]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_what_cannot_be_added_is_left_to_the_caller_once_with_the_rest_behind_it(sum_pairs, odd):
    pairs, sums = iter([("a", 1), odd, ("a", 2)]), {"text": "t"}
    left = [*sum_pairs(pairs, sums, NEVER), *pairs]
    assert left == [odd, ("a", 2)]
    assert sums == {"text": "t", "a": 1}
    assert sum_pairs(iter(left[1:]), sums, NEVER) == []
    assert sums == {"text": "t", "a": 3}


@pytest.mark.slow
def test_there_may_be_more_keys_than_the_table_has_room_for(sum_pairs):
    sums: dict = {}
    assert (
        sum_pairs(((str(number % 530_000), number) for number in range(600_000)), sums, NEVER) == []
    )
    assert sums == summed((str(number % 530_000), number) for number in range(600_000))


def test_no_key_is_added_beyond_the_limit(sum_pairs):
    pairs, sums = iter([("a", 1), ("b", 1), ("a", 1), ("c", 1)]), {}
    assert [*sum_pairs(pairs, sums, 2), *pairs] == [("a", 1), ("c", 1)]
    assert sums == {"a": 1, "b": 1}


VALUES = {
    "ints": lambda n: n,
    "ints of any size": lambda n: 10**n,
    "floats": lambda n: n / 4,
    "fractions": lambda n: Fraction(1, n + 1),
    "bools": lambda n: n > 3,
    "a mixture": lambda n: [n, n / 4, Fraction(n, 3)][n % 3],
}


@pytest.mark.documented(
    "5 sum_combiner: sums the values of each key in the combiner",
    "5 sum_reduce: sums the values of each key in the reduce",
)
@pytest.mark.parametrize("of", VALUES)
@pytest.mark.parametrize("partitions", [1, 3])
def test_any_values_that_can_be_added_are_summed_through_combiner_and_reduce(of, partitions):
    draw = random.Random(1)
    pairs = [(f"key {draw.randrange(20)}", VALUES[of](draw.randrange(9))) for _ in range(300)]
    functions = {"map": lambda entry, params: pairs, "combiner": sum_combiner, "reduce": sum_reduce}
    assert dict(results(input=["raw://x"], partitions=partitions, **functions)) == summed(pairs)


def test_more_keys_than_the_combiner_holds_are_summed_all_the_same():
    def numbers(entry, params):
        return ((number % 150_000, 1) for number in range(400_000))

    got = results(input=["raw://x"], map=numbers, combiner=sum_combiner, reduce=sum_reduce)
    assert dict(got) == summed((number % 150_000, 1) for number in range(400_000))


def test_sum_reduce_takes_any_iterable():
    pairs = [("a", Fraction(1)), ("a", 1), ("b", 1)]
    assert dict(sum_reduce(pairs, None)) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    "odd, says",
    [
        ("ab", "gives_it returned 'ab', which is not a (key, value) pair"),
        (("a", 1, 2), "gives_it returned ('a', 1, 2), which is not a (key, value) pair"),
        (("a", "b"), "unsupported operand type(s) for +: 'int' and 'str'"),
        ((["a"], 1), "unhashable type: 'list'"),
    ],
)
def test_what_cannot_be_summed_names_the_function_or_the_types_and_the_entry(odd, says):
    def gives_it(entry, params):
        return [("a", 1)] * 5_000 if entry != "2\n" else [("a", 1), odd]

    with pytest.raises(JobError) as caught:
        results(input=["raw://1\n2\n3\n"], map=gives_it, combiner=sum_combiner)
    assert says in str(caught.value)
    if "gives_it" in says:
        assert "entry: number 1 of this task, counted from 0: '2\\n'" in str(caught.value)


class Ended:
    """An iterator whose end is a StopIteration that it raises."""

    def __init__(self, pairs):
        self._pairs = list(pairs)

    def __iter__(self):
        return self

    def __next__(self):
        if not self._pairs:
            raise StopIteration("the end")
        return self._pairs.pop(0)


@pytest.mark.parametrize("n_pairs", [0, 1, 16, 17, 40])
def test_the_end_of_any_iterator_is_no_error(sum_pairs, n_pairs):
    sums: dict = {}
    assert sum_pairs(Ended([("a", 2)] * n_pairs), sums, NEVER) == []
    assert sums == ({"a": 2 * n_pairs} if n_pairs else {})


@pytest.mark.parametrize(
    "wrong", [(iter([]), {}), ([], {}, 1), (iter([]), [], 1), (iter([]), {}, "1")]
)
def test_other_arguments_are_refused(wrong):
    with pytest.raises(TypeError):
        codec_named("native").primitives.sum_pairs(*wrong)
