"""Steps in addresses: `step=delays[2026-02-09]` in the address of a run is the step of that name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flowstone.assets.partition_keys import decode_partition
from flowstone.errors import PartitionError
from flowstone.server.addresses import partition_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.runs.running_step import RunningStep

__all__ = ["running_now", "step_of", "step_query", "step_text"]


def step_text(asset: str, key: str | None) -> str:
    """A step as text that `step_of` reads."""
    return asset if key is None else f"{asset}[{partition_text(key)}]"


def step_query(asset: str, key: str | None) -> str:
    """The same, quoted."""
    return quote(step_text(asset, key))


def step_of(text: str) -> tuple[str, Any]:
    """The asset and the partition of a step, as the calls of a runtime take them."""
    asset, bracket, rest = text.partition("[")
    if not bracket:
        return asset, None
    written = rest.removesuffix("]")
    if ":" not in written:
        return asset, written
    try:
        return asset, decode_partition(written)
    except PartitionError:
        return asset, written


def running_now(steps: Iterable[RunningStep], run_id: str) -> list[RunningStep]:
    """The steps of a run that run, the oldest first."""
    return sorted((step for step in steps if step.run_id == run_id), key=lambda step: step.started_at)
