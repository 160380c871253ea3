"""What a run would do and why, without doing it: the answer of `runtime.plan()`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from flowstone.assets.key_slice import KeySlice
from flowstone.assets.partition_labels import step_label
from flowstone.frozen import frozen
from flowstone.runs.outlook import spans_of
from flowstone.runtime.run.inputs import needs_of, unreachable

if TYPE_CHECKING:
    from datetime import datetime

    from rich.table import Table

    from flowstone.runs.outlook import Outlook
    from flowstone.runs.plan import AssetPlan, RunPlan
    from flowstone.runs.reasons import ReasonKind
    from flowstone.runs.records import RunSpec

__all__ = ["Plan", "PlannedAsset", "PlannedStep"]

_Action = Literal["run", "reuse"]

_KEPT: Final[Mapping[str, str]] = MappingProxyType(
    {"missing": "it has a current value", "stale": "its value is fresh"}
)
_LOOKED_THROUGH: Final = 1_000  # Steps of an asset, for the first that would run.


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
        expected: Seconds that it is expected to take, the median of those before; None if there were none, or if
            it is reused.
    """

    asset: str
    partition: Any
    partition_key: str | None
    action: _Action
    reason: ReasonKind
    because: str
    expected: float | None = None


@frozen
class PlannedAsset:
    """What would become of the steps of one asset.

    Attributes:
        asset: The asset's name.
        to_run: How many would run.
        to_reuse: How many would be reused.
        reasons: How many steps have which reason.
        because: Why the first of those that would run would; empty if none does.
        expected: Seconds that a step is expected to take, or None.
        starts: When the first would start, in seconds from the start of the run, roughly.
        ends: When the last would have ended, likewise.
    """

    asset: str
    to_run: int
    to_reuse: int
    reasons: Mapping[ReasonKind, int]
    because: str
    expected: float | None
    starts: float
    ends: float


class Plan(Sequence[PlannedStep]):
    """The steps a run would consist of, upstream before downstream; computed as they are read.

    Attributes:
        to_run: How many would run.
        to_reuse: How many would be reused.
        refresh: Which existing values would be computed again: `all`, `stale` or `missing`.
        by_reason: How many steps have which reason, `fresh` among them.
        by_asset: What would become of each asset, upstream before downstream.
        expected: Seconds that all of it is expected to take, with so many steps at a time; None if nothing is known
            of how long any of them takes.
        parallel: How many steps that is.
        request: What `run_plan` asks for.
        warnings: What one may not expect of it, in sentences: of steps whose inputs have no value and are no part
            of it, and of a partition that an asset without a partition set is asked for.
    """

    def __init__(
        self,
        plan: RunPlan,
        outlook: Outlook,
        seconds: Mapping[str, float],
        parallel: int,
    ) -> None:
        self.warnings: Sequence[str] = ()
        self._plan = plan
        self._outlook = outlook
        self._seconds = seconds
        self.parallel = parallel
        self.refresh = plan.request.refresh
        self._tally = outlook.tally(plan)
        self.by_reason: Mapping[ReasonKind, int] = {
            kind: number for kind, number in sum(self._tally.values(), Counter()).items() if number
        }
        self.to_reuse = self.by_reason.get("fresh", 0)
        self.to_run = plan.total - self.to_reuse
        runs = {asset: tally.total() - tally["fresh"] for asset, tally in self._tally.items()}
        self._runs = runs
        self._spans, expected = spans_of(plan, runs, seconds, parallel)
        known = not self.to_run or any(number and asset in seconds for asset, number in runs.items())
        self.expected: float | None = expected if known else None

    @property
    def request(self) -> RunSpec:
        """What `run_plan` asks for."""
        return self._plan.request

    @property
    def moment(self) -> datetime:
        """The instant that closes its open-ended partition sets."""
        return self._plan.view.now

    @property
    def by_asset(self) -> Sequence[PlannedAsset]:
        """What would become of each asset, upstream before downstream."""
        return [self._asset(part) for part in self._plan.assets]

    def runs_the_same(self, other: Plan) -> bool:
        """Whether both have the same steps, and would run the same of them."""
        mine, its = self._plan, other._plan
        return (
            mine.total == its.total
            and all(
                one.asset == two.asset and (one.keys == two.keys or list(one.keys) == list(two.keys))
                for one, two in zip(mine.assets, its.assets, strict=False)
            )
            and len(mine.assets) == len(its.assets)
            and self._outlook.runs_the_same(other._outlook)
        )

    @cached_property
    def digest(self) -> str:
        """The same text for plans that would run the same steps, and reuse the same, with the same config.

        For who shows a plan and is asked later, perhaps in another process, for just that.
        """
        found = hashlib.sha256(
            json.dumps([self.refresh, self.request.config], sort_keys=True, default=dict).encode()
        )
        for part in self._plan.assets:
            found.update(f"\n{part.asset}\n".encode())
            found.update(_written(part.keys).encode(errors="surrogatepass"))
        for asset, key in self._outlook.exceptions():
            found.update(f"\n{asset} {key}".encode(errors="surrogatepass"))
        found.update(b"\nreused" if self._outlook.otherwise is None else b"\nrun")
        return found.hexdigest()

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
            runs = self._outlook.reason((asset, key)) is not None
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
        reason = self._outlook.reason((asset, key))
        if reason is None:
            because = _KEPT.get(self.refresh, "")
        else:
            because = _problem(self._plan, asset, partition, key) or reason.because
        if self._plan.chooses and (routes := _routes(self._plan, number)):
            because += f", if {' and '.join(routes)} chooses it"
        if reason is None:
            return PlannedStep(asset, partition, key, "reuse", "fresh", because)
        return PlannedStep(asset, partition, key, "run", reason.kind, because, self._seconds.get(asset))

    def _asset(self, part: AssetPlan) -> PlannedAsset:
        name, tally, span = part.asset, self._tally[part.asset], self._spans[part.asset]
        return PlannedAsset(
            name,
            self._runs[name],
            tally["fresh"],
            {kind: number for kind, number in tally.items() if number},
            self._because(part) if self._runs[name] else "",
            self._seconds.get(name),
            span.starts,
            span.ends,
        )

    def _because(self, part: AssetPlan) -> str:
        for number in range(part.offset, min(part.end, part.offset + _LOOKED_THROUGH)):
            step = self._step(number)
            if step.action == "run":
                return step.because
        found = (reason for (asset, _), reason in self._outlook.reasons.items() if asset == part.asset)
        reason = next(found, self._outlook.otherwise)
        return "" if reason is None else reason.because


def _written(keys: Sequence[Any]) -> str:
    """Keys as text: consecutive ones of a set by their ends, as there may be a million of them."""
    if isinstance(keys, KeySlice) and len(keys) > 1:
        return f"{len(keys)} from {keys[0]} to {keys[-1]}"
    return "\n".join(map(str, keys))


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
