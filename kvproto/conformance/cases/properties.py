"""MAP-drawn and REDUCE-drawn: schedules that nobody thought of."""

from __future__ import annotations

from kvproto.conformance.case import Case
from kvproto.conformance.cases.building import SMALL, ahead
from kvproto.conformance.judges import as_plain, leave_to_contract
from kvproto.conformance.schedule import Schedule
from kvproto.conformance.setting import Setting

__all__ = ["CASES"]


def _none(setting: Setting) -> list[Schedule]:
    return []


def _twice(setting: Setting) -> list[Schedule]:
    return [ahead(setting, SMALL, turn=turn) for turn in (1, 2)]


def _any(setting: Setting):
    from kvproto.conformance.strategies import schedules

    return schedules(setting)


def _told(setting: Setting):
    from kvproto.conformance.strategies import contract_params, schedules

    return schedules(setting, contract_params())


CASES = (
    *(
        Case(
            f"{mode.upper()}-drawn",
            "MUST",
            "FRAME-5 MAP-5 REDUCE-5",
            "random schedules end as if all their bytes had come at once",
            _twice,
            as_plain,
            (mode,),
            drawn=_any,
        )
        for mode in ("map", "reduce")
    ),
    *(
        Case(
            f"{mode.upper()}-drawn-told",
            "MUST",
            "FRAME-5 PARAMS-2",
            "random schedules and parameters end as the contract says",
            _none,
            leave_to_contract,
            (mode,),
            "reference",
            drawn=_told,
        )
        for mode in ("map", "reduce")
    ),
)
