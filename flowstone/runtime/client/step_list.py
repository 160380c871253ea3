"""The steps of a result: a sequence nobody can change, equal to any sequence of the same records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from flowstone.errors import FlowstoneError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.runs.records import Materialization

__all__ = ["NotLoaded", "StepList"]


class NotLoaded(FlowstoneError):
    """A result is so large that not all its records were loaded, and this one was not.

    Ask the result for the others: `async for step in result.each("succeeded")`, or a page of them with
    `await result.steps("succeeded", offset=…, limit=…)`.
    """


class StepList(Sequence["Materialization"]):
    """Records of steps that ended alike, in the order they ended. Slices are of the same kind.

    Its length is that of the whole, also where only the first records are loaded; to look at one of the others
    raises `NotLoaded`. A sequence cannot wait for a store, and a million records would not fit.

    Args:
        records: The first records.
        total: How many there are. Default: those.
    """

    __slots__ = ("_records", "_total")

    def __init__(self, records: Sequence[Materialization] = (), total: int | None = None) -> None:
        self._records = records
        self._total = len(records) if total is None else max(total, len(records))

    @property
    def loaded(self) -> StepList:
        """Those that can be looked at."""
        return self if self.complete else StepList(self._records)

    @property
    def complete(self) -> bool:
        """Whether all can be looked at."""
        return len(self._records) == self._total

    @overload
    def __getitem__(self, index: int) -> Materialization: ...
    @overload
    def __getitem__(self, index: slice) -> StepList: ...
    def __getitem__(self, index: int | slice) -> Materialization | StepList:
        if self.complete:
            return StepList(self._records[index]) if isinstance(index, slice) else self._records[index]
        wanted = range(self._total)[index]
        if isinstance(wanted, int):
            self._check(wanted)
            return self._records[wanted]
        if wanted:
            self._check(max(wanted[0], wanted[-1]))
        return StepList([self._records[place] for place in wanted])

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[Materialization]:
        yield from self._records
        if not self.complete:
            self._check(len(self._records))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # compared like a list, hashed like one

    def __repr__(self) -> str:
        names = [record.name for record in self._records[:5]]
        more = f", … {len(self) - len(names):,} more" if len(self) > len(names) else ""
        return f"[{', '.join(names)}{more}]"

    def _check(self, place: int) -> None:
        if place >= len(self._records):
            raise NotLoaded(
                f"Only the first {len(self._records):,} of these {self._total:,} steps are loaded: use "
                "`async for step in result.each(status)`, or `await result.steps(status, offset=…, limit=…)`."
            )
