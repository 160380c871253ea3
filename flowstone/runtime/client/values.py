"""Questions about values: is there one, which one is current, what is its history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.outcome import ENDED_WITHOUT
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.errors import PartitionError, ValueNotFound
from flowstone.runs.failure_text import why_no_value
from flowstone.runs.items import ENDED, item_of, items_of_pages
from flowstone.runs.partition_states import counts_of, states_of
from flowstone.runs.records import Status
from flowstone.runtime.client.requests import asset_named, encoded
from flowstone.runtime.run.values import load_value
from flowstone.store.invalidation import with_downstream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.partition_set import PartitionSet
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.audit import Act
    from flowstone.runs.items import Item
    from flowstone.runs.partition_states import PartitionCounts, PartitionStates, Skips
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.runtime.client.run_client import RunClient
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.protocol import KeysByStatus

__all__ = ["Values"]

_MOST_FAILED = 1_000  # Failed steps of a run among which the one is looked for that had another one skipped.
_NEVER_CHANGE_CURRENT = (Status.REUSED, Status.SKIPPED, Status.CANCELLED)


class Values:
    """What is known of the values of a runtime's assets."""

    def __init__(self, ctx: RuntimeContext, client: RunClient, runs: LocalRuns) -> None:
        self._ctx = ctx
        self._client = client
        self._runs = runs

    async def load(self, asset: Any, partition: Any) -> Any:
        view, key = await self._key(asset, partition)
        constant = view.graph[key[0]]
        if constant.is_constant:
            return constant.value
        record = (await self._ctx.store.current([key])).get(key)
        if record is None:
            raise ValueNotFound(f"{step_label(*key)} has no current value: {await self._why_none(key)}")
        return await load_value(self._ctx, record)

    async def _why_none(self, key: StepKey) -> str:
        """How its last step ended, if that says it; else what to do."""
        store = self._ctx.store
        newest = next(iter(await store.history(key, limit=1)), None)
        if newest is None or newest.status.value not in ENDED_WITHOUT:
            return f"materialize it first{self._elsewhere()}."
        skipped = newest.status is Status.SKIPPED
        failed = await store.steps(newest.run_id, status=Status.FAILED, limit=_MOST_FAILED) if skipped else ()
        return f"in run {newest.run_id} {why_no_value(newest, failed)}"

    def _elsewhere(self) -> str:
        """What else may be meant: the command line keeps values in a folder, and a runtime in memory by default."""
        if self._ctx.memory is None:
            return ""
        return ", or, as this runtime knows only what it computed itself (memory://), give it a store that has it"

    async def exists(self, asset: Any, partition: Any) -> bool:
        view, key = await self._key(asset, partition)
        if view.graph[key[0]].is_constant:
            return True
        return key in await self._ctx.store.current([key])

    async def status(self, asset: Any, partition: Any) -> Status:
        """What is under way counts first, then the last failure, then whether there is a current value."""
        view, key = await self._key(asset, partition)
        if view.graph[key[0]].is_constant:
            return Status.SUCCEEDED
        live = self._live_status(key)
        if live is None and (self._ctx.store.cluster is not None or await self._ctx.store.waits.waiting()):
            from flowstone.runtime.cluster.remote_runs import status_elsewhere  # noqa: PLC0415 - few need it

            live = await status_elsewhere(self._ctx.store, view, key)
        if live is not None:
            return live
        history = await self._ctx.store.history(key, limit=1)
        if not history:
            return Status.NEVER
        newest = history[0].status
        if newest is Status.FAILED:
            return newest
        if key in await self._ctx.store.current([key]):
            return Status.SUCCEEDED
        return newest if newest in (Status.SKIPPED, Status.CANCELLED) else Status.NEVER

    async def partition_states(self, assets: Sequence[str], latest: int | None) -> dict[str, PartitionStates]:
        """What has become of the partitions of these assets, of each at most so many of the latest."""
        view = await self._client.view()
        known = await self._ctx.store.keys_by_status(assets)
        with_skips = [asset for asset in assets if Status.SKIPPED in known.get(asset, {})]
        skips = await self._ctx.store.skipped(with_skips) if with_skips else {}
        places: dict[PartitionSet[Any], Mapping[str | None, int]] = {}
        return {
            asset: _states(view, asset, (known.get(asset, {}), skips.get(asset, {})), latest, places)
            for asset in assets
        }

    async def partition_counts(self, assets: Sequence[str]) -> dict[str, PartitionCounts]:
        """How many partitions of these assets stand how."""
        view = await self._client.view()
        known = await self._ctx.store.count_by_status(assets)
        found = {}
        for asset in assets:
            partitions = view.set_of(asset)
            counted = {Status.SUCCEEDED: (1, 1)} if view.graph[asset].is_constant else known.get(asset, {})
            found[asset] = counts_of(asset, None if partitions is None else len(partitions), counted)
        return found

    async def history(self, asset: Any, partition: Any, limit: int, offset: int) -> Sequence[Materialization]:
        _, key = await self._key(asset, partition)
        return await self._ctx.store.history(key, limit=limit, offset=offset)

    async def partition_key(self, asset: Any, partition: Any) -> str | None:
        return (await self._key(asset, partition))[1][1]

    async def recent(self, asset: Any, limit: int, offset: int) -> Sequence[Materialization]:
        view = await self._client.view()
        return await self._ctx.store.recent(asset_named(view.graph, asset).name, limit=limit, offset=offset)

    async def items(
        self, run_id: str, asset: Any, partition: Any, status: str | None, limit: int, offset: int
    ) -> Sequence[Item]:
        if status is not None and status not in tuple(ENDED):  # What has no hash is compared too.
            raise ValueError(
                f"status={status!r:.50}: an item is one of {', '.join(ENDED)}, or has not ended."
            )
        code = None if status is None else ENDED[Status(status)]
        view, key = await self._key(asset, partition)
        if view.graph[key[0]].is_reader:
            read = (
                []
                if status not in (None, Status.SUCCEEDED)
                else await self._ctx.store.items.rows(run_id, key)
            )
            return items_of_pages(read, offset, limit)
        rows = await self._ctx.store.items.rows(run_id, key, code=code, offset=offset, limit=limit)
        return [item_of(row) for row in rows]

    async def to_invalidate(self, asset: Any, partition: Any, *, downstream: bool) -> list[StepKey]:
        """What is meant to be invalidated: without a partition, all current partitions of a partitioned asset."""
        view = await self._client.view()
        name = asset_named(view.graph, asset).name
        if partition is None:
            keys: list[StepKey] = [(name, key) for key in await self._ctx.store.current_keys(name)]
            if not keys and view.graph[name].partitions is None:
                # What was computed from a value that is no longer current may still stand.
                keys = [(name, None)]
        else:
            keys = [(name, encoded(view, name, partition))]
        return await with_downstream(self._ctx.store, keys) if downstream else keys

    async def add_partitions(self, name: str, keys: Sequence[Any], act: Act) -> int:
        return await self._ctx.store.add_partitions(_set_named(name), _texts(name, keys), act)

    async def remove_partitions(self, name: str, keys: Sequence[Any], act: Act) -> int:
        return await self._ctx.store.remove_partitions(_set_named(name), _texts(name, keys), act)

    async def _key(self, asset: Any, partition: Any) -> tuple[PartitionView, StepKey]:
        view = await self._client.view()
        name = asset_named(view.graph, asset).name
        return view, (name, encoded(view, name, partition))

    def _live_status(self, key: StepKey) -> Status | None:
        for run in reversed(self._runs.live.values()):
            number = run.plan.number(*key)
            if number is not None and run.state is not None:
                status = run.state.status_of(number)
                if not status.terminal:
                    return status
        return None


