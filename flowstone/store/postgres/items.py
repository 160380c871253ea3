"""What became of items, in Postgres. See `flowstone.store.items` for what each call promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.store import refusals
from flowstone.store.codec import decode_item, encode_item
from flowstone.store.items import Items, ItemSet, keeper_of
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import from_json, key_of, key_text, to_json
from flowstone.store.protocol import StaleWrite
from flowstone.store.sanitise import sanitised_item

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flowstone.runs.items import ItemRow
    from flowstone.runs.records import StepKey
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["PostgresItems"]

_PAGE: Final = 50_000  # Rows in one answer.
_FORGOTTEN: Final = 5_000  # Rows that one statement deletes, with what is kept of them.


class PostgresItems(Items):
    """The items of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self,
        run_id: str,
        step: StepKey,
        epoch: int,
        rows: Sequence[ItemRow],
        payloads: Sequence[tuple[str, bytes]] = (),
        *,
        io: str | None = None,
    ) -> None:
        columns: list[Sequence[Any]] = [[], [], [], [], [], []]
        if rows:
            safe = [sanitised_item(row) for row in rows]
            position, code, attempt, key, _, location = zip(*safe, strict=True)
            failure = [None if row.failure is None else to_json(encode_item(row)[4]) for row in safe]
            columns = [position, code, attempt, key, location, failure]
        locations, contents = [place for place, _ in payloads], [content for _, content in payloads]
        given = (run_id, step[0], key_text(step[1]), epoch, *columns, locations, contents)
        recorded = await self._database.fetch("record_items", *given, keeper_of(rows, payloads, io))
        if recorded:
            return
        runs = await self._database.fetch("run", run_id)
        if not runs:
            raise StaleWrite(refusals.unknown_run(run_id))
        if runs[0]["epoch"] > epoch:
            raise StaleWrite(refusals.taken_over(run_id, runs[0]["epoch"], epoch))
        raise StaleWrite(refusals.finished(run_id))

    async def states(self, run_id: str, step: StepKey) -> bytearray:
        states = bytearray()
        after = -1
        while True:
            rows = await self._database.fetch("item_states", run_id, step[0], key_text(step[1]), after, _PAGE)
            for row in rows:
                after = row["position"]
                states.extend(bytes(max(0, after + 1 - len(states))))
                states[after] = row["status"]
            if len(rows) < _PAGE:
                return states

    async def rows(
        self,
        run_id: str,
        step: StepKey,
        *,
        code: int | None = None,
        after: int = -1,
        offset: int = 0,
        limit: int | None = None,
    ) -> Sequence[ItemRow]:
        given = (run_id, step[0], key_text(step[1]), after, offset, limit)
        if code is None:
            rows = await self._database.fetch("items", *given)
        else:
            rows = await self._database.fetch("items_ended", *given, code)
        return [_row(row) for row in rows]

    async def unneeded(self, assets: Collection[str], *, limit: int) -> Sequence[ItemSet]:
        async def work(connection: Connection) -> Sequence[Any]:
            rows: Sequence[Any] = await connection.fetch(query("unneeded_items"), list(assets), limit)
            return rows

        rows = await self._database.transact("unneeded items", work, by_index=True)
        return [ItemSet(run_id, (asset, key_of(key)), io) for run_id, asset, key, io in rows]

    async def forget(self, run_id: str, step: StepKey, *, up_to: int | None = None) -> None:
        given = (run_id, step[0], key_text(step[1]), _FORGOTTEN, up_to)
        deleted = _FORGOTTEN
        while deleted == _FORGOTTEN:
            rows = await self._database.fetch("forget_items", *given)
            deleted = rows[0]["count"]


def _row(row: Any) -> ItemRow:
    position, code, attempt, name, location, failure = row
    told = None if failure is None else from_json(failure)
    return decode_item((position, code, attempt, name, told, location))
