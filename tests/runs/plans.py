"""Small plans for tests of the state machine, made by hand so that they need no assets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flowstone.runs.events import (
    RunCancelRequested,
    StepCancelled,
    StepFailed,
    StepRetried,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.plan import AssetPlan, Opening
from flowstone.runs.records import Failure, Materialization, Status

AT = datetime(2025, 1, 1, tzinfo=UTC)
FAILURE = Failure("error", "ValueError: no", retryable=True)
NODE_LEFT = Failure("lost", "the node was shut down", retryable=True)


def same(key: int) -> list[int]:
    """The link of a key to the same key: where both assets have as many, their steps are counterparts."""
    return [key]


class HandEdge:
    """A dependency that calls a function of the key, which may name keys that the upstream does not have."""

    def __init__(
        self,
        plan: AssetPlan,
        upstream: AssetPlan,
        choose: Any,
        *,
        takes: str = "value",
        optional: bool = False,
    ) -> None:
        self.upstream = upstream
        self.aligned = choose is same and len(plan.keys) == len(upstream.keys)
        self.constant = False
        self._choose = choose
        self.takes = takes
        self.optional = optional

    def numbers(self, position: int, keys: Any) -> list[range]:
        chosen = self._choose(keys[position])
        if isinstance(chosen, range):
            start, stop = chosen.start, min(chosen.stop, len(self.upstream.keys))
            return [range(self.upstream.offset + start, self.upstream.offset + stop)]
        wanted = sorted(key for key in chosen if 0 <= key < len(self.upstream.keys))
        at = [self.upstream.offset + key for key in wanted]
        if at and at[-1] - at[0] == len(at) - 1:
            return [range(at[0], at[-1] + 1)]
        return [range(number, number + 1) for number in at]


@dataclass
class HandPlan:
    """A plan of integer keys; `links[asset]` says which (upstream asset, keys) a key depends on.

    What was asked for are the steps on which no other one depends, and `also`.
    """

    sizes: dict[str, int]
    links: dict[str, Any] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)
    template: HandPlan | None = None
    opening: Opening | None = None
    kinds: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    also: frozenset[int] = frozenset()
    limited: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.assets: list[AssetPlan] = []
        offset = 0
        for index, (name, size) in enumerate(self.sizes.items()):
            self.assets.append(AssetPlan(name, index, offset, range(size), self.refresh.get(name, "all")))
            offset += size
        self.total = offset
        self.offsets = [plan.offset for plan in self.assets]
        sizes = list(self.sizes.values())
        self.wide = len(sizes) - sizes.count(1)
        self.widest = max(sizes, default=0)
        self.reuses = any(plan.refresh != "all" for plan in self.assets)
        self.chooses = any(kind.get("takes", "value") != "value" for kind in self.kinds.values())
        self.by_name = {plan.asset: plan for plan in self.assets}
        for plan in self.assets:
            links = self.links.get(plan.asset, {})
            edges = [
                HandEdge(plan, self.by_name[name], choose, **self.kinds.get((plan.asset, name), {}))
                for name, choose in links.items()
            ]
            plan.edges = edges  # type: ignore[assignment]  # structural twin
            if all(edge.aligned for edge in edges):
                plan.shifts = [plan.offset - edge.upstream.offset for edge in edges]
            else:
                plan.shifts = None
            plan.downstream = [
                self.by_name[other].index for other, links in self.links.items() if plan.asset in links
            ]

    def of(self, step: int) -> AssetPlan:
        return next(plan for plan in reversed(self.assets) if plan.offset <= step)

    def upstream(self, step: int) -> list[range]:
        plan = self.of(step)
        return list(plan.upstream(step - plan.offset))

    def upstream_steps(self, step: int) -> list[int]:
        return [number for numbers in self.upstream(step) for number in numbers]

    @property
    def targets(self) -> list[range]:
        needed = {up for step in range(self.total) for up in self.upstream_steps(step)}
        return [
            range(step, step + 1) for step in range(self.total) if step not in needed or step in self.also
        ]

    def number(self, asset: str, partition_key: str | None) -> int | None:
        plan = self.by_name.get(asset)
        return None if plan is None or partition_key is None else plan.offset + int(partition_key)

    def name(self, step: int) -> tuple[str, str]:
        plan = self.of(step)
        return plan.asset, str(step - plan.offset)


def record(plan: HandPlan, step: int, status: Status, attempt: int = 0) -> Materialization:
    asset, key = plan.name(step)
    return Materialization(asset, key, key, "run", status, attempt)


def started(plan: HandPlan, step: int, attempt: int) -> StepStarted:
    return StepStarted(AT, "run", *plan.name(step), attempt)


def succeeded(plan: HandPlan, step: int, attempt: int) -> StepSucceeded:
    return StepSucceeded(AT, "run", *plan.name(step), attempt, record(plan, step, Status.SUCCEEDED, attempt))


def failed(plan: HandPlan, step: int, attempt: int) -> StepFailed:
    return StepFailed(AT, "run", *plan.name(step), attempt, record(plan, step, Status.FAILED, attempt))


def retried(plan: HandPlan, step: int, attempt: int) -> StepRetried:
    return StepRetried(AT, "run", *plan.name(step), attempt, FAILURE, 1.0)


def released(plan: HandPlan, step: int, attempt: int) -> StepRetried:
    """Its node went away in order, and stopped it first."""
    return StepRetried(AT, "run", *plan.name(step), attempt, NODE_LEFT, 0.0)


def waiting(plan: HandPlan, step: int, attempt: int) -> StepWaiting:
    return StepWaiting(AT, "run", *plan.name(step), attempt, "publish", "approval")


def woken(plan: HandPlan, step: int, attempt: int) -> StepWoken:
    return StepWoken(AT, "run", *plan.name(step), attempt, "publish")


def cancelled(plan: HandPlan, step: int, attempt: int = 0) -> StepCancelled:
    return StepCancelled(AT, "run", *plan.name(step), attempt, record(plan, step, Status.CANCELLED, attempt))


def skipped(plan: HandPlan, step: int) -> StepSkipped:
    return StepSkipped(AT, "run", *plan.name(step), record(plan, step, Status.SKIPPED))


def reused(plan: HandPlan, step: int) -> StepReused:
    return StepReused(AT, "run", *plan.name(step), record(plan, step, Status.REUSED))


def cancel_requested() -> RunCancelRequested:
    return RunCancelRequested(AT, "run", "a")