def _states(
    view: PartitionView,
    asset: str,
    recorded: tuple[KeysByStatus, Skips],
    latest: int | None,
    places: dict[PartitionSet[Any], Mapping[str | None, int]],
) -> PartitionStates:
    """Assets that share a partition set share the places of its keys: to encode those is what takes time."""
    known, skips = recorded
    partitions = view.set_of(asset)
    if partitions is None:
        own = dict.fromkeys(key for keys in known.values() for key in keys) or {None: None}
        return states_of(
            asset,
            {key: place for place, key in enumerate(own)},
            _in_order(view, asset, known),
            len(own),
            skips,
        )
    shared = places.get(partitions)
    if shared is None:
        keys = view.keys(asset)
        shown = keys if latest is None else keys[max(0, len(keys) - latest) :]
        shared = places[partitions] = {encode_partition(key): place for place, key in enumerate(shown)}
    return states_of(asset, shared, _in_order(view, asset, known), len(partitions), skips)


def _in_order(
    view: PartitionView, asset: str, known: KeysByStatus
) -> list[tuple[Status, Iterable[str | None]]]:
    """What is said of a partition later counts: a current value says more than a skip, a failure more than both."""
    if view.graph[asset].is_constant:
        return [(Status.SUCCEEDED, (None,))]
    order = (Status.SKIPPED, Status.CANCELLED, Status.SUCCEEDED, Status.FAILED)
    return [(status, known[status]) for status in order if status in known]


def _set_named(name: object) -> str:
    if isinstance(name, DynamicPartitions):
        return name.name
    if not isinstance(name, str):
        raise PartitionError(f"{name!r:.100} is not the name of a dynamic partition set: pass a str.")
    return DynamicPartitions(name).name


def _texts(name: object, keys: object) -> list[str]:
    """The encoded keys of a list as a user wrote it."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise PartitionError(f"The keys of {name!r:.100} are a list: write [{keys!r:.100}].")
    texts = []
    for key in keys:
        if key is None:
            raise PartitionError(f"{name!r:.100} takes no key None, which means “no partition”.")
        texts.append(encode_partition(key))
    return texts
