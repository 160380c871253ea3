"""Inputs of failed steps that come from earlier runs: one that was not computed again may be to blame."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from flowstone.cli.labels import key_label, step_label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.runs.records import Materialization, StepKey

__all__ = ["earlier_inputs_hint"]

_NAMED = 3
"""Inputs that are named; a step may have a thousand."""


def earlier_inputs_hint(failed: Iterable[Materialization]) -> str | None:
    """Which inputs of these steps are of earlier runs, and how to compute them again; None if there are none.

    Only what a function raised may be to blame on its inputs; a step without a failure of that kind is passed over.
    """
    inputs: dict[StepKey, None] = {}
    for step in failed:
        if step.failure is not None and step.failure.kind == "error":
            earlier = (each for each in step.inputs if each.run_id != step.run_id)
            inputs |= dict.fromkeys((each.asset, each.partition_key) for each in earlier)
    if not inputs:
        return None
    names = [step_label(*key) for key in list(inputs)[:_NAMED]]
    more = f" and {len(inputs) - _NAMED:,} more" if len(inputs) > _NAMED else ""
    asset, key = next(iter(inputs))
    where = "" if key is None else f" --partition {quote(key_label(key))}"
    named = f"{', '.join(names)}{more}"
    invalidate = f"`flowstone invalidate {asset}{where}`"
    again = (
        f"computes it again; so does `--upstream --refresh missing` after {invalidate}."
        if len(inputs) == 1
        else "computes them again; `--upstream --refresh missing` only those that are invalidated before, "
        f"the first by {invalidate}."
    )
    return f"Inputs reused from earlier runs: {named}. `--upstream --refresh all` {again}"
