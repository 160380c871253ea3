"""What a step is found to wait for, by the states of its upstream steps, where all of them are needed.

A look at the states and nothing else: it changes none. Where an upstream step may be skipped by choice, or is taken
whatever becomes of it, the look is that of `choices.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.runs.step_states import (
    ASIDE,
    BLOCKED,
    DEFERRED,
    DROPPED,
    FAILED,
    PENDING,
    READY,
    SKIPPED,
    SUCCEEDED,
    UNEXAMINED,
    WAITING,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.plan import AssetPlan

__all__ = ["look"]

_NOTHING: Final[tuple[int, ...]] = ()


def look(states: bytearray, plan: AssetPlan, step: int) -> tuple[int, Sequence[int]]:
    """Where a step stands: `READY`, `SKIPPED`, `DEFERRED`, or `BLOCKED` with the steps that it waits for.

    `UNEXAMINED` while one of its upstream steps has not been examined.

    Args:
        states: The state of each step.
        plan: The plan of its asset.
        step: The step.
    """
    shifts = plan.shifts
    if shifts is None:
        return _look_at_ranges(states, plan.upstream(step - plan.offset))
    if len(shifts) == 1:
        return _look_at_one(states, step - shifts[0])
    pending = []
    found = READY
    for shift in shifts:
        code = states[step - shift]
        if code < WAITING:
            if code == UNEXAMINED:
                return UNEXAMINED, _NOTHING
            pending.append(step - shift)
        elif code >= FAILED:
            found = SKIPPED
        elif code < SUCCEEDED and found == READY:
            found = DEFERRED
    if pending and found == READY:
        return BLOCKED, pending
    return found, _NOTHING


def _look_at_one(states: bytearray, upstream: int) -> tuple[int, Sequence[int]]:
    code = states[upstream]
    if code < WAITING:
        return (UNEXAMINED, _NOTHING) if code == UNEXAMINED else (BLOCKED, (upstream,))
    if code < SUCCEEDED:
        return DEFERRED, _NOTHING
    return (READY if code < FAILED else SKIPPED), _NOTHING


def _look_at_ranges(states: bytearray, ranges: Sequence[range]) -> tuple[int, Sequence[int]]:
    if len(ranges) == 1 and len(ranges[0]) == 1:
        return _look_at_one(states, ranges[0].start)
    # From the end: a step whose inputs are not all examined is mostly missing the last of them.
    for numbers in reversed(ranges):
        if states.find(UNEXAMINED, numbers.start, numbers.stop) >= 0:
            return UNEXAMINED, _NOTHING
    found = READY
    for numbers in ranges:
        if DROPPED.search(states, numbers.start, numbers.stop):
            return SKIPPED, _NOTHING
        if ASIDE.search(states, numbers.start, numbers.stop):
            found = DEFERRED
    if found != READY:
        return found, _NOTHING
    pending = [
        match.start() for numbers in ranges for match in PENDING.finditer(states, numbers.start, numbers.stop)
    ]
    return (BLOCKED, pending) if pending else (READY, _NOTHING)
