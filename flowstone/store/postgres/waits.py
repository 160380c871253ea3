"""What steps wait for, in Postgres. See `flowstone.store.waits` for what each call promises.

A wait's row is changed only by whoever holds the lock on the row of its run, so that an answer, a deadline, a
cancel and the parking of the run come one after the other, whoever says them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_labels import step_label
from flowstone.runs.waits import Wait
from flowstone.store.json_safe import json_safe
from flowstone.store.postgres.cluster import cancel
from flowstone.store.postgres.columns import event_of
from flowstone.store.postgres.queue import enqueue_all
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import from_json, key_of, key_text, to_json
from flowstone.store.protocol import StaleWrite
from flowstone.store.waits import Expired, Waits

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from random import Random

    from flowstone.runs.records import StepKey
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["PostgresWaits"]

_MOST: Final = 500  # Waits that end in one transaction.


class PostgresWaits(Waits):
    """The waits of one database.

    Args:
        database: Where.
        random: Names requests.
    """

    def __init__(self, database: Database, random: Random) -> None:
        self._database = database
        self._random = random

    async def answer(self, run_id: str, step: StepKey, name: str, answer: Any, *, now: datetime) -> Wait:
        del now  # The database has a clock.
        request = f"{self._random.getrandbits(128):032x}"
        wait = (run_id, step[0], key_text(step[1]), name)
        text = to_json(json_safe(answer))
        row = await self._database.transact(
            "answer a wait", lambda connection: _answer(connection, wait, text, request)
        )
        if row is None:
            (row,) = await self._database.fetch("wait", *wait) or (None,)
            if row is None or row["answered_by"] != request:
                state = "is not there" if row is None else f"is {row['status']}"
                if row is not None and row["status"] == "open":
                    state = f"is over since {row['deadline']}, or its run is"
                raise StaleWrite(f"the wait {name!r} of {step_label(*step)} in run {run_id} {state}")
        return _wait(row)

    async def answers(self, run_id: str, step: StepKey) -> Mapping[str, Any]:
        rows = await self._database.fetch("wait_answers", run_id, step[0], key_text(step[1]))
        return {row["name"]: _value(row["answer"]) for row in rows}

    async def woken(self, run_id: str, *, after: int) -> Sequence[tuple[int, Any]]:
        rows = await self._database.fetch("woken", run_id, after)
        return [(row["number"], event_of(row)) for row in rows]

    async def waiting(self, step: StepKey | None = None) -> bool:
        if step is None:
            (row,) = await self._database.fetch("any_waits")
        else:
            (row,) = await self._database.fetch("step_waits", step[0], key_text(step[1]))
        return bool(row["waiting"])

    async def expire(self, *, now: datetime, runs: Collection[str] | None = None) -> Expired:
        """What was woken goes into the queue, and to whoever drives it: there is nothing more to be done here."""
        del now, runs
        due = [row["run_id"] for row in await self._database.fetch("due_waits", _MOST)]
        if due:
            await self._database.transact("end waits", lambda connection: _expire(connection, due))
        rows = await self._database.fetch("next_deadline")
        return Expired((), max(0.0, rows[0]["seconds"]) if rows else None)


# Transactions -----------------------------------------------------------------------------------------------


async def _answer(connection: Connection, wait: tuple[str, str, str, str], answer: str, request: str) -> Any:
    run = await connection.fetchrow(query("lock_run"), wait[0])
    if run is None or run["finished"]:
        return None
    row = await connection.fetchrow(query("answer_wait"), *wait, answer, request)
    if row is not None:
        await _wake(connection, [row])
    return row


async def _expire(connection: Connection, due: Sequence[str]) -> None:
    await connection.fetch(query("lock_runs"), due)
    ended = await connection.fetch(query("expire_waits"), due, _MOST)
    overdue = dict.fromkeys(row["run_id"] for row in ended if row["kind"] == "timeout")
    await _wake(connection, [row for row in ended if row["run_id"] not in overdue])
    for run_id in overdue:
        await cancel(connection, run_id, "timeout")


async def _wake(connection: Connection, waits: Sequence[Any]) -> None:
    """The steps of these waits go on, and runs that are parked no more are put in the queue."""
    if not waits:
        return
    names = ("run_id", "asset", "key", "attempt", "name")
    woken = await connection.fetch(query("wake"), *([row[name] for row in waits] for name in names))
    parked = sorted((row["id"], row["pipeline"], row["priority"]) for row in woken if row["parked"])
    if parked:
        await enqueue_all(connection, parked)
    for pipeline in dict.fromkeys(pipeline for _, pipeline, _ in parked):
        await connection.execute(query("tell"), f"queued:{pipeline}")


# Rows -------------------------------------------------------------------------------------------------------


def _value(text: str | None) -> Any:
    return None if text is None else from_json(text)


def _wait(row: Any) -> Wait:
    return Wait(
        row["run_id"],
        row["asset"],
        key_of(row["key"]),
        row["name"],
        row["kind"],
        row["attempt"],
        row["asked_at"],
        row["deadline"],
        row["status"],
        _value(row["answer"]),
        row["answered_at"],
    )
