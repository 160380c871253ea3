"""Why an asset is as it is: from what nodes say, unfinished runs, waits and records, in this order.

What is under way counts first. A step that runs, or is to begin, is named by its node; whatever else is under way
is known from the unfinished runs that have the step, by their plans, and from what they recorded of it last. What
is not under way is known from its newest record (`explaining_records.py`).

Everything is read from a store, so this is the same for a runtime and for a command that only opens one. Without
definitions, plans and staleness are not known, and the rest is.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.errors import FlowstoneError
from flowstone.frozen import frozen
from flowstone.runs.events import StepRetried, StepWaiting
from flowstone.runs.explanation import Explanation, when
from flowstone.runs.planner import plan_run
from flowstone.runs.records import Status
from flowstone.runs.standing_words import queued_words, retry_words, running_words, wait_remedy, wait_words
from flowstone.runtime.client.explaining_records import Records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.events import AttemptEvent
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.pools import Pool
    from flowstone.runs.records import RunRecord, StepKey
    from flowstone.runtime.client.nodes import NodeStatus
    from flowstone.store.protocol import Store

__all__ = ["Surroundings", "explain"]

_UNFINISHED: Final = (Status.RUNNING, Status.WAITING, Status.QUEUED)
_MOST_RUNS: Final = 1_000  # Unfinished ones that are looked through.
_MOST_PLANS: Final = 100  # Of these.
_MOST_STEPS: Final = 10_000  # Upstream of a step, that are looked through for those it waits for.
_MOST_CAUSES: Final = 3
_DEEPEST: Final = 30
_LARGEST: Final = 200  # Nodes of the tree.


@frozen
class Surroundings:
    """What an explanation is made from.

    Attributes:
        store: Records, runs and waits.
        now: The instant.
        nodes: What each node does.
        pools: By name, as far as they are known.
        view: The partitions of all assets, or None where there are no definitions.
    """

    store: Store
    now: datetime
    nodes: Sequence[NodeStatus]
    pools: Mapping[str, Pool]
    view: PartitionView | None


async def explain(around: Surroundings, key: StepKey) -> Explanation:
    """Why a step is as it is."""
    return await _Explaining(around).of(key)


class _Explaining:
    """One tree: every step is explained once in it, where it is met first."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._store = around.store
        self._records = Records(around.store, around.view, self.of)
        self._plans: dict[str, RunPlan | None] = {}
        self._seen: set[StepKey] = set()
        self._depth = 0

    async def of(self, key: StepKey) -> Explanation:
        if key in self._seen or self._depth > _DEEPEST or len(self._seen) >= _LARGEST:
            sentence = "see above" if key in self._seen else "more is not shown here"
            return _explanation(key, sentence, Status.NEVER)
        self._seen.add(key)
        self._depth += 1
        try:
            looks: tuple[Callable[[StepKey], Awaitable[Explanation | None]], ...] = (
                self._constant,
                self._on_node,
                self._under_way,
            )
            for look in looks:
                if (found := await look(key)) is not None:
                    return found
            return await self._records.explain(key)
        finally:
            self._depth -= 1

    async def _constant(self, key: StepKey) -> Explanation | None:
        view = self._around.view
        if view is None or key[0] not in view.graph or not view.graph[key[0]].is_constant:
            return None
        return _explanation(key, "current: its pipeline defines its value", Status.SUCCEEDED)

    async def _on_node(self, key: StepKey) -> Explanation | None:
        for node in self._around.nodes:
            if not node.alive:
                continue
            for running in node.running:
                if (running.asset, running.partition_key) == key:
                    return _explanation(
                        key, running_words(running), Status.RUNNING, running.run_id, running.started_at
                    )
            for queued in node.queued:
                if (queued.asset, queued.partition_key) == key:
                    words = queued_words(queued, self._around.pools)
                    return _explanation(key, words, Status.QUEUED, queued.run_id)
        return None

    # Unfinished runs ----------------------------------------------------------------------------------------

    async def _under_way(self, key: StepKey) -> Explanation | None:
        """Of an unfinished run that has the step and has not ended it; one in which it has begun counts first."""
        asked: list[RunRecord] = []
        for run, begun in await self._unfinished(key):
            event = await self._store.attempt_event(run.id, key) if begun else None
            if event is not None:
                return await self._attempted(key, run, event)
            asked.append(run)
        for run in asked[:_MOST_PLANS]:
            plan = self._plan(run)
            if plan is not None and plan.number(*key) is not None:
                return await self._not_begun(key, run, plan)
        return None

    async def _unfinished(self, key: StepKey) -> Sequence[tuple[RunRecord, bool]]:
        store = self._store
        if store.cluster is not None:
            return await store.cluster.under_way(key)
        found = []
        for run in await store.runs(statuses=_UNFINISHED, limit=_MOST_RUNS):
            plan = self._plan(run)
            if (plan is None or plan.number(*key) is not None) and await store.step(run.id, key) is None:
                found.append((run, True))
        return found

    async def _attempted(self, key: StepKey, run: RunRecord, event: AttemptEvent) -> Explanation:
        if isinstance(event, StepWaiting):
            if await self._store.waits.waiting(key):
                words, remedy = wait_words(event), wait_remedy(event)
                return _explanation(key, words, Status.WAITING, run.id, event.at, remedy)
            return _explanation(key, "woken: it goes on as soon as a node takes it", Status.QUEUED, run.id)
        if isinstance(event, StepRetried):
            words = retry_words(event, self._around.now)
            return _explanation(key, words, Status.RUNNING, run.id, event.at)
        owner = next((node for node in self._around.nodes if node.id == run.owner), None)
        if self._store.cluster is not None and run.owner is not None and (owner is None or not owner.alive):
            words = (
                f"was running, attempt {event.attempt}, when its node {run.owner} was lost: it is taken over"
            )
            return _explanation(key, words, Status.RUNNING, run.id, event.at, self._start_node(run))
        words = f"running, attempt {event.attempt}, since {when(event.at)}"
        return _explanation(key, words, Status.RUNNING, run.id, event.at)

    async def _not_begun(self, key: StepKey, run: RunRecord, plan: RunPlan) -> Explanation:
        if run.status is Status.QUEUED:
            words = f"queued: run {run.id} waits for a node to take it, since {when(run.created_at)}"
            return _explanation(key, words, Status.QUEUED, run.id, run.created_at, self._start_node(run))
        pending = await self._pending(plan, run, key)
        if not pending:
            words = f"queued in run {run.id}: other steps of it come first"
            return _explanation(key, words, Status.QUEUED, run.id, run.started_at)
        more = f" and {len(pending) - 1:,} more" if len(pending) > 1 else ""
        causes = tuple([await self.of(each) for each in pending[:_MOST_CAUSES]])
        words = f"queued in run {run.id}: waits for {step_label(*pending[0])}{more}"
        return _explanation(key, words, Status.QUEUED, run.id, run.started_at, causes=causes)

    async def _pending(self, plan: RunPlan, run: RunRecord, key: StepKey) -> list[StepKey]:
        """The steps of the run upstream of it that have not ended."""
        number = plan.number(*key)
        assert number is not None
        steps = [step for each in plan.upstream(number) for step in each][:_MOST_STEPS]
        keys = [(asset, one) for asset, _, one in map(plan.step, steps)]
        ended = await self._store.steps_of(run.id, keys)
        return [each for each in keys if each not in ended]

    def _plan(self, run: RunRecord) -> RunPlan | None:
        """The plan of a run as it was asked for; None where today's definitions have none for it."""
        if run.id not in self._plans:
            self._plans[run.id] = self._planned(run)
        return self._plans[run.id]

    def _planned(self, run: RunRecord) -> RunPlan | None:
        if self._around.view is None:
            return None
        as_of = run.request.as_of
        moment = run.created_at if as_of is None else datetime.fromisoformat(as_of)
        view = self._around.view.at(moment)
        try:
            return plan_run(view.graph, view, run.request)
        except FlowstoneError:
            return None

    def _start_node(self, run: RunRecord) -> str | None:
        if any(node.alive and run.pipeline in node.pipelines for node in self._around.nodes):
            return None
        return f"Start a node that has the pipeline {run.pipeline!r}, such as `flowstone serve`."


def _explanation(
    key: StepKey,
    sentence: str,
    status: Status,
    run_id: str | None = None,
    since: datetime | None = None,
    remedy: str | None = None,
    causes: tuple[Explanation, ...] = (),
) -> Explanation:
    asset, partition_key = key
    partition = None if partition_key is None else decode_partition(partition_key)
    return Explanation(
        sentence,
        asset,
        partition,
        partition_key,
        status,
        run_id=run_id,
        since=since,
        remedy=remedy,
        causes=causes,
    )
