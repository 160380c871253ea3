"""Going through a range of the items of a step that another node drives.

It records how each item ended, as the driver does with those that run on its own node, and decides nothing about
the step: how many may fail, and what is attempted again after a loss, is the driver's matter. What is not on record
when it is over is the driver's again.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.records import Failure
from flowstone.runs.unit_ranges import UnitRanges
from flowstone.runs.units import UnitError
from flowstone.runtime.run.scatter import Scatter
from flowstone.runtime.run.values import StoredValues

if TYPE_CHECKING:
    from flowstone.actors import TaskSupervisor
    from flowstone.runs.item_range import ItemRange
    from flowstone.runs.units import Units
    from flowstone.runtime.run.recorded_attempt import AttemptIdentity

__all__ = ["LeasedItems", "Loaded"]

Loaded = dict[tuple[str, str, str | None], tuple[dict[str, Any], UnitRanges]]
"""What was loaded for the items of steps, and its units, by step: a node has many leases of one."""

_TURN: Final = 1_000  # Items that are looked at before others run.
_DONE: Final = Failure("abandoned", "nothing is recorded of the step")


class LeasedItems(Scatter):
    """Goes through a range of items, one after the other."""

    def goes_through(self, items: ItemRange, steps: TaskSupervisor, loaded: Loaded) -> LeasedItems:
        """Say which items, where they run, and where to look for what is loaded already. Returns itself."""
        self._items = items
        self._loaded = loaded
        self.drives(steps)
        self._each = replace(self._each, max_parallel=1)
        return self

    @property
    def name(self) -> str:
        """`asset items 7 to 9`."""
        return f"{super().name} items {self._items.first:,} to {self._items.last:,}"

    @property
    def identity(self) -> AttemptIdentity:
        """As its lease says it."""
        return self.run_id, self.asset.name, self._items.key(self.key), self.number

    async def run(self) -> None:  # type: ignore[override] # nothing is recorded of the step
        """Go through them."""
        self._know_handle()
        self.started_at = self._ctx.clock.now()
        await self._produce()

    async def _load(self) -> dict[str, Any]:
        step = (self.run_id, self.asset_name, self.key)
        loaded = self._loaded.get(step)
        if loaded is None:
            arguments = await super()._load()
            source = arguments[self.parameter]
            if isinstance(source, StoredValues):
                await source.all()
            loaded = self._loaded[step] = arguments, UnitRanges(self._each, source)
        arguments, self._ranges = loaded
        return dict(arguments)

    async def _made_units(self, source: Any) -> Units | Failure:
        del source
        first, last, _ = self._items
        step = (self.asset_name, self.key)
        rows = await self._ctx.store.items.rows(self.run_id, step, after=first - 1, limit=last - first + 1)
        self._done = done = bytearray(last + 1)
        for row in rows:
            if row.position <= last:
                done[row.position] = row.code
        try:
            found = False
            while not found:
                found = self._ranges.look_for(first, _TURN)
                await asyncio.sleep(0)
        except UnitError as error:
            return Failure("error", str(error))  # As the driver finds when it does these itself.
        return self._ranges.since(first)

    def _next(self) -> Any:
        if self._units.position > self._items.last and not self._again:
            self._read = True
        return super()._next()

    def _check_tolerance(self) -> None:
        """How many may fail is the driver's matter."""

    def _tell(self) -> None:
        """So is how far the step has come."""

    async def _value(self, source: Any) -> Any:
        del source

    async def _keep(self, value: Any) -> Failure:
        del value
        return _DONE
