"""What a run would do and why, without doing it: the answer of `runtime.plan()`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from flowstone.assets.partition_labels import step_label
from flowstone.frozen import frozen
from flowstone.runs.reasons import ALL, MISSING, Reason
from flowstone.runs.run_config import changed_config
from flowstone.runtime.client.staleness import stale_steps
from flowstone.runtime.run.inputs import needs_of, unreachable

if TYPE_CHECKING:
    from rich.table import Table

    from flowstone.runs.plan import RunPlan
    from flowstone.runs.reasons import ReasonKind
    from flowstone.runs.records import StepKey
    from flowstone.runtime.context import RuntimeContext

__all__ = ["Plan", "PlannedStep", "preview"]

_Action = Literal["run", "reuse"]
_Decide = Callable[[int, "StepKey"], Reason | None]

_KEPT: Final[Mapping[str, str]] = MappingProxyType(
    {"missing": "it has a current value", "stale": "its value is fresh"}
)
_LOOKED_UP = 1_000  # Records at a time.


@frozen
class PlannedStep:
    """What would become of one step.

    Attributes:
        asset: The asset's name.
        partition: The partition as a Python value, or None.
        partition_key: The same as text, or None.
        action: `run` or `reuse`.
        reason: Why, in a word: it is `missing`, or has `failed`; its `code`, its `config` or something `upstream`
            has changed; all is computed again (`forced`); or what is reused is `fresh`.
        because: The same as a phrase that names the cause.
    """

    asset: str
    partition: Any
    partition_key: str | None
    action: _Action
    reason: ReasonKind
    because: str


class Plan(Sequence[PlannedStep]):
    """The steps a run would consist of, upstream before downstream; computed as they are read.

    Attributes:
        to_run: How many would run.
        to_reuse: How many would be reused.
        refresh: Which existing values would be computed again: `all`, `stale` or `missing`.
    """

    def __init__(self, plan: RunPlan, to_reuse: int, decide: _Decide) -> None:
        self._plan = plan
        self._decide = decide
        self.to_reuse = to_reuse
        self.refresh = plan.request.refresh
        self.to_run = plan.total - to_reuse

    @property
    def steps(self) -> Plan:
        """The steps: the plan itself, for those who look for them by name."""
        return self

    def outdated(self) -> Iterator[PlannedStep]:
        """The steps that would be reused though something upstream of them would run; only `missing` does that."""
        if self.refresh != "missing" or not self.to_run or not self.to_reuse:
            return
        again = bytearray(self._plan.total)
        for number in range(self._plan.total):
            asset, _, key = self._plan.step(number)
            runs = self._decide(number, (asset, key)) is not None
            if runs or any(again.find(1, each.start, each.stop) >= 0 for each in self._plan.upstream(number)):
                again[number] = 1
                if not runs:
                    yield self._step(number)

    @overload
    def __getitem__(self, index: int) -> PlannedStep: ...
    @overload
    def __getitem__(self, index: slice) -> list[PlannedStep]: ...
    def __getitem__(self, index: int | slice) -> PlannedStep | list[PlannedStep]:
        numbers = range(self._plan.total)[index]
        if isinstance(numbers, range):
            return [self._step(number) for number in numbers]
        return self._step(numbers)

    def __len__(self) -> int:
        return self._plan.total

    def __iter__(self) -> Iterator[PlannedStep]:
        return map(self._step, range(self._plan.total))

    def __repr__(self) -> str:
        return f"Plan({self.to_run} to run, {self.to_reuse} to reuse)"

    def __rich__(self) -> Table:
        from rich.table import Table  # noqa: PLC0415 - only whoever prints it needs rich

        table = Table("asset", "partition", "action", "reason", title=repr(self))
        for step in self[:50]:
            table.add_row(step.asset, step.partition_key or "", step.action, step.because)
        if len(self) > 50:
            table.add_row("…", f"{len(self) - 50} more", "", "")
        return table

    def _step(self, number: int) -> PlannedStep:
        asset, partition, key = self._plan.step(number)
        reason = self._decide(number, (asset, key))
        if reason is None:
            because = _KEPT.get(self.refresh, "")
        else:
            because = _problem(self._plan, asset, partition, key) or reason.because
        if self._plan.chooses and (routes := _routes(self._plan, number)):
            because += f", if {' and '.join(routes)} chooses it"
        if reason is None:
            return PlannedStep(asset, partition, key, "reuse", "fresh", because)
        return PlannedStep(asset, partition, key, "run", reason.kind, because)


def _routes(plan: RunPlan, number: int) -> list[str]:
    """The steps of routes, or the routes if these are many, that decide in the run whether a step runs."""
    part = plan.of(number)
    names = []
    for edge in part.edges:
        steps = [step for steps in edge.numbers(number - part.offset, part.keys) for step in steps]
        if edge.takes == "choice" and steps:
            asset, _, key = plan.step(steps[0])
            names.append(step_label(asset, key if len(steps) == 1 else None))
    return names


def _problem(plan: RunPlan, name: str, partition: Any, key: str | None) -> str | None:
    """What is known already about a step that would fail, or have less than it asks for."""
    asset = plan.graph.assets[name]
    for need in needs_of(plan.graph, plan.view, asset, partition, key):
        if need.unreachable:
            return f"it would fail: {unreachable(plan.view, asset, partition, need)}"
    return None


async def preview(ctx: RuntimeContext, plan: RunPlan) -> Plan:
    """Look at a plan against what is current now."""
    match plan.request.refresh:
        case "all":
            return Plan(plan, 0, lambda _number, _key: ALL)
        case "missing":
            return await _missing(ctx, plan)
        case "stale":
            return await _stale(ctx, plan)


async def _missing(ctx: RuntimeContext, plan: RunPlan) -> Plan:
    current: dict[str, frozenset[str | None]] = {}
    for asset in (each.asset for each in plan.assets):
        keys = await ctx.store.current_keys(asset)
        current[asset] = frozenset(keys)
        await _look_at_origin(ctx, plan, asset, keys)
    changed: dict[StepKey, Reason] = {}
    for asset in plan.request.config:
        other = await _of_other_config(ctx, plan, asset, current[asset])
        current[asset] -= {key for _, key in other}
        changed |= other
    reused = sum(plan.number(asset, key) is not None for asset, keys in current.items() for key in keys)

    def decide(_number: int, key: StepKey) -> Reason | None:
        return None if key[1] in current[key[0]] else changed.get(key, MISSING)

    return Plan(plan, reused, decide)


async def _look_at_origin(ctx: RuntimeContext, plan: RunPlan, asset: str, keys: Sequence[str | None]) -> None:
    """Warn if another pipeline has computed a value of an asset that would be reused."""
    if ctx.memory is None and not ctx.origins.knows(asset):
        planned = ((asset, key) for key in keys if plan.number(asset, key) is not None)
        if first := list(islice(planned, 1)):
            await ctx.look_at_origins((await ctx.store.current(first)).values())


async def _of_other_config(
    ctx: RuntimeContext, plan: RunPlan, asset: str, keys: frozenset[str | None]
) -> dict[StepKey, Reason]:
    """The steps whose values were computed with another config than the one that the run is given, and how."""
    now = plan.configs[asset].record
    wanted = [(asset, key) for key in keys if plan.number(asset, key) is not None]
    changed: dict[StepKey, Reason] = {}
    for first in range(0, len(wanted), _LOOKED_UP):
        found = await ctx.store.current(wanted[first : first + _LOOKED_UP])
        for key, record in found.items():
            if (how := changed_config(record.config, now)) is not None:
                changed[key] = Reason("config", how)
    return changed


async def _stale(ctx: RuntimeContext, plan: RunPlan) -> Plan:
    reasons: dict[StepKey, Reason] = {}
    async for records in stale_steps(ctx.store, plan, reasons):
        await ctx.look_at_origins(records)
    return Plan(plan, plan.total - len(reasons), lambda _number, key: reasons.get(key))
