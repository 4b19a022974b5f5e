"""A driver's sign of life: it stops when it is told to, and never harms what is not its own."""

import math
import os
import select
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvproto.storage.control import DriverEnd, has_driver, tell_to_stop, wait_for_end


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


@pytest.mark.parametrize("ends", ["closes", "is killed"])
def test_a_wait_ends_with_the_first_driver_that_ends(path, tmp_path, ends):
    others = [DriverEnd(str(tmp_path / name)) for name in ("first", "second")]
    paths = [path, *(str(tmp_path / name) for name in ("first", "second"))]
    driver = DriverEnd(path)
    assert not wait_for_end(paths, 0)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(wait_for_end, paths, math.inf)
        driver.close() if ends == "closes" else os.close(driver.fd)
        assert waits.result(30)
    assert not wait_for_end(paths[1:], 0) and wait_for_end([*paths[1:], str(tmp_path)], 0)
    for other in others:
        other.close()


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
