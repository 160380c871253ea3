"""What steps wait for, in Postgres. See `flowstone.store.waits` for what each call promises.

A wait's row is changed only by whoever holds the lock on the row of its run, so that an answer, a deadline, a
cancel and the parking of the run come one after the other, whoever says them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_labels import step_label
from flowstone.runs import endings
from flowstone.runs.waits import Wait
from flowstone.store.postgres.batch import Write, arguments
from flowstone.store.postgres.cluster import cancel
from flowstone.store.postgres.columns import event_of
from flowstone.store.postgres.queue import enqueue_all, load_queue
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import from_json, key_of, key_text, to_json
from flowstone.store.protocol import StaleWrite
from flowstone.store.sanitise import sanitised, sanitised_name
from flowstone.store.waits import Answered, Expired, Waits

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from random import Random

    from flowstone.assets.waiting import Answers
    from flowstone.runs.records import StepKey
    from flowstone.runs.waits import WaitStatus
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

    async def answer(
        self,
        run_id: str,
        step: StepKey,
        name: str,
        answer: Any,
        *,
        now: datetime,
        status: WaitStatus = "answered",
        by: str | None = None,
    ) -> Answered:
        del now  # The database has a clock.
        request = f"{self._random.getrandbits(128):032x}"
        wait = (run_id, step[0], key_text(step[1]), name)
        load_queue()
        given = (to_json(answer), request, status, sanitised_name(by))
        row = await self._database.transact(
            "answer a wait", lambda connection: _answer(connection, wait, *given)
        )
        if row is None:
            (row,) = await self._database.fetch("wait", *wait) or (None,)
            if row is None or row["answered_by"] != request:
                state = "is not there" if row is None else f"is {row['status']}"
                if row is not None and row["status"] in {"open", "early"}:
                    state = f"is over since {row['deadline']}, or its step or its run is"
                raise StaleWrite(f"the wait {name!r} of {step_label(*step)} in run {run_id} {state}")
        return Answered(_wait(row))

    async def answers(self, run_id: str, step: StepKey) -> Answers:
        rows = await self._database.fetch("wait_answers", run_id, step[0], key_text(step[1]))
        waits = [_wait(row) for row in rows]
        return {wait.name: wait.as_answer for wait in waits}

    async def woken(self, run_id: str, *, after: int) -> Sequence[tuple[int, Any]]:
        rows = await self._database.fetch("woken", run_id, after)
        return [(row["number"], event_of(row)) for row in rows]

    async def approval(self, id: str) -> Wait | None:  # noqa: A002 - the public word
        rows = await self._database.fetch("approval", id)
        return _wait(rows[0]) if rows else None

    async def approvals(
        self,
        statuses: Collection[WaitStatus] = (),
        *,
        now: datetime,
        asset: str | None = None,
        limit: int = 100,
        before: Wait | None = None,
    ) -> Sequence[Wait]:
        del now
        end = None if before is None else before.arrival
        if tuple(statuses) == ("open",):
            rows = await self._database.fetch("pending_approvals", asset, max(0, limit), end)
        else:
            rows = await self._database.fetch("approvals", list(statuses), asset, max(0, limit), end)
        return [_wait(row) for row in rows]

    async def open(self, *, now: datetime, asset: str | None = None, limit: int = 100) -> Sequence[Wait]:
        del now
        return [_wait(row) for row in await self._database.fetch("open_waits", asset, max(0, limit))]

    async def of_token(self, hashed: str) -> Wait | None:
        rows = await self._database.fetch("wait_of_token", hashed)
        return _wait(rows[0]) if rows else None

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
            load_queue()
            await self._database.transact("end waits", lambda connection: _expire(connection, due))
        rows = await self._database.fetch("next_deadline")
        return Expired((), max(0.0, rows[0]["seconds"]) if rows else None)


# Transactions -----------------------------------------------------------------------------------------------


async def _answer(
    connection: Connection,
    wait: tuple[str, str, str, str],
    answer: str,
    request: str,
    status: WaitStatus,
    by: str | None,
) -> Any:
    row = await connection.fetchrow(query("answer_wait"), *wait, answer, request, status, by)
    if row is None:
        await connection.execute(query("tell_queued"), [wait[0]])
    elif row["before"] == "open":
        await _go_on(connection, [_wait(row)])
    return row


async def _expire(connection: Connection, due: Sequence[str]) -> None:
    await connection.fetch(query("lock_runs"), due)
    ended = await connection.fetch(query("expire_waits"), due, _MOST)
    overdue = dict.fromkeys(row["run_id"] for row in ended if row["kind"] == "timeout")
    over = [_wait(row) for row in ended if row["run_id"] not in overdue]
    await _go_on(connection, sorted(over, key=_in_order))
    if overdue:
        await cancel(connection, list(overdue), "timeout")


def _in_order(wait: Wait) -> tuple[datetime | None, int]:
    return wait.deadline, wait.arrival


async def _go_on(connection: Connection, waits: Sequence[Wait]) -> None:
    """What becomes of steps whose waits are over; runs that are parked no more are put in the queue, and told of.

    A step goes on, or has failed with that. All is written by the transaction in which the waits ended, in as many
    statements for hundreds of them as for one, because their runs are locked meanwhile.
    """
    if not waits:
        return
    denied = [wait for wait in waits if wait.status != "answered"]
    if denied:
        await _deny(connection, denied)
    rows = [
        (
            wait.run_id,
            wait.asset,
            key_text(wait.partition_key),
            wait.attempt,
            wait.name,
            wait.answer.get("by") if wait.kind == "approval" and wait.answer else None,
            wait.status == "answered",
        )
        for wait in waits
    ]
    woken = await connection.fetch(query("wake"), *map(list, zip(*rows, strict=True)))
    parked = sorted((row["id"], row["pipeline"], row["priority"]) for row in woken if row["parked"])
    if parked:
        await enqueue_all(connection, parked)


async def _deny(connection: Connection, waits: Sequence[Wait]) -> None:
    """Record that steps have failed because of what became of their waits; one that has ended is left as it is."""
    steps: dict[tuple[str, str, str | None], Wait] = {}
    for wait in waits:
        steps.setdefault((wait.run_id, wait.asset, wait.partition_key), wait)
    known = await connection.fetch(query("epochs"), list({run_id for run_id, _, _ in steps}))
    epochs = {row["id"]: row["epoch"] for row in known}
    entries = [_denial(wait, epochs[wait.run_id]) for wait in steps.values()]
    while entries:
        given, _, writes = arguments(entries)
        refused = {row["entry"] for row in await connection.fetch(query("record"), "", None, None, *given)}
        entries = [write for place, write in enumerate(writes, 1) if place not in refused] if refused else []


def _denial(wait: Wait, epoch: int) -> Write:
    assert wait.answered_at is not None
    event = sanitised(endings.denied(wait, wait.answered_at))
    return Write.of([event], epoch, asyncio.get_running_loop().create_future())


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
        _value(row["about"]),
        row["arrival"],
    )
