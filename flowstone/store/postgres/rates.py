"""Rates in Postgres. See `flowstone.store.rates` for what each call promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.store.rates import Reserved, SharedRates

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flowstone.store.postgres.database import Database
    from flowstone.store.rates import Wanted

__all__ = ["PostgresRates"]


class PostgresRates(SharedRates):
    """The rates of one database.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, wanted: Collection[Wanted]) -> Sequence[Reserved]:
        rows = await self._database.fetch(
            "reserve_turns",
            [each.rate for each in wanted],
            [each.gap for each in wanted],
            [each.count for each in wanted],
            [each.lead for each in wanted],
        )
        return [Reserved(row["rate"], row["here"], row["first"], row["turns"]) for row in rows]
