"""How a map task reads its inputs."""

import gzip

import pytest

from kvproto.engine import reading
from kvproto.engine.meter import Meter
from kvproto.engine.plan import Split
from kvproto.engine.spec import External, InputChain
from kvproto.errors import DataError


@pytest.mark.clause("LIMITS-1")
def test_a_line_over_the_limit_of_an_item_is_refused_before_it_is_all_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_ITEM", 3 * reading.BLOCK)
    path = tmp_path / "long"
    with open(path, "wb") as file:
        file.write(b"short\n")
        file.truncate(20 * reading.BLOCK)
    meter = Meter("mapped", 0)
    reader = reading.InputReader(
        [Split(str(path), 0, None, 0)], InputChain(), None, meter, for_function=External({})
    )
    with pytest.raises(
        DataError, match=f"{path} has a line of more than {3 * reading.BLOCK} bytes"
    ):
        list(reader.frames())
    assert meter.n_bytes < 8 * reading.BLOCK


@pytest.mark.clause("LIMITS-1")
@pytest.mark.parametrize("is_program", [True, False])
def test_a_compressed_line_over_the_limit_is_refused_before_it_is_all_unpacked(
    tmp_path, monkeypatch, is_program
):
    monkeypatch.setattr(reading, "MAX_ITEM", 3 * reading.BLOCK)
    path = tmp_path / "long"
    member = gzip.compress(bytes(20 * reading.BLOCK), 9)
    path.write_bytes(25 * member)
    meter = Meter("mapped", 0)
    function = External({}) if is_program else len
    splits = [Split(str(path), 0, None, 0)]
    reader = reading.InputReader(splits, InputChain(), None, meter, for_function=function)
    with pytest.raises(DataError, match=f"{path} has a line of more than"):
        list(reader.frames() if is_program else reader.entries())
    assert meter.n_bytes < path.stat().st_size
