"""What steps have just succeeded with in this process, so that the steps behind them need not ask the store.

A run uses what it computed itself, whatever else has become current meanwhile, and a step succeeds once in a run.
So a record that was written here needs no look-up: for one step of a backfill that is a round trip to the database.
Whatever is not among the newest is looked up, as is all that other processes wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.runs.records import Materialization, StepKey

__all__ = ["RecentSuccesses"]

_MOST: Final = 4_096  # Of about a kilobyte.
_AS_THEY_ARE: Final = frozenset({str, type(None)})  # What a store does not make into text.


class RecentSuccesses:
    """The newest successes that this process recorded.

    Args:
        most: How many.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._records: dict[tuple[str, StepKey], Materialization] = {}

    def add(self, record: Materialization) -> None:
        """Remember a success that is recorded, unless the store keeps it in other words than are in it here."""
        if type(record.location) is not str or type(record.data_version) not in _AS_THEY_ARE:
            return
        if len(self._records) >= self._most:
            del self._records[next(iter(self._records))]
        self._records[record.run_id, (record.asset, record.partition_key)] = record

    def of(self, run_id: str, keys: Iterable[StepKey]) -> dict[StepKey, Materialization]:
        """Those of these steps that the run has just succeeded with."""
        records = self._records
        return {key: records[run_id, key] for key in keys if (run_id, key) in records}
