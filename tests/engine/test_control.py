"""A driver's sign of life: it stops when it is told to, and never harms what is not its own."""

import os
import select

import pytest

from kvproto.storage.job_directory import DriverEnd, has_driver, tell_to_stop


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "control")


def is_readable(fd):
    return bool(select.select([fd], [], [], 0)[0])


def test_a_driver_is_there_from_its_beginning_to_its_end(path):
    assert not has_driver(path) and not tell_to_stop(path)
    driver = DriverEnd(path)
    assert has_driver(path)
    driver.close()
    assert not has_driver(path) and not tell_to_stop(path) and not os.path.exists(path)


def test_what_a_driver_that_was_killed_left_behind_is_no_driver(path):
    os.mkfifo(path)
    assert not has_driver(path) and not tell_to_stop(path)


@pytest.mark.parametrize("is_from_outside", [True, False])
def test_a_driver_is_told_to_stop_once_or_often_and_a_look_at_it_tells_it_nothing(
    path, is_from_outside
):
    driver = DriverEnd(path)
    for _ in range(3):
        assert has_driver(path)
    assert not is_readable(driver.fd)
    for _ in range(20_000):  # more than the FIFO takes
        tell_to_stop(path) if is_from_outside else driver.stop()
    assert is_readable(driver.fd)
    driver.close()


def test_a_stop_when_all_is_over_writes_into_no_file_of_others(path, tmp_path):
    driver = DriverEnd(path)
    driver.close()
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    os.dup2(other, driver.fd)  # another file has the number now
    driver.stop()
    for fd in {other, driver.fd}:
        os.close(fd)
    assert (tmp_path / "other").read_bytes() == b""
