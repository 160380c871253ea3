"""Pools in Postgres. See `flowstone.store.pools` for what each call promises, migration 0020 for how it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runs.pools import Pool
from flowstone.store.json_safe import safe_text
from flowstone.store.pools import Granted, PoolSlots, SharedPools
from flowstone.store.postgres.audit import act_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from flowstone.runs.audit import Act
    from flowstone.store.pools import Claim
    from flowstone.store.postgres.database import Database

__all__ = ["PostgresPools"]


class PostgresPools(PoolSlots, SharedPools):
    """The pools of one database.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, name: str, slots: int | None, *, defined: int, act: Act | None = None) -> None:
        await self._database.fetch("set_pool", name, defined, slots, *act_columns(act))

    async def given(self) -> Mapping[str, int]:
        return {row["name"]: row["set_slots"] for row in await self._database.fetch("set_pools")}

    async def define(self, node_id: str, pools: Collection[tuple[str, int]]) -> int | None:
        names, slots = [name for name, _ in pools], [number for _, number in pools]
        rows = await self._database.fetch("define_pools", node_id, names, slots)
        return rows[0]["fence"] if rows else None

    async def exchange(
        self,
        node_id: str,
        fence: int,
        *,
        asked: Sequence[Claim] = (),
        over: Collection[int] = (),
        known: Collection[int] = (),
        pools: Collection[str] = (),
    ) -> Granted:
        parts = [(claim, name, slots) for claim in asked for name, slots in claim.pools]
        rows = await self._database.fetch(
            "exchange_slots",
            node_id,
            fence,
            sorted({*pools, *(name for _, name, _ in parts)}),
            list(known),
            list(over),
            [claim.number for claim, _, _ in parts],
            [name for _, name, _ in parts],
            [slots for _, _, slots in parts],
            [claim.priority for claim, _, _ in parts],
            [claim.run_id for claim, _, _ in parts],
            [safe_text(claim.step) for claim, _, _ in parts],
        )
        granted = {row["claim"]: tuple(row["pools"]) for row in rows if row["claim"] is not None}
        return Granted(rows[0]["fence"] if rows else None, granted)

    async def forget(self, node_id: str) -> None:
        await self._database.fetch("forget_claims", node_id)

    async def differences(self, names: Collection[str]) -> Mapping[str, tuple[int, int]]:
        rows = await self._database.fetch("pool_differences", list(names))
        return {row["pool"]: (row["fewest"], row["most"]) for row in rows}

    async def show(self, names: Collection[str]) -> Sequence[Pool]:
        rows = await self._database.fetch("pools", list(names))
        return [
            Pool(row["name"], row["slots"], row["taken"], row["waiting"], tuple(row["holders"]))
            for row in rows
        ]
