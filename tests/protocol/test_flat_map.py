"""The items that a function gives for each of many entries, compiled and in Python: the same items,
calls and errors.
"""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.codecs_under_test import NAMES, codec_named

PRIMITIVES = [name for name in NAMES if name != "c"]


@pytest.fixture(params=PRIMITIVES)
def flat_map(request):
    return codec_named(request.param).primitives.flat_map


def never(given):
    raise AssertionError(given)


def generated(items):
    for item in items:
        if item is ZeroDivisionError:
            raise ZeroDivisionError
        yield item


class Ended:
    """An iterator whose end is a StopIteration that it raises."""

    def __init__(self, items):
        self._items = list(items)

    def __iter__(self):
        return self

    def __next__(self):
        if not self._items:
            raise StopIteration("the end")
        return self._items.pop(0)


SHAPES = [list, tuple, iter, generated, Ended, dict.fromkeys]
ITEMS = st.lists(st.integers(0, 3) | st.just(ZeroDivisionError), max_size=4)
ENTRIES = st.lists(st.tuples(st.sampled_from(SHAPES), ITEMS) | st.sampled_from([None, 7]))


def trace(name, entries, source, how):
    """What is given, with the calls in their places, and how it ends."""
    seen = []

    def pass_on(entry, error):
        seen.append((entry, repr(error)))
        if how == "refuse" and isinstance(error, ZeroDivisionError):
            raise error

    failed = None if how == "raise" else pass_on

    def function(entry, params):
        seen.append((entry, params))
        return entry[0](entry[1]) if isinstance(entry, tuple) else entry

    def refuse(given):
        seen.append(given)
        if given is None:
            return [-1]
        raise ValueError(given)

    items = codec_named(name).primitives.flat_map(
        function, source(entries), "params", refuse, failed
    )
    try:
        seen.extend(("item", item) for item in items)
    except (ZeroDivisionError, ValueError) as e:
        seen.append(repr(e))
    assert list(items) == []
    return seen


@given(
    entries=ENTRIES,
    source=st.sampled_from([iter, tuple, generated]),
    how=st.sampled_from(["raise", "set aside", "refuse"]),
)
def test_compiled_and_in_python_the_calls_and_the_items_are_the_same(entries, source, how):
    reference, *compiled = [trace(name, entries, source, how) for name in PRIMITIVES]
    assert compiled in ([], [reference])


def test_an_entry_is_taken_when_its_items_are_wanted(flat_map):
    entries = iter(["ab", "", "c"])
    items = flat_map(lambda entry, params: entry, entries, None, never, None)
    assert iter(items) is items
    assert [next(items), next(items)] == ["a", "b"]
    assert next(entries) == ""
    assert next(items) == "c"
    with pytest.raises(StopIteration):
        next(items)
    with pytest.raises(StopIteration):
        next(items)


def test_a_stop_iteration_of_the_function_is_not_taken_for_the_end(flat_map):
    def function(entry, params):
        raise StopIteration(entry)

    with pytest.raises(RuntimeError, match="generator raised StopIteration") as e:
        list(flat_map(function, ["a", "b"], None, never, None))
    assert isinstance(e.value.__cause__, StopIteration) and e.value.__cause__.value == "a"
    assert e.value.__context__ is e.value.__cause__
    assert e.value.__cause__.__traceback__ is not None


def test_a_generator_is_closed_when_no_more_of_its_items_are_wanted(flat_map):
    closed = []

    def function(entry, params):
        try:
            yield entry
        finally:
            closed.append(entry)

    items = flat_map(function, ["a"], None, never, None)
    assert next(items) == "a" and closed == []
    del items
    gc.collect()
    assert closed == ["a"]


def test_an_iterator_that_refers_to_itself_is_collected(flat_map):
    class Function:
        def __call__(self, entry, params):
            return [entry]

    function = Function()
    function.items = flat_map(function, ["a", "b"], None, never, None)
    assert next(function.items) == "a"
    is_there = weakref.ref(function)
    del function
    gc.collect()
    assert is_there() is None


def test_other_entries_and_results_of_refuse_are_errors(flat_map):
    with pytest.raises(TypeError, match="not iterable"):
        list(flat_map(never, 7, None, never, None))
    with pytest.raises(TypeError, match="not iterable"):
        list(flat_map(lambda entry, params: entry, [7], None, lambda given: given, None))


def test_no_item_of_an_entry_is_given_that_fails_and_the_next_ones_are(flat_map):
    def function(entry, params):
        yield entry
        yield 6 // entry

    failed = []
    items = flat_map(
        function, [1, 0, 2, 0, 3], None, never, lambda *failure: failed.append(failure)
    )
    assert list(items) == [1, 6, 2, 3, 3, 2]
    assert [(entry, type(error)) for entry, error in failed] == [(0, ZeroDivisionError)] * 2
    assert all(error.__traceback__ is not None for _, error in failed)


def test_what_is_no_exception_of_the_function_ends_the_items(flat_map):
    def function(entry, params):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(flat_map(function, [1], None, never, never))


def test_the_number_of_arguments_is_checked(flat_map):
    with pytest.raises(TypeError, match="flat_map"):
        flat_map(never, [])
