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
)
from flowstone.runs.plan import AssetPlan
from flowstone.runs.records import Failure, Materialization, Status

AT = datetime(2025, 1, 1, tzinfo=UTC)
FAILURE = Failure("error", "ValueError: no", retryable=True)
NODE_LEFT = Failure("lost", "the node was shut down", retryable=True)


@dataclass
class HandPlan:
    """A plan of integer keys; `links[asset]` says which (upstream asset, keys) a key depends on."""

    sizes: dict[str, int]
    links: dict[str, Any] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.assets: list[AssetPlan] = []
        offset = 0
        for index, (name, size) in enumerate(self.sizes.items()):
            self.assets.append(AssetPlan(name, index, offset, range(size), self.refresh.get(name, "all")))
            offset += size
        self.total = offset
        names = list(self.sizes)
        for plan in self.assets:
            plan.downstream = [
                names.index(other) for other, links in self.links.items() if plan.asset in links
            ]
        self.by_name = {plan.asset: plan for plan in self.assets}

    def upstream(self, step: int) -> list[range]:
        plan = next(p for p in reversed(self.assets) if p.offset <= step)
        found = []
        for name, choose in self.links.get(plan.asset, {}).items():
            up = self.by_name[name]
            keys = sorted(k for k in choose(step - plan.offset) if 0 <= k < len(up.keys))
            found += [range(up.offset + k, up.offset + k + 1) for k in keys]
        return found

    def upstream_steps(self, step: int) -> list[int]:
        return [number for numbers in self.upstream(step) for number in numbers]

    def number(self, asset: str, partition_key: str | None) -> int | None:
        plan = self.by_name.get(asset)
        return None if plan is None or partition_key is None else plan.offset + int(partition_key)

    def name(self, step: int) -> tuple[str, str]:
        plan = next(p for p in reversed(self.assets) if p.offset <= step)
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


def cancelled(plan: HandPlan, step: int, attempt: int = 0) -> StepCancelled:
    return StepCancelled(AT, "run", *plan.name(step), attempt, record(plan, step, Status.CANCELLED, attempt))


def skipped(plan: HandPlan, step: int) -> StepSkipped:
    return StepSkipped(AT, "run", *plan.name(step), record(plan, step, Status.SKIPPED))


def reused(plan: HandPlan, step: int) -> StepReused:
    return StepReused(AT, "run", *plan.name(step), record(plan, step, Status.REUSED))


def cancel_requested() -> RunCancelRequested:
    return RunCancelRequested(AT, "run", "a")
