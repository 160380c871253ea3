"""The queue of runs that nobody drives yet: a narrow port over pgqueuer's tables in the schema `flowstone`.

A job says "look at this run" and nothing else. It is put in with the run, in one transaction, and it is taken
out in the transaction that makes a node the run's owner. So no job is ever in somebody's hands: there is none to
rescue, to heartbeat for or to acknowledge too late, and what becomes of the run is the run's own record.

Of pgqueuer this uses its tables and its statements (which skip locked rows and keep priorities), not its
workers: those acknowledge without a fence and leave a job `picked` when they are stopped at the wrong moment.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from flowstone.store.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.store.postgres.database import Connection

__all__ = ["enqueue", "install_queue", "take"]

_NEVER_STALE: Final = timedelta(days=3650)  # Jobs are taken and deleted in one transaction.


async def install_queue(connection: Connection) -> None:
    """Make the queue's tables, within the caller's transaction."""
    await _queries(connection).install(create_schema=False)
    # Its trigger tells the whole database of every change of the table; we wake whom it concerns ourselves.
    await connection.execute(query("drop_queue_trigger"))


async def enqueue(
    connection: Connection, run_id: str, pipeline: str, priority: int, delay: float = 0.0
) -> None:
    """Put a run in the queue, within the caller's transaction; one that is in it already stays as it is."""
    await _queries(connection).enqueue(
        pipeline,
        run_id.encode(),
        priority,
        timedelta(seconds=delay) if delay > 0 else None,
        run_id,
        on_conflict="skip",
    )


async def take(connection: Connection, pipelines: Collection[str], limit: int) -> list[str]:
    """Take the ids of up to `limit` runs of these pipelines out of the queue, within the caller's transaction.

    Highest priority first, then oldest. What somebody else is just taking is passed over.
    """
    from pgqueuer.domain.types import QueueManagerId  # noqa: PLC0415 - heavy, and only workers need it
    from pgqueuer.ports.repository import EntrypointExecutionParameter  # noqa: PLC0415 - as above

    queries = _queries(connection)
    wanted = {name: EntrypointExecutionParameter(concurrency_limit=0) for name in pipelines}
    jobs = await queries.dequeue(limit, wanted, QueueManagerId(uuid4()), None, _NEVER_STALE)
    if jobs:
        await queries.log_jobs([(job, "successful", None) for job in jobs])
    return [job.payload.decode() for job in jobs if job.payload is not None]


def _queries(connection: Connection) -> Any:
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver  # noqa: PLC0415 - heavy
    from pgqueuer.queries import Queries  # noqa: PLC0415 - as above

    environment, builder = _builders()
    return Queries(AsyncpgDriver(connection), qbe=environment, qbq=builder)


@cache
def _builders() -> tuple[Any, Any]:
    """Pgqueuer's statements for our schema. Built once: it keeps the text of its statements."""
    from pgqueuer.adapters.persistence.qb import (  # noqa: PLC0415 - heavy
        QueryBuilderEnvironment,
        QueryQueueBuilder,
    )
    from pgqueuer.domain.settings import DBSettings, Durability  # noqa: PLC0415 - as above
    from pgqueuer.domain.types import Channel  # noqa: PLC0415 - as above

    # Every name is given, so that no PGQUEUER_* variable of the environment moves our tables.
    names = DBSettings(
        prefix="",
        db_schema="flowstone",
        channel=Channel("flowstone_queue"),
        function="queue_changed",
        statistics_table="queue_statistics",
        queue_status_type="queue_status",
        queue_table="queue",
        queue_table_log="queue_log",
        trigger="queue_changed",
        schedules_table="queue_schedules",
        durability=Durability.durable,
    )
    return QueryBuilderEnvironment(names), QueryQueueBuilder(names)
