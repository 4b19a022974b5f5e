"""How a map task reads its inputs."""

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
