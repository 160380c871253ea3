"""The steps of a result: a sequence nobody can change, equal to any sequence of the same records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.runs.records import Materialization

__all__ = ["StepList"]


class StepList(Sequence["Materialization"]):
    """Records of steps that ended alike, in the order they ended. Slices are of the same kind.

    A class and not a tuple, because a store may one day hand them out a page at a time, and because users
    compare what is empty with `[]`.
    """

    __slots__ = ("_records",)

    def __init__(self, records: Sequence[Materialization] = ()) -> None:
        self._records = records

    @overload
    def __getitem__(self, index: int) -> Materialization: ...
    @overload
    def __getitem__(self, index: slice) -> StepList: ...
    def __getitem__(self, index: int | slice) -> Materialization | StepList:
        if isinstance(index, slice):
            return StepList(self._records[index])
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Materialization]:
        return iter(self._records)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # compared like a list, hashed like one

    def __repr__(self) -> str:
        names = [record.name for record in self._records[:5]]
        more = f", … {len(self) - 5:,} more" if len(self) > 5 else ""
        return f"[{', '.join(names)}{more}]"
