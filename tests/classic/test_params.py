"""Params: attributes by name, functions included, wherever they go."""

import pickle
import subprocess
import sys

import pytest
from support.jobs import results

from kvproto.classic.params import Params


def test_what_is_given_is_an_attribute_that_can_be_set():
    params = Params(x=1, self="me")
    assert (params.x, params.self) == (1, "me")
    params.x = params.y = 2
    assert (params.x, params.y) == (2, 2)
    with pytest.raises(AttributeError, match="'Params' object has no attribute 'z'"):
        _ = params.z


def test_it_is_written_with_its_contents():
    assert (repr(Params()), repr(Params(x=1, name="n"))) == ("Params()", "Params(x=1, name='n')")


def test_equal_contents_are_equal():
    assert Params(x=1, y=[2]) == Params(y=[2], x=1)
    assert Params(x=1) != Params(x=2) and Params() != {} and Params(x=1) != Params(x=1, y=2)


SENDER = """
import sys, cloudpickle
from kvproto.classic.params import Params
def of_main(x):
    return [x, again(x)]
def again(x):
    return x + FROM_MAIN
def closure(by):
    return lambda x: x * by
FROM_MAIN = 10
params = Params(of_main=of_main, alone=lambda x: -x, closure=closure(3), number=1, builtin=len)
sys.stdout.buffer.write(cloudpickle.dumps(params))
"""

RECEIVER = """
import pickle, sys
p = pickle.load(sys.stdin.buffer)
print(p.of_main(1), p.alone(2), p.closure(4), p.number, p.builtin("abc"))
"""


@pytest.mark.documented("2 params: Params holds a set of them, which may include functions")
def test_functions_of_any_kind_survive_the_way_into_another_process():
    sent = subprocess.run([sys.executable, "-c", SENDER], capture_output=True, check=True).stdout
    said = subprocess.run(
        [sys.executable, "-c", RECEIVER], input=sent, capture_output=True, check=True
    ).stdout
    assert said == b"[1, 11] -2 12 1 3\n"


def test_plain_pickle_takes_it_where_its_contents_are_plain():
    assert pickle.loads(pickle.dumps(Params(x=[1], y="2"))) == Params(x=[1], y="2")


def test_a_job_function_gets_them_and_what_it_sets_lasts_for_its_task():
    def counting(entry, params):
        params.n_seen = getattr(params, "n_seen", 0) + 1
        yield params.key(entry), params.n_seen

    by = 2
    params = Params(key=lambda entry: entry.strip() * by)
    assert results(input=["raw://a\nb\n"], map=counting, params=params) == [("aa", 1), ("bb", 2)]
    assert not hasattr(params, "n_seen")
