"""Errors cross processes whole."""

import pickle

import pytest

from kvproto import errors

OF_WORKER = {
    "argv": ["op", "map"],
    "status": -9,
    "n_sent": 10,
    "n_unread": 3,
    "stderr_tail": ["line"],
    "hexdump": "00",
}


def make(error_type):
    if error_type is errors.Truncated:
        return error_type(field="key", offset=3, wanted=4, had=1, clause="FRAME-4")
    if error_type is errors.ItemTooLarge:
        return error_type(field="key size", offset=3, size=4, limit=1)
    if issubclass(error_type, errors.ProtocolError):
        return error_type("bad", offset=3, clause="PARAMS-2", field="key")
    if issubclass(error_type, errors.WorkerHung):
        return error_type("it hung", timeout="idle", **OF_WORKER)
    if issubclass(error_type, errors.WorkerError):
        return error_type("it failed", **OF_WORKER)
    return error_type("it failed")


@pytest.mark.parametrize("name", errors.__all__)
def test_a_traceback_shows_every_error_as_it_is_imported(name):
    assert getattr(errors, name).__module__ == "kvproto.errors"


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_survives_pickle_with_message_facts_and_notes(name):
    error = make(getattr(errors, name))
    error.add_note("where it was")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
