"""What is forgotten of automations that no pipeline has defined for a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runs.automation import duty_of
from flowstone.store.automations import GONE_FOR
from flowstone.store.postgres.sql import query

if TYPE_CHECKING:
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["forget_gone_automations"]


async def forget_gone_automations(database: Database) -> None:
    """Forget them, who follows for them, and who drives them. Raises `StoreUnavailable`."""

    async def work(connection: Connection) -> None:
        gone = await connection.fetch(query("forget_automations"), GONE_FOR)
        if gone:  # In one transaction, so that one which is defined again at once has its new driver's duty.
            duties = [duty_of((row["pipeline"], row["name"])) for row in gone]
            await connection.execute(query("forget_duties"), duties)

    await database.transact("forgetting automations that are gone", work)
