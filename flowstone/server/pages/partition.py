"""One partition: where does this very value come from, and what was made of it?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.masking import masked
from flowstone.runs.records import Status
from flowstone.server.addresses import launch_path, partition_path
from flowstone.server.pages.page import Page
from flowstone.server.views.asset_rows import group_of
from flowstone.server.views.explained import chain_of, shape_of
from flowstone.server.views.history import history_of
from flowstone.server.views.lineage_tree import made_from, made_of, would_take

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.explanation import Explanation
    from flowstone.runs.records import Materialization
    from flowstone.runtime.runtime import Runtime
    from flowstone.server.asked import Asked

__all__ = ["PAGE", "partition_asked"]

_HISTORY: Final = 50
_RUNS: Final = 200
_NOW: Final = {
    Status.RUNNING: "It is computed now",
    Status.QUEUED: "It is to be computed",
    Status.WAITING: "It waits for an answer, a signal or an instant",
}
_ENDED: Final = {
    Status.FAILED: "failed",
    Status.SKIPPED: "was skipped",
    Status.CANCELLED: "was cancelled",
}


def partition_asked(last: str, query: Mapping[str, str]) -> str | None:
    """The text of the partition that an address names: its last part, or `key` where that would not do."""
    return last or query.get("key")


async def load(asked: Asked) -> Mapping[str, Any]:
    """Its records, its lineage, and its neighbours."""
    runtime = asked.runtime
    asset = runtime.graph[asked.path["name"]]
    key = await runtime.partition_key(asset, partition_asked(asked.path["key"], asked.query))
    partition = None if key is None else decode_partition(key)
    known = await asked.known.read(asset.name)
    records, why, runs, answers = await asyncio.gather(
        runtime.history(asset, partition=partition, limit=_HISTORY),
        runtime.why(asset, partition),
        runtime.runs(limit=_RUNS),
        runtime.approvals(status=None, asset=asset, limit=_HISTORY),
    )
    newest = records[0] if records else None
    kept = await _kept(runtime, asset.name, partition, records)
    shown = (
        kept if kept is not None and (asked.query.get("of") == "kept" or not _has_inputs(newest)) else newest
    )
    before, after = await _beside(runtime, asset.name, key)
    return {
        "asset": asset,
        "group": group_of(asset),
        "title": step_label(asset.name, key),
        "key_text": None if key is None else step_label("", key)[1:-1],
        "why": _capitalized(masked(why.sentence)),
        "chain": chain_of(why),
        "newest": newest,
        "kept": kept,
        "of": shown,
        "sentence": _sentence(why, kept),
        "made_from": (
            await made_from(runtime, shown, known.stale)
            if shown is not None and _has_inputs(shown)
            else await would_take(runtime, asset.name, key, known.stale)
        ),
        "has_inputs": _has_inputs(shown),
        "needs": [each.asset for each in asset.dependencies],
        "goes_into": await made_of(runtime, asset.name, key, kept, known.stale),
        "history": history_of(records, runs, known.automations),
        "answers": [each for each in answers if each.partition == partition],
        "launch": launch_path(asset.name, (key,)),
        "before": before,
        "after": after,
        "here": partition_path(asset.name, key),
    }


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _has_inputs(record: Materialization | None) -> bool:
    return record is not None and (record.status is Status.SUCCEEDED or bool(record.inputs))


async def _kept(
    runtime: Runtime, asset: str, partition: Any, records: Sequence[Materialization]
) -> Materialization | None:
    """The success that is current; None if there is none."""
    if not await runtime.exists(asset, partition=partition):
        return None
    return next((record for record in records if record.status is Status.SUCCEEDED), None)


async def _beside(
    runtime: Runtime, asset: str, key: str | None
) -> tuple[tuple[str, str] | None, tuple[str, str] | None]:
    """The partitions before and after it: what they are called, and where they are."""
    if key is None:
        return None, None
    keys = (await runtime.partition_states(asset))[asset].keys
    if key not in keys:
        return None, None
    place = keys.index(key)
    beside = (keys[place - 1] if place else None, keys[place + 1] if place + 1 < len(keys) else None)
    before, after = (
        (step_label("", each)[1:-1], partition_path(asset, each)) if each else None for each in beside
    )
    return before, after


def _sentence(why: Explanation, kept: Materialization | None) -> tuple[str, str, str]:
    """Shape, the words that are underlined, and the rest of the sentence."""
    shape, there = shape_of(why), kept is not None
    if why.status in _NOW:
        return shape, _NOW[why.status], "; a value is there meanwhile" if there else ""
    if why.status in _ENDED:
        rest = "; the value from before is kept" if there else "; there is no value"
        return shape, f"The last try {_ENDED[why.status]}", rest
    if why.status is Status.NEVER:
        return shape, "Its value is invalidated" if why.run_id else "It was never computed", ""
    return shape, "Its value is stale" if why.stale else "Its value is current", ""


PAGE: Final = Page(
    "assets",
    "/assets/{name}/{key:path}",
    "partition.html",
    load,
    ("state", "said", "cause", "lineage", "value", "happened"),
    pace=0.5,
    stale=True,
)
