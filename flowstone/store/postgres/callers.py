"""Who wants which run, in Postgres. See `flowstone.store.callers` for what each call promises, and migration 0029.

`start_each` is for whoever starts runs within a transaction of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import WaitsForItself
from flowstone.store.callers import Caller, Callers, Unwanted
from flowstone.store.postgres.cluster import cancel
from flowstone.store.postgres.columns import request_text, unowned_columns, utc
from flowstone.store.postgres.queue import enqueue, enqueue_all, load_queue
from flowstone.store.postgres.sql import query
from flowstone.store.sanitise import sanitised_run

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flowstone.runs.records import RunRecord
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["PostgresCallers", "create_unless_under_way", "lock_identities", "start_each"]

_FOR_EVER: Final = Caller("", "")


class PostgresCallers(Callers):
    """The callers of one database.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, run: RunRecord, caller: Caller | None, *, join: bool = True, but: Collection[str] = ()
    ) -> str:
        run = sanitised_run(run)
        if run.owner is None:
            load_queue()
        shunned = list(but) if join else None

        async def work(connection: Connection) -> str | None:
            run_id = await create_unless_under_way(connection, run, shunned)
            if run_id is not None and (caller is not None or run_id != run.id):
                await _join(connection, run_id, caller or _FOR_EVER)
            return run_id

        run_id = None
        while run_id is None:  # The run that had its key has just finished: now it is free.
            run_id = await self._database.transact("joining or creating a run", work)
        if run_id != run.id:
            await self._database.fetch("tell_end", run_id)
        return run_id

    async def attend(self, run_id: str, caller: Caller) -> None:
        if caller.waiting:
            await self._database.transact(
                "joining a run", lambda connection: _join(connection, run_id, caller)
            )
            return
        await self._database.fetch("want", run_id, *_columns(caller))

    async def keep(self, run_id: str) -> None:
        await self._database.fetch("want", run_id, *_columns(_FOR_EVER))

    async def leave(self, run_id: str, caller: Caller) -> Unwanted | None:
        return await self._leave(run_id, caller.id, caller.node, cancels=caller.cancels)

    async def forget(self, node_id: str) -> None:
        while rows := await self._database.fetch("wanted_by", node_id):
            for row in rows:
                await self._leave(row["run_id"], None, node_id, cancels=False)

    async def _leave(
        self, run_id: str, caller: str | None, node_id: str, *, cancels: bool
    ) -> Unwanted | None:
        load_queue()

        async def work(connection: Connection) -> Unwanted | None:
            why: Unwanted | None = await connection.fetchval(
                query("leave_run"), run_id, caller, node_id, cancels
            )
            if why is not None:
                await cancel(connection, [run_id], why)
            return why

        return await self._database.transact("leaving a run", work)

    async def wanted(self, run_ids: Collection[str], node_id: str) -> Collection[str]:
        rows = await self._database.fetch("wanted_runs", list(run_ids), node_id)
        return [row["run_id"] for row in rows]


async def lock_identities(connection: Connection, runs: Sequence[RunRecord]) -> None:
    """Keep all others from creating, joining or leaving runs that do the same as these, until the transaction ends.

    Before `create_unless_under_way`, by whoever creates more than one run in one transaction, and before it locks
    any row of a run: so that no two transactions wait for each other.
    """
    pipelines, requests = [run.pipeline for run in runs], [request_text(run) for run in runs]
    await connection.execute(query("lock_identities"), pipelines, requests)


async def create_unless_under_way(
    connection: Connection, run: RunRecord, but: Sequence[str] | None = ()
) -> str | None:
    """Within the caller's transaction, create a run and queue it, unless one is under way for the same request.

    Args:
        connection: In a transaction.
        run: The run, with storable tags (`sanitised_run`). With an owner it is that node's and not queued.
        but: Runs that are not joined; None: the run is created in any case.

    Returns:
        The id of the run that there is then: this one's, or that of the one that is under way or has its key. None:
        a run took its key meanwhile; do it again.
    """
    row = await connection.fetchrow(
        query("create_unless_under_way"),
        run.id,
        run.pipeline,
        run.request.asset,
        request_text(run),
        utc(run.created_at),
        utc(run.started_at),
        run.owner,
        run.total,
        run.key,
        run.priority,
        None if but is None else list(but),
    )
    if row is None:
        return None
    run_id: str = row["id"]
    if row["is_new"] and run.owner is None:
        await enqueue(connection, run.id, run.pipeline, run.priority)
        await connection.execute(query("tell"), [f"queued:{run.pipeline}"])
    return run_id


async def start_each(
    connection: Connection, runs: Sequence[RunRecord], joins: Sequence[bool]
) -> dict[str, str]:
    """Within the caller's transaction, create runs that have no key, or have those under way wanted for ever.

    They are created in order: one that joins and does the same as one before it is that one.

    Args:
        connection: In a transaction, with the locks of `lock_identities`.
        runs: The runs.
        joins: Of each, whether it joins one that is under way.

    Returns:
        The id of the run that there is then, by that of each.
    """
    rows = await connection.fetch(query("create_each_unless_under_way"), *unowned_columns(runs), list(joins))
    there: dict[str, str] = {row["wanted"]: row["id"] for row in rows}
    new = {row["wanted"] for row in rows if row["is_new"]}
    if new:
        await enqueue_all(connection, [(run.id, run.pipeline, run.priority) for run in runs if run.id in new])
        queues = dict.fromkeys(f"queued:{run.pipeline}" for run in runs if run.id in new)
        await connection.execute(query("tell"), list(queues))
    for asked, joined in there.items():
        if joined != asked:
            await _want(connection, joined, _FOR_EVER)
    return there


async def _join(connection: Connection, run_id: str, caller: Caller) -> None:
    if caller.waiting and await connection.fetchval(query("closes_circle"), run_id, list(caller.waiting)):
        raise WaitsForItself(
            f"A step of run {caller.waiting[0]} would wait for run {run_id}, which cannot end before that step "
            "does: let the asset return, and wait outside of it."
        )
    await _want(connection, run_id, caller)


async def _want(connection: Connection, run_id: str, caller: Caller) -> None:
    await connection.execute(query("want"), run_id, *_columns(caller))


def _columns(caller: Caller) -> tuple[Any, ...]:
    return caller.id, caller.node, caller.cancels, list(caller.waiting)
