"""`flowstone lineage ASSET`: from which values a value was computed, and what was computed from it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from flowstone.cli.asset_keys import defined_key, step_key
from flowstone.cli.finding import likely
from flowstone.cli.labels import key_label, step_label
from flowstone.cli.loop import run_async
from flowstone.cli.options import (
    AssetName,
    Debug,
    Json,
    PartitionKey,
    PipelineOption,
    StoreUrl,
)
from flowstone.cli.places import history, shown
from flowstone.cli.problem import FAILED, CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.counting import count

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from flowstone.runs.records import StepKey
    from flowstone.store import Store

__all__ = ["lineage"]

_MOST = 100_000


def lineage(
    asset: AssetName,
    *,
    partition: PartitionKey = None,
    pipeline: PipelineOption = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a value was computed from, and what from it."""
    with Screen(json=json, debug=debug) as screen:
        start, above, below = run_async(_trace(store, pipeline, asset, partition))
        if screen.json:
            screen.document(
                {
                    "asset": start[0][0],
                    "partition_keys": [key for _, key in start],
                    "upstream": _documents(above),
                    "downstream": _documents(below),
                }
            )
            return
        label = step_label(*start[0]) if len(start) == 1 else f"{asset} ({count(len(start), 'partition')})"
        screen.show(label)
        for title, found in (("computed from", above), ("used by", below)):
            screen.show(f"  {title}" + ("" if found else " nothing recorded"))
            for line in _lines(found):
                screen.show(line)


async def _trace(
    url: str, pipeline: str | None, asset: str, text: str | None
) -> tuple[list[StepKey], dict[StepKey, int], dict[StepKey, int]]:
    if isinstance(url, ServerUrl):
        return await _asked(url, asset, text)
    defined = defined_key(pipeline, asset, text)
    async with history(url) as store:
        key = defined or await step_key(store, asset, text)
        start = [key]
        if text is None:
            start = sorted((asset, one) for one in await store.current_keys(asset)) or start
        if not await store.current(start):
            hint = await likely(store, asset, text)
            raise CommandError(
                f"{step_label(*key)} has no current value in {shown(url)}.",
                hint.strip() or "Materialize it first, or name another store with --store.",
                status=FAILED,
            )
        return start, await _walk(start, _inputs_of(store)), await _walk(start, _consumers_of(store))


async def _asked(
    url: ServerUrl, asset: str, text: str | None
) -> tuple[list[StepKey], dict[StepKey, int], dict[StepKey, int]]:
    """The same of a server."""
    async with asked(url) as client:
        current = await client.current(asset, partition=text, limit=_MOST)
        if not current:
            raise CommandError(
                f"{asset} has no current value in {shown(url)}.", "Materialize it first.", status=FAILED
            )
        above: dict[StepKey, int] = {}
        below: dict[StepKey, int] = {}
        for record in current:
            for found, ask in ((above, client.lineage.upstream), (below, client.lineage.downstream)):
                for each in await ask(asset, partition=record.partition):
                    key = (each.asset, each.partition_key)
                    found[key] = min(each.depth, found.get(key, each.depth))
        start = [(record.asset, record.partition_key) for record in current]
        return start, above, below


async def _walk(
    start: Sequence[StepKey], neighbours: Callable[[Sequence[StepKey]], Awaitable[Iterable[StepKey]]]
) -> dict[StepKey, int]:
    """Every key reached from `start`, with the number of steps on the shortest way."""
    seen: dict[StepKey, int] = dict.fromkeys(start, 0)
    layer: Sequence[StepKey] = start
    depth = 0
    while layer:
        depth += 1
        layer = [key for key in dict.fromkeys(await neighbours(layer)) if key not in seen]
        seen.update(dict.fromkeys(layer, depth))
    return {key: distance for key, distance in seen.items() if distance}


def _inputs_of(store: Store) -> Callable[[Sequence[StepKey]], Awaitable[Iterable[StepKey]]]:
    async def inputs(keys: Sequence[StepKey]) -> list[StepKey]:
        records = await store.current(keys)
        return [(one.asset, one.partition_key) for record in records.values() for one in record.inputs]

    return inputs


def _consumers_of(store: Store) -> Callable[[Sequence[StepKey]], Awaitable[Iterable[StepKey]]]:
    async def consumers(keys: Sequence[StepKey]) -> list[StepKey]:
        found = await store.downstream(keys)
        return [key for consumers in found.values() for key in consumers]

    return consumers


def _lines(found: dict[StepKey, int]) -> list[str]:
    """One line per asset, nearest first: `    weather: 31 partitions, 2012-01-01 to 2012-01-31`."""
    by_asset: dict[str, list[str | None]] = defaultdict(list)
    for asset, key in sorted(found, key=lambda step: (found[step], step[0], step[1] or "")):
        by_asset[asset].append(key)
    lines = []
    for asset, keys in by_asset.items():
        if len(keys) == 1:
            lines.append(f"    {step_label(asset, keys[0])}")
        else:
            lines.append(
                f"    {asset}: {count(len(keys), 'partition')}, {key_label(keys[0])} to {key_label(keys[-1])}"
            )
    return lines


def _documents(found: dict[StepKey, int]) -> list[dict[str, Any]]:
    return [
        {
            "asset": asset,
            "partition": None if key is None else key_label(key),
            "partition_key": key,
            "depth": depth,
        }
        for (asset, key), depth in found.items()
    ]
