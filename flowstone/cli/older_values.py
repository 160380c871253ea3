"""Values that a run reused though their inputs were computed again: what `--refresh missing` does not look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.cli.labels import record_label
from flowstone.counting import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.runs.records import Input, Materialization, StepKey

__all__ = ["older_hint", "older_values_hint"]


def older_values_hint(succeeded: Iterable[Materialization], reused: Iterable[Materialization]) -> str | None:
    """How many reused values are older than what they are computed from, and what to do; None if none are.

    Args:
        succeeded: The steps that a run computed.
        reused: Those whose values it reused, upstream before downstream.
    """
    computed = {_key(step): step for step in succeeded}
    older: dict[StepKey, Materialization] = {}
    for step in reused if computed else ():
        if any(_is_older(entry, computed) or _of(entry) in older for entry in step.inputs):
            older[_key(step)] = step
    if not older:
        return None
    return older_hint(len(older), record_label(next(iter(older.values()))), "were")


def older_hint(number: int, first: str, computed: str) -> str:
    """`1 reused value is older than what it is computed from (report), which was computed again: …`.

    Args:
        number: How many there are.
        first: One of them.
        computed: Whether their inputs `were` or `would be` computed again.
    """
    such = first if number == 1 else f"such as {first}"
    are, they, them = ("is", "it is", "it") if number == 1 else ("are", "they are", "them")
    return (
        f"{count(number, 'reused value')} {are} older than what {they} computed from ({such}): values upstream "
        f"{computed} computed again. --refresh stale computes {them} again as well."
    )


def _is_older(entry: Input, computed: dict[StepKey, Materialization]) -> bool:
    now = computed.get(_of(entry))
    return now is not None and (entry.data_version is None or entry.data_version != now.data_version)


def _key(step: Materialization) -> StepKey:
    return step.asset, step.partition_key


def _of(entry: Input) -> StepKey:
    return entry.asset, entry.partition_key
