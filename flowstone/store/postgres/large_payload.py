"""An entry with a large payload: recorded in a transaction of its own, beside the journal.

The bytes go first. Recording locks the run, and all of a run's writers wait for that lock, those in the journal's
batch as well; so it is taken when there is little left to do. Large payloads of one run go to the database side by
side, and nobody waits for them but their own writers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.store.postgres.batch import arguments, refusal
from flowstone.store.postgres.sql import query

if TYPE_CHECKING:
    from flowstone.store.postgres.batch import Write
    from flowstone.store.postgres.database import Database

__all__ = ["write_large"]


class _Refused(Exception):
    """The entry is refused, and the transaction undone.

    Attributes:
        row: Why.
    """

    def __init__(self, row: Any) -> None:
        super().__init__(row)
        self.row = row


async def write_large(database: Database, writer: str, entry: Write) -> None:
    """Record an entry with its payload, however long the database is away. Raises `StaleWrite`."""
    assert entry.payload is not None
    location, content = entry.payload
    given, *_ = arguments([replace(entry, payload=None)])
    tries = 0

    async def send() -> None:
        nonlocal tries
        tries += 1
        async with database.transaction() as connection:
            await connection.execute(query("keep_payload"), location, content)
            for row in await connection.fetch(query("record"), writer, None, None, *given):
                raise _Refused(row)

    try:
        async with database.large:
            await database.patiently(send, "recording a large value", math.inf)
    except _Refused as refused:
        # After a lost answer it is its own record that refuses it.
        ended = tries > 1 and refused.row["reason"] == "ended"
        if not (ended and await database.fetch("payload_exists", location)):
            raise refusal(refused.row, entry) from None
