"""Out-of-band values: what is put comes back as it was; a wrong key, a wrong value and a missing
one say so. Those of an attempt that the driver does not accept are not there.
"""

import itertools
import os
import threading

import pytest

from kvproto.classic import Job
from kvproto.engine.job import run_job
from kvproto.errors import JobError
from kvproto.storage import oob
from kvproto.storage.job_directory import JobDirectory


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "some@job" / "oob"
    path.mkdir(parents=True)
    return str(path)


@pytest.mark.parametrize(
    "value", [b"", "", b"\x00\n\xff", "s\n\u00e9\u20ac\udcff", b"b", "b", b"x" * 3_000_000]
)
def test_a_value_comes_back_as_it_was_put_bytes_or_str(directory, value):
    oob.put_all(directory, {"key": value})
    got = oob.get(directory, "key")
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("key", ["a", "A-b_c:d@9", "k" * 256])
def test_a_key_of_the_allowed_characters_is_listed_as_it_is(directory, key):
    oob.put_all(directory, {key: b"1"})
    assert oob.list_keys(directory) == [key] and oob.get(directory, key) == b"1"


@pytest.mark.parametrize(
    "key", ["", "k" * 257, "a b", "a/b", "..", "a.b", "caf\u00e9", "a\n", b"a", None]
)
def test_a_key_that_cannot_be_one_is_refused_with_what_one_is(directory, key):
    with pytest.raises(ValueError, match="1 to 256 of the characters A-Z a-z 0-9 _ - : @"):
        oob.put_all(directory, {"good": "1", key: "1"})
    with pytest.raises(ValueError, match="cannot be the key"):
        oob.get(directory, key)
    assert os.listdir(directory) == []


def test_a_value_of_another_type_is_refused_before_anything_is_written(directory):
    with pytest.raises(TypeError, match="value 'n' must be bytes or str, not int"):
        oob.put_all(directory, {"good": "1", "n": 3})
    assert os.listdir(directory) == []


def test_a_job_without_values_has_no_directory_for_them_and_one_that_was_removed_is_an_error(
    directory,
):
    os.rmdir(directory)
    assert oob.list_keys(directory) == []
    with pytest.raises(JobError, match="has no out-of-band value 'key'; it has none"):
        oob.get(directory, "key")
    os.rmdir(os.path.dirname(directory))
    with pytest.raises(JobError, match=r"no longer has out-of-band values: .* is gone"):
        oob.list_keys(directory)


def test_keys_are_sorted_and_the_last_value_of_one_counts(directory):
    oob.put_all(directory, {"b": "1", "a": "2", "B": "3"})
    oob.put_all(directory, {"b": b"4"})
    assert oob.list_keys(directory) == ["B", "a", "b"]
    assert oob.get(directory, "b") == b"4" and oob.get(directory, "B") == "3"


def test_a_missing_value_names_the_job_and_the_keys_that_there_are(directory):
    with pytest.raises(JobError, match=r"^job some@job has no out-of-band value 'x'; it has none$"):
        oob.get(directory, "x")
    oob.put_all(directory, {f"k{number:02}": "" for number in range(21)})
    with pytest.raises(
        JobError, match=r"no out-of-band value 'x'; it has k00, k01, .*, k19 and 1 more$"
    ):
        oob.get(directory, "x")


def test_a_reader_never_sees_a_part_of_a_value_that_is_replaced(directory):
    values = [bytes([byte]) * 200_000 for byte in range(50)]
    oob.put_all(directory, {"key": values[0]})
    done = threading.Event()

    def put():
        for value in values:
            oob.put_all(directory, {"key": value})
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    while not done.is_set():
        got = oob.get(directory, "key")
        assert len(got) == 200_000 and len(set(got)) == 1
    thread.join()
    assert oob.list_keys(directory) == ["key"]


def test_a_directory_that_cannot_be_written_is_named(directory):
    os.rmdir(directory)
    with pytest.raises(JobError, match=f"writing {directory}/.*: No such file"):
        oob.put_all(directory, {"key": "1"})


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[:3],
        lambda data: b"",
        lambda data: data.replace(b"v", b"w"),
    ],
)
def test_a_value_that_was_cut_or_changed_is_an_error_that_names_its_file(directory, change, capfd):
    oob.put_all(directory, {"key": "value"})
    [name] = os.listdir(directory)
    path = os.path.join(directory, name)
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(change(data))
    with pytest.raises(JobError, match=f"value 'key' of job some@job is damaged: {path}"):
        oob.get(directory, "key")
    assert oob.list_keys(directory) == ["key"] or f"damaged: {path}" in capfd.readouterr().err


@pytest.mark.parametrize("value", [b"value", "text"])
def test_a_change_of_any_byte_of_a_value_is_noticed(directory, value):
    oob.put_all(directory, {"key": value})
    [name] = os.listdir(directory)
    path = os.path.join(directory, name)
    with open(path, "rb") as file:
        data = file.read()
    for at in range(len(data)):
        for bit in (1, 2, 16, 17, 128):  # 17 makes an "s" of a "b": bytes would come back as str
            with open(path, "wb") as file:
                file.write(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
            with pytest.raises(JobError, match="damaged"):
                oob.get(directory, "key")


class LateAnswers:
    """An engine that runs each call twice, and gives the first answer after the second attempt."""

    address = ""

    def run_stage(self, stage, fn):
        for index, call in enumerate(stage.calls):
            answers = [fn(call), fn(call)]
            yield index, answers[0]


def test_an_attempt_that_is_not_accepted_leaves_no_value():
    numbers = itertools.count()

    def put_number(line, params):
        number = next(numbers)
        put("number", str(number))  # noqa: F821
        put(f"of-{number}", line)  # noqa: F821
        return [(line, get("number"))]  # noqa: F821

    job = Job("late")
    jobargs = {"input": ["raw://x"], "map": put_number}
    directory = JobDirectory("late")
    spec = job.worker.spec(job, jobargs)
    try:
        run_job(spec, job.worker.inputs(job, jobargs, spec), directory, LateAnswers(), 1)
    finally:
        directory.close()
    assert oob.list_keys(directory.oob) == ["number", "of-0"]
    assert oob.get(directory.oob, "number") == "0"
