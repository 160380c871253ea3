"""What must be true of items: how each ended is recorded once, and none is called again once that is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.chaos.item_assets import CALLS, COUNT, SUCCEEDED, THROUGH_ITEMS, expected
from tests.chaos.marks import Mark, mark, marks

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from flowstone.io.manager import IOManager
    from flowstone.store.items import Items

__all__ = ["RecordedItems"]

RECORDED = "recorded:"


class RecordedItems:
    """Notes which items are on record while they are computed, among the calls of their functions."""

    def __init__(self, place: Path) -> None:
        self._calls = place / CALLS
        self._noted: set[tuple[str, str, int]] = set()

    async def note(self, items: Items, run_id: str, key: str | None) -> None:
        """Look what is recorded by now."""
        for asset in THROUGH_ITEMS:
            states = await items.states(run_id, (asset, key))
            for position in range(len(states)):
                item = run_id, asset, position
                if states[position] and item not in self._noted:
                    self._noted.add(item)
                    mark(self._calls, Mark(run_id, RECORDED + asset, str(position), 0, 0))

    def called_again(self, runs: Collection[str], but: Collection[int] = ()) -> list[str]:
        """A sentence for each item that a process began with though it could read that it is done.

        Args:
            runs: The runs.
            but: Processes that may have been taken for dead and lived: they go on for a while with what they have.
        """
        broken: list[str] = []
        recorded: set[tuple[str, str, str]] = set()
        known: dict[
            tuple[int, str, str], set[str]
        ] = {}  # Process and step -> what was recorded before it began.
        for run_id, asset, key, _, pid in marks(self._calls):
            if run_id not in runs or pid in but:
                continue
            if asset.startswith(RECORDED):
                recorded.add((run_id, asset.removeprefix(RECORDED), key))
                continue
            before = known.get((pid, run_id, asset))
            if before is None:
                before = {at for run, name, at in recorded if (run, name) == (run_id, asset)}
                known[pid, run_id, asset] = before
            if key in before:
                broken.append(f"item {key} of {asset} in {run_id} was recorded, and called again")
        return broken

    def most_processes(self) -> int:
        """On how many processes the items of one step were called, at most."""
        found: dict[tuple[str, str], set[int]] = {}
        for run_id, asset, _, _, pid in marks(self._calls):
            if pid:
                found.setdefault((run_id, asset), set()).add(pid)
        return max(map(len, found.values()), default=0)


async def check_items(items: Items, io: IOManager, run_id: str, key: str | None) -> list[str]:
    """A sentence for each item that did not end as it should, or has not the value it should have."""
    broken = []
    for asset in THROUGH_ITEMS:
        rows = await items.rows(run_id, (asset, key))
        ends = {row.position: row.code for row in rows}
        if ends != {position: expected(position) for position in range(COUNT)}:
            broken.append(f"the items of {asset} in {run_id} ended as {ends}")
        for row in rows:
            value: Any = None if row.location is None else await io.load(row.location)
            if row.position in SUCCEEDED and value != [row.position, run_id]:
                broken.append(f"item {row.position} of {asset} in {run_id} has the value {value}")
    return broken


def check_summary(run_id: str, value: Any) -> list[str]:
    """What came of all items is whole, and in their order."""
    whole = [[position, run_id] for position in SUCCEEDED]
    return [] if value == [whole, whole] else [f"the summary of {run_id} is {value}"]
