"""What a run gave: its steps by status, and the values of those that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_labels import step_label
from flowstone.errors import AssetNotFound, PartitionError, ValueNotFound
from flowstone.runs.records import Status
from flowstone.runtime.step_list import StepList

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from flowstone.runs.records import Materialization, RunRecord

__all__ = ["RunResult"]


class RunResult:
    """The outcome of a run: read-only sequences of `Materialization`, one per terminal status.

    Attributes:
        run_id: The run's id.
        status: `succeeded`, `failed` or `cancelled`.
        succeeded, failed, skipped, reused, cancelled: The steps that ended so, in the order they ended.
        record: The run's head: what was asked for, and when.
    """

    __slots__ = (
        "_load",
        "_locate",
        "cancelled",
        "failed",
        "record",
        "reused",
        "run_id",
        "skipped",
        "status",
        "succeeded",
    )

    def __init__(
        self,
        record: RunRecord,
        steps: Mapping[Status, Sequence[Materialization]],
        *,
        locate: Callable[[str | None, Any], tuple[str, str | None]],
        load: Callable[[Materialization], Awaitable[Any]],
    ) -> None:
        self.record = record
        self.run_id = record.id
        self.status = record.status
        self.succeeded = StepList(steps.get(Status.SUCCEEDED, ()))
        self.failed = StepList(steps.get(Status.FAILED, ()))
        self.skipped = StepList(steps.get(Status.SKIPPED, ()))
        self.reused = StepList(steps.get(Status.REUSED, ()))
        self.cancelled = StepList(steps.get(Status.CANCELLED, ()))
        self._locate = locate
        self._load = load

    async def value(self, asset: Any = None, *, partition: Any = None) -> Any:
        """The value a step of this run gave or reused.

        Args:
            asset: Name or `Asset`; default: the run's target.
            partition: Which partition; may be left out if the run has one step of that asset.

        Raises:
            AssetNotFound: The run has no such asset.
            PartitionError: The run has several partitions of the asset and none was named.
            ValueNotFound: The step failed, was skipped or cancelled, or its value was removed since.
        """
        name, key = self._locate(asset, partition)
        found = [m for m in (*self.succeeded, *self.reused) if m.asset == name]
        if key is not None:
            found = [m for m in found if m.partition_key == key]
        elif len(found) > 1:
            raise PartitionError(f"The run has {len(found)} partitions of {name!r}: say which, partition=….")
        if not found:
            raise self._nothing(name, key)
        return await self._load(found[0])

    def _nothing(self, name: str, key: str | None) -> Exception:
        shown = step_label(name, key)
        for step in (*self.failed, *self.skipped, *self.cancelled):
            if step.asset == name and key in (None, step.partition_key):
                return ValueNotFound(f"{shown} has no value in this run: it is {step.status}.")
        if any(m.asset == name for m in (*self.succeeded, *self.reused)):
            return ValueNotFound(f"{shown} is not part of run {self.run_id}: other partitions of it are.")
        return AssetNotFound(f"{shown} is not part of run {self.run_id}.")

    def __len__(self) -> int:
        return sum(
            map(len, (self.succeeded, self.failed, self.skipped, self.reused, self.cancelled)),
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self._counts() if count)
        return f"RunResult({self.run_id}, {self.status}: {counts or 'no steps'})"

    def __rich__(self) -> str:
        colours = {
            "succeeded": "green",
            "reused": "cyan",
            "failed": "red",
            "skipped": "yellow",
            "cancelled": "magenta",
        }
        counts = "  ".join(f"[{colours[name]}]{count} {name}[/]" for name, count in self._counts() if count)
        return f"run {self.run_id}  {counts or 'no steps'}"

    def _counts(self) -> list[tuple[str, int]]:
        return [
            (name, len(getattr(self, name)))
            for name in ("succeeded", "reused", "failed", "skipped", "cancelled")
        ]
