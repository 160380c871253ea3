"""What became of the items of a step, on record: in this process's memory, or in the store, many at once.

Where history and values are in memory there is nothing to wait for: rows and values are packed into a table
(`runs/items.py`), a few bytes for each item. Elsewhere the value of each item is an object of its own, and the
rows gather until they are recorded. Until then an item counts as not done, and is called again if the process dies;
what is recorded never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.one_shot import PLAIN, find_one_shot
from flowstone.assets.partition_keys import encode_partition
from flowstone.errors import IOManagerError
from flowstone.io.manager import Target
from flowstone.runs.item_values import PackedValues
from flowstone.runs.items import ENDED, ItemRow, ItemTable
from flowstone.runs.packed import Packed
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.item_attempt import ItemAttempt
    from flowstone.runtime.run.recorded_attempt import RecordedAttempt

__all__ = ["OF_ITEMS", "KeptItems"]

OF_ITEMS: Final = object()
"""The value of a step that is made up of those that are kept of each item."""

_BATCH: Final = 1_000  # Items recorded at once.
_SUCCEEDED: Final = ENDED[Status.SUCCEEDED]


class KeptItems:
    """The items of one attempt of a step.

    Args:
        ctx: What the runtime offers.
        attempt: The attempt that drives them.

    Attributes:
        rows: Those that are to be recorded.
        done: How items ended that an earlier attempt has recorded.
    """

    def __init__(self, ctx: RuntimeContext, attempt: RecordedAttempt) -> None:
        self._ctx = ctx
        self._attempt = attempt
        self._step = (attempt.asset_name, attempt.key)
        self._table: ItemTable | None = None  # Where all is in memory.
        self.done: bytes | bytearray = b""
        self.rows: list[ItemRow] = []
        self._payloads: list[tuple[str, bytes]] = []
        self._name = f"{ctx.random.getrandbits(32):08x}"

    async def resume(self, *, of_reader: bool) -> None:
        """Find what has been done before.

        Args:
            of_reader: Whether the items are a reader's, so that some may be done before the first attempt.
        """
        ctx, attempt = self._ctx, self._attempt
        if ctx.memory is not None and ctx.io_manager(attempt.io).memory is not None:
            self._table = ctx.memory.items_of(attempt.run_id, self._step)
            self._table.values = self._table.values or Packed()
            self.done = self._table.states
        elif attempt.number > 1 or of_reader:
            self.done = await ctx.store.items.states(attempt.run_id, self._step)

    async def recorded(
        self, *, code: int | None = None, after: int = -1, limit: int | None = None
    ) -> Sequence[ItemRow]:
        """What is on record of items that have ended so, behind a position; at most so many."""
        items = self._ctx.store.items
        return await items.rows(self._attempt.run_id, self._step, code=code, after=after, limit=limit)

    async def keep(self, item: ItemAttempt, value: Any) -> Any:
        """Keep what the function returned for an item. Raises `IOManagerError` if that cannot be kept."""
        if self._table is None:
            attempt = self._attempt
            # No other attempt has this key, so that none of two that are stored is taken for the other.
            name = f"item-{self._name}-{item.position}"
            key = name if attempt.key is None else encode_partition((attempt.partition, name))
            target = Target(attempt.asset_name, key, attempt.run_id, item.number)
            return await self._ctx.io_manager(attempt.io).store(target, value)
        if type(value) not in PLAIN:
            found = find_one_shot(value)
            if found is not None:
                raise IOManagerError(f"Cannot store {item.name}: {found.explanation()}.")
        return value

    def succeeded(self, item: ItemAttempt, value: Any) -> None:
        """An item has ended with what `keep` returned for it."""
        table, position, key = self._table, item.position, item.unit.key
        if table is None:
            self.rows.append(ItemRow(position, _SUCCEEDED, item.number, key, None, value.location))
            if value.payload is not None:
                self._payloads.append((value.location, value.payload))
            return
        table.end(position, _SUCCEEDED, item.number)
        if key is not None:
            table.name(position, key)
        assert table.values is not None
        table.values.put(position, value)

    def ended(self, row: ItemRow) -> None:
        """An item has ended without a value."""
        if self._table is None:
            self.rows.append(row)
        else:
            self._table.record([row])

    async def record(self) -> None:
        """Record what has gathered."""
        rows, self.rows = self.rows[:_BATCH], self.rows[_BATCH:]
        payloads, self._payloads = self._payloads[:_BATCH], self._payloads[_BATCH:]
        attempt = self._attempt
        items = self._ctx.store.items
        await items.record(attempt.run_id, self._step, attempt.epoch, rows, payloads, io=attempt.io)

    async def value(self, source: Any, *, named: bool) -> Any:
        """What the function returned for each item that succeeded; a dict if the items have names of their own."""
        if self._table is not None:
            table = self._table
            assert table.values is not None
            table.values.pack()
            if not named:
                return PackedValues(table)
            values, states = table.values, table.states
            return {name: values[at] for at, name in enumerate(source) if states[at] == _SUCCEEDED}
        if not named:
            return OF_ITEMS
        manager, names = self._ctx.io_manager(self._attempt.io).manager, list(source)
        rows = await self.recorded(code=_SUCCEEDED)
        return {names[row.position]: await manager.load(str(row.location)) for row in rows}
