"""Why an asset that is not under way is as it is: from its newest record and its current value, and from theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.errors import FlowstoneError
from flowstone.printable import printable
from flowstone.runs.explanation import Explanation, when
from flowstone.runs.planner import plan_run
from flowstone.runs.records import RunSpec, Status
from flowstone.runs.standing_words import failure_words, who_asked
from flowstone.runtime.client.staleness import in_words, stale_steps
from flowstone.runtime.run.inputs import needs_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.explanation import Redo
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.reasons import Reason
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.store.protocol import Store

__all__ = ["Records"]

_MOST_LISTED: Final = 1_000  # Steps of a run among which the one is looked for that had another one skipped.
_MOST_STEPS: Final = 5_000  # Steps upstream that are looked at for whether a value is stale.
_MOST_CAUSES: Final = 3


class Records:
    """Explains what is on record.

    Args:
        store: Where it is.
        view: The partitions of all assets, or None where there are no definitions.
        explain: Explains a cause.
    """

    def __init__(
        self,
        store: Store,
        view: PartitionView | None,
        explain: Callable[[StepKey], Awaitable[Explanation]],
    ) -> None:
        self._store = store
        self._view = view
        self._explain = explain
        self._looked: RunPlan | None = None  # Whose steps are known to be stale or not.
        self._reasons: dict[StepKey, Reason] = {}

    async def explain(self, key: StepKey) -> Explanation:
        """By the newest record."""
        newest = next(iter(await self._store.history(key, limit=1)), None)
        current = (await self._store.current([key])).get(key)
        status = Status.NEVER if newest is None else newest.status
        if newest is not None and status is Status.FAILED:
            return await self._failed(newest, current)
        if newest is not None and status is Status.SKIPPED:
            return await self._skipped(newest, current)
        if current is not None:
            return await self._current(key, current)
        if newest is None:
            return await self._never(key)
        if status is Status.CANCELLED:
            words = f"cancelled with its run{_at(newest)}"
            return _of(newest, words, redo="alone")
        words = "invalidated: its value" + (
            "" if newest.finished_at is None else f" of {when(newest.finished_at)}"
        )
        explained = _of(newest, f"{words} is no longer current", redo="alone")
        return replace(explained, status=Status.NEVER, since=None)

    async def _failed(self, record: Materialization, current: Materialization | None) -> Explanation:
        tries = f" after {record.attempt} attempts" if record.attempt > 1 else ""
        words = f"failed{tries}: {failure_words(record.failure)}{_value_beside(current)}"
        causes: tuple[Explanation, ...] = ()
        if record.failure is not None and record.failure.kind == "dependency":
            missing = await self._missing_inputs(record)
            causes = tuple([await self._explain(each) for each in missing[:_MOST_CAUSES]])
            if missing:
                words = f"failed because {step_label(*missing[0])} has no value{_value_beside(current)}"
        unready = record.failure is not None and record.failure.kind == "dependency"
        return _of(record, words, redo="upstream" if unready else "alone", causes=causes)

    async def _missing_inputs(self, record: Materialization) -> list[StepKey]:
        """What it needs and is not there now, by the definitions of now."""
        if self._view is None or record.asset not in self._view.graph:
            return []
        graph = self._view.graph
        try:
            needs = needs_of(graph, self._view, graph[record.asset], record.partition, record.partition_key)
        except FlowstoneError:
            return []
        keys = [key for need in needs if not need.takes_outcome for key in need.keys][:_MOST_STEPS]
        found = await self._store.current(keys)
        return [key for key in keys if key not in found]

    async def _skipped(self, record: Materialization, current: Materialization | None) -> Explanation:
        failure = record.failure
        if failure is None:
            return _of(record, f"skipped{_value_beside(current)}")
        by_choice = failure.kind == "skip"
        if failure.cause is None:
            reason = failure_words(failure) or "it gave no reason"
            return _of(record, f"skipped by choice: {reason}{_value_beside(current)}")
        status = Status.SKIPPED if by_choice else Status.FAILED
        cause = await self._step_called(failure.cause, record.run_id, status)
        if cause is None:
            because = printable(failure.message).removeprefix("Skipped because ")
            return _of(record, f"skipped because {because}{_value_beside(current)}")
        explained = await self._explain((cause.asset, cause.partition_key))
        verb = "was skipped by choice" if by_choice else "failed"
        words = f"skipped because {cause.name} {verb}: {failure_words(cause.failure)}{_value_beside(current)}"
        mended = explained.status is Status.SUCCEEDED and not explained.stale
        redo: Redo = "alone" if mended else "upstream"
        return _of(record, words, redo=None if by_choice else redo, causes=(explained,))

    async def _step_called(self, name: str, run_id: str, status: Status) -> Materialization | None:
        steps = await self._store.steps(run_id, status=status, limit=_MOST_LISTED)
        return next((each for each in steps if each.name == name), None)

    async def _current(self, key: StepKey, current: Materialization) -> Explanation:
        reason = await self._stale(key)
        if reason is not None:
            causes: tuple[Explanation, ...] = (
                () if reason.upstream is None else (await self._explain(reason.upstream),)
            )
            since = causes[0].since if causes else None
            words = f"stale because {in_words(reason, self._reasons).because}"
            upstream_first = bool(causes) and (causes[0].stale or causes[0].redo is not None)
            explained = _of(current, words, redo="upstream" if upstream_first else "alone", causes=causes)
            return replace(explained, stale=True, since=since)
        run = await self._store.run(current.run_id)
        because = "" if run is None else f" because {who_asked(run, key)}"
        return _of(current, f"current, computed{_at(current)}{because}")

    async def _stale(self, key: StepKey) -> Reason | None:
        """Why `refresh="stale"` would compute it again; what is upstream of the first one is known with it."""
        if self._looked is not None and self._looked.number(*key) is not None:
            return self._reasons.get(key)
        plan = self._stale_plan(key)
        if plan is None:
            return None
        async for _ in stale_steps(self._store, plan, self._reasons, missing=False):
            pass
        self._looked = plan
        return self._reasons.get(key)

    def _stale_plan(self, key: StepKey) -> RunPlan | None:
        """What a run of it would look at; with very much upstream, itself alone."""
        view = self._view
        if view is None or key[0] not in view.graph:
            return None
        declared = view.graph[key[0]].partitions is not None
        if declared != (key[1] is not None):
            return None
        spec = RunSpec(
            "materialize_all", key[0], (key[1],), refresh="stale", partitioned=declared, upstream=True
        )
        try:
            plan = plan_run(view.graph, view, spec)
            if plan.total > _MOST_STEPS:
                plan = plan_run(view.graph, view, replace(spec, upstream=False))
        except FlowstoneError:
            return None
        return plan

    async def _never(self, key: StepKey) -> Explanation:
        partition = None if key[1] is None else decode_partition(key[1])
        if self._view is None and not await self._is_known(key[0]):
            words = "not known: no run here has asked for an asset of this name, or computed one"
            return Explanation(words, key[0], partition, key[1], Status.NEVER)
        remedy, automation = _redo_words(step_label(*key), "upstream"), None
        if self._view is not None and key[0] in self._view.graph:
            automation = self._view.graph[key[0]].automation
        if automation is not None:
            remedy = f"{remedy.rstrip('.')}, or wait for its automation {automation!r}."
        return Explanation(
            "never asked for", key[0], partition, key[1], Status.NEVER, remedy=remedy, redo="upstream"
        )

    async def _is_known(self, asset: str) -> bool:
        store = self._store
        return bool(await store.recent(asset, limit=1) or await store.runs(asset=asset, limit=1))


def _redo_words(name: str, redo: Redo) -> str:
    return f"Materialize {name} again." if redo == "alone" else f"Materialize {name} with what it needs."


def _of(
    record: Materialization,
    words: str,
    *,
    redo: Redo | None = None,
    causes: tuple[Explanation, ...] = (),
) -> Explanation:
    return Explanation(
        words,
        record.asset,
        record.partition,
        record.partition_key,
        record.status,
        run_id=record.run_id,
        since=record.finished_at,
        remedy=None if redo is None else _redo_words(record.name, redo),
        redo=redo,
        causes=causes,
    )


def _at(record: Materialization) -> str:
    return "" if record.finished_at is None else f" at {when(record.finished_at)}"


def _value_beside(current: Any) -> str:
    return "" if current is None else f"; the value of {when(current.finished_at)} is still current"
