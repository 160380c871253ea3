"""`flowstone why ASSET`: why an asset is as it is, down to the root."""

from __future__ import annotations

from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING, Any

from flowstone.actors import SystemClock
from flowstone.assets import PartitionView
from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.assets.partition_labels import partition_argument
from flowstone.assets.snapshot import Snapshot
from flowstone.cli.asset_keys import step_key
from flowstone.cli.finding import likely
from flowstone.cli.labels import key_label
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import (
    AssetAfterPipeline,
    Debug,
    Json,
    PartitionKey,
    PipelineOption,
    PipelineOrAsset,
    StoreUrl,
)
from flowstone.cli.places import history
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.masking import masked
from flowstone.runs.records import Status
from flowstone.runtime.client.explaining import Surroundings, explain
from flowstone.runtime.client.nodes import status_of
from flowstone.runtime.cluster.node_watch import NodeWatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.explanation import Explanation
    from flowstone.runs.pools import Pool
    from flowstone.runs.records import StepKey
    from flowstone.runtime.client.nodes import NodeStatus
    from flowstone.store import Store

__all__ = ["why"]


def why(
    first: PipelineOrAsset,
    second: AssetAfterPipeline = None,
    *,
    partition: PartitionKey = None,
    pipeline: PipelineOption = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show why an asset is as it is, and what mends it."""
    with Screen(json=json, debug=debug) as screen:
        if second is not None and pipeline is not None:
            raise CommandError("The pipeline is named twice.", "Leave out --pipeline.")
        asset, pipeline = (first, pipeline) if second is None else (second, first)
        explained, hint = run_async(_ask(store, pipeline, asset, partition))
        command = _command(explained, pipeline)
        if screen.json:
            screen.document(_document(explained))
            return
        screen.show(masked(str(explained)))
        if command:
            screen.note(command)
        if hint:
            screen.note(hint)


async def _ask(url: str, pipeline: str | None, asset: str, text: str | None) -> tuple[Explanation, str]:
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            return await client.why(asset, text), ""
    snapshot = None if pipeline is None else Snapshot.of((load(pipeline).pipeline,))
    async with history(url) as store:
        view = None if snapshot is None else await _view(store, snapshot)
        key = await step_key(store, asset, text) if view is None else _defined(view, asset, text)
        nodes = await _nodes(store)
        names = {name for node in nodes for step in node.queued for name in step.names}
        around = Surroundings(store, datetime.now(UTC), nodes, await _pools(store, names), view)
        explained = await explain(around, key)
        return explained, await _hint(store, explained, asset, text, defined=view is not None)


def _command(explained: Explanation, pipeline: str | None) -> str:
    """What is typed to mend it; empty if a run would not."""
    if explained.redo is None:
        return ""
    words = ["flowstone materialize", pipeline or "MODULE:PIPELINE", quote(explained.asset)]
    if explained.partition_key is not None:
        words.append(f"--partition {quote(key_label(explained.partition_key))}")
    if explained.redo == "upstream":
        words.append("--upstream --refresh stale")
    return " ".join(words)


async def _view(store: Store, snapshot: Snapshot) -> PartitionView:
    keys = {
        name: [decode_partition(key) for key in await store.partitions(name)] for name in snapshot.dynamic
    }
    return PartitionView(snapshot.graph, datetime.now(UTC), keys)


def _defined(view: PartitionView, asset: str, text: str | None) -> StepKey:
    name = view.graph[asset].name
    partition = view.parse(name, partition_argument(text))
    return name, None if partition is None else encode_partition(partition)


async def _nodes(store: Store) -> Sequence[NodeStatus]:
    if store.cluster is None:
        return ()
    found = await NodeWatch(store.cluster, SystemClock()).nodes()
    return tuple(status_of(each) for each in found if not each.gone)


async def _pools(store: Store, names: set[str]) -> Mapping[str, Pool]:
    if store.cluster is None or not names:
        return {}
    return {pool.name: pool for pool in await store.cluster.pools.show(sorted(names))}


async def _hint(store: Store, explained: Explanation, asset: str, text: str | None, *, defined: bool) -> str:
    if explained.status is Status.NEVER and not defined:
        return (await likely(store, asset, text)).strip()
    if explained.status is Status.SUCCEEDED and not defined:
        return "Whether it is stale shows with the pipeline: `flowstone why MODULE:PIPELINE ASSET`."
    return ""


def _document(explained: Explanation) -> dict[str, Any]:
    key = explained.partition_key
    return {
        "asset": explained.asset,
        "partition": None if key is None else key_label(key),
        "partition_key": key,
        "status": str(explained.status),
        "stale": explained.stale,
        "sentence": masked(explained.sentence),
        "run": explained.run_id,
        "since": None if explained.since is None else explained.since.isoformat(),
        "remedy": explained.remedy,
        "causes": [_document(cause) for cause in explained.causes],
    }
