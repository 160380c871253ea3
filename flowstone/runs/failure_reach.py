"""What a failure reaches: which steps of a plan get no value when some others have none, foreseen.

Pure. The state machine decides it of steps as others end (`choices.py`), by the same rule: a failure is passed on
by every dependency but one that takes the outcome. Here it is asked before anything has ended, for the sake of a
reader, whose value may be of no use to anybody any more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flowstone.runs.plan import AssetPlan, Edge, RunPlan

__all__ = ["is_of_no_use"]

_LOST: Final = 1
_LOST_ROW: Final = re.compile(b"\x01+")


def is_of_no_use(plan: RunPlan, step: int, failing: Collection[int]) -> bool:
    """Whether no step of a run can use the value of another one, because some steps are about to fail.

    Args:
        plan: The plan of the run.
        step: The step whose value is in question.
        failing: The steps that are about to fail.
    """
    if any(step in steps for steps in plan.targets):
        return False
    own = plan.of(step)
    lost = bytearray(plan.total)
    for each in failing:
        lost[each] = _LOST
    reached = {plan.of(each).index for each in failing}
    for asset in plan.assets[min(reached, default=0) : max(own.downstream, default=own.index) + 1]:
        edges = [edge for edge in asset.edges if edge.takes != "outcome" and edge.upstream.index in reached]
        for edge in edges:
            _pass_on(asset, edge, lost)
        if lost.find(_LOST, asset.offset, asset.end) >= 0:
            reached.add(asset.index)
            _pass_on_to_later(asset, lost)
    return not any(_is_used(plan.assets[index], own, step, lost) for index in own.downstream)


def _pass_on(asset: AssetPlan, edge: Edge, lost: bytearray) -> None:
    """Mark the steps of an asset that get no value for want of another asset's."""
    upstream = edge.upstream
    if edge.aligned:
        shift = asset.offset - upstream.offset
        rows = [row.span() for row in _LOST_ROW.finditer(lost, upstream.offset, upstream.end)]
        for start, stop in rows:
            lost[start + shift : stop + shift] = lost[start:stop]
    elif edge.constant:
        if _any(lost, edge.numbers(0, asset.keys)):
            lost[asset.offset : asset.end] = bytes([_LOST]) * (asset.end - asset.offset)
    else:
        for position in range(asset.end - asset.offset):
            if _any(lost, edge.numbers(position, asset.keys)):
                lost[asset.offset + position] = _LOST


def _pass_on_to_later(asset: AssetPlan, lost: bytearray) -> None:
    """Mark the steps of an asset that need earlier ones of it, which stand before them."""
    for edge in asset.edges:
        if edge.upstream is asset and edge.takes != "outcome":
            _pass_on(asset, edge, lost)


def _is_used(asset: AssetPlan, upstream: AssetPlan, step: int, lost: bytearray) -> bool:
    """Whether any step of an asset that gets a value takes that of a step of another one."""
    for edge in asset.edges:
        if edge.upstream is not upstream:
            continue
        if edge.aligned:
            return not lost[step - upstream.offset + asset.offset]
        for position in range(asset.end - asset.offset):
            if not lost[asset.offset + position] and any(
                step in numbers for numbers in edge.numbers(position, asset.keys)
            ):
                return True
    return False


def _any(lost: bytearray, ranges: Sequence[range]) -> bool:
    return any(lost.find(_LOST, each.start, each.stop) >= 0 for each in ranges)
