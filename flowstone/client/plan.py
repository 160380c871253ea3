"""What a run would do and why, as a server has planned it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, overload

from flowstone.runtime.client.step_list import NotLoaded

if TYPE_CHECKING:
    from flowstone.runs.reasons import ReasonKind
    from flowstone.runs.records import Refresh
    from flowstone.runtime.client.plan import PlannedStep
    from flowstone.wire.plans import PlanModel

__all__ = ["RemotePlan"]


class RemotePlan(Sequence["PlannedStep"]):
    """The steps a run would consist of, upstream before downstream, as `Plan` has them.

    Of a very large plan the first 10,000 steps are here. Its length is that of the whole; to look at one of the
    others raises an error that says so.

    Attributes:
        to_run: How many would run.
        to_reuse: How many would be reused.
        refresh: Which existing values would be computed again: `all`, `stale` or `missing`.
        by_reason: How many steps have which reason, `fresh` among them.
        expected: Seconds that all of it is expected to take; None if nothing is known of that.
        parallel: With how many steps at a time.
        warnings: What one may not expect of it, in sentences.
        digest: What tells it from others.
        asked: What the server was asked.
    """

    def __init__(self, told: PlanModel, steps: Sequence[PlannedStep], asked: Mapping[str, Any]) -> None:
        self.asked = asked
        self.digest = told.digest
        self.to_run = told.to_run
        self.to_reuse = told.to_reuse
        self.refresh: Refresh = told.refresh
        self.by_reason = cast("Mapping[ReasonKind, int]", told.by_reason)
        self.expected = told.expected
        self.parallel = told.parallel
        self.warnings = told.warnings
        self._steps = steps
        self._outdated = [each.as_record() for each in told.outdated]
        self._outdated_count = told.outdated_count

    def outdated(self) -> Iterator[PlannedStep]:
        """The steps that would be reused though something upstream of them would run; only `missing` does that."""
        yield from self._outdated
        if len(self._outdated) < self._outdated_count:
            raise NotLoaded(f"Only {len(self._outdated):,} of these {self._outdated_count:,} steps are here.")

    @overload
    def __getitem__(self, index: int) -> PlannedStep: ...
    @overload
    def __getitem__(self, index: slice) -> list[PlannedStep]: ...
    def __getitem__(self, index: int | slice) -> PlannedStep | list[PlannedStep]:
        wanted = range(len(self))[index]
        if isinstance(wanted, int):
            self._check(wanted)
            return self._steps[wanted]
        if wanted:
            self._check(max(wanted[0], wanted[-1]))
        return [self._steps[place] for place in wanted]

    def __len__(self) -> int:
        return self.to_run + self.to_reuse

    def __iter__(self) -> Iterator[PlannedStep]:
        yield from self._steps
        self._check(len(self) - 1)

    def __repr__(self) -> str:
        return f"RemotePlan({self.to_run} to run, {self.to_reuse} to reuse)"

    def __rich__(self) -> Any:
        from rich.table import Table  # noqa: PLC0415 - only whoever prints it needs rich

        shown = self._steps[:50]
        table = Table("asset", "partition", "action", "reason", title=repr(self))
        for step in shown:
            table.add_row(step.asset, step.partition_key or "", step.action, step.because)
        if len(self) > len(shown):
            table.add_row("…", f"{len(self) - len(shown)} more", "", "")
        return table

    def _check(self, place: int) -> None:
        if place >= len(self._steps):
            raise NotLoaded(
                f"Only the first {len(self._steps):,} of the {len(self):,} steps of this plan are here."
            )
