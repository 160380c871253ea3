"""The queue of runs that nobody drives yet: a narrow port over pgqueuer's tables in the schema `flowstone`.

A job says "look at this run" and nothing else. It is put in with the run, in one transaction, and it is taken
out in the transaction that makes a node the run's owner. So no job is ever in somebody's hands: there is none to
rescue, to heartbeat for or to acknowledge too late, and what becomes of the run is the run's own record.

A job is due from the moment it is there. Who does not want a run for a while leaves it alone by its own monotonic
clock (`QueueConsumer`), because an instant written into the queue would be read by another clock, or by the same
one after it was set back.

Of pgqueuer this uses its tables and how it fills them; not its workers, which acknowledge without a fence and leave
a job `picked` when they are stopped at the wrong moment; and not its way to take jobs, which asks what time it is
and locks the job before the run. `take.sql` is ours.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from flowstone.store.postgres.sql import query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowstone.store.postgres.database import Connection

__all__ = ["enqueue", "enqueue_all", "install_queue", "load_queue"]


async def install_queue(connection: Connection) -> None:
    """Make the queue's tables, within the caller's transaction."""
    await _queries(connection).install(create_schema=False)
    # Its trigger tells the whole database of every change of the table; we wake those it concerns ourselves.
    await connection.execute(query("drop_queue_trigger"))


async def enqueue(connection: Connection, run_id: str, pipeline: str, priority: int) -> None:
    """Put a run in the queue, within the caller's transaction; one that is in it already stays as it is."""
    await _queries(connection).enqueue(
        pipeline, run_id.encode(), priority, dedupe_key=run_id, on_conflict="skip"
    )


async def enqueue_all(connection: Connection, runs: Sequence[tuple[str, str, int]]) -> None:
    """As `enqueue`, for several runs, each with its pipeline and priority."""
    await _queries(connection).enqueue(
        [pipeline for _, pipeline, _ in runs],
        [run_id.encode() for run_id, _, _ in runs],
        [priority for _, _, priority in runs],
        dedupe_key=[run_id for run_id, _, _ in runs],
        on_conflict="skip",
    )


def load_queue() -> None:
    """Import pgqueuer, which takes long, before a transaction that may use it: its locks are held meanwhile."""
    _classes()
    _builders()


def _queries(connection: Connection) -> Any:
    queries, driver = _classes()
    environment, builder = _builders()
    return queries(driver(connection), qbe=environment, qbq=builder)


@cache
def _classes() -> tuple[Callable[..., Any], Callable[[Connection], Any]]:
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver  # noqa: PLC0415 - heavy
    from pgqueuer.queries import Queries  # noqa: PLC0415 - as above

    return Queries, AsyncpgDriver


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
