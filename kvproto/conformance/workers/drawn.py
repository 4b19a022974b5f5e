"""MAP-drawn and REDUCE-drawn: random schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvproto.conformance.case import MODES, Case, leave_to_contract
from kvproto.conformance.judges import as_plain
from kvproto.conformance.schedule import Schedule, Setting, twice

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["CASES"]


def _any(setting: Setting, of_contract: bool = False) -> SearchStrategy[Schedule]:
    from kvproto.conformance import strategies  # noqa: PLC0415 (it loads Hypothesis)

    return strategies.schedules(setting, strategies.contract_params() if of_contract else None)


CASES = (
    *(
        Case(
            f"{mode.upper()}-drawn",
            "FRAME-5 MAP-5 REDUCE-5",
            "random schedules end as if all their bytes had come at once",
            twice,
            as_plain,
            drawn=_any,
        )
        for mode in MODES
    ),
    *(
        Case(
            f"{mode.upper()}-drawn-told",
            "FRAME-5 PARAMS-2",
            "random schedules and parameters end as the contract says",
            lambda setting: [],
            leave_to_contract,
            contract="reference",
            drawn=lambda setting: _any(setting, of_contract=True),
        )
        for mode in MODES
    ),
)
