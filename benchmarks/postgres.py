"""A durable Postgres of one benchmark's own, and what the journal sends to it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from flowstone.store.embedded import EmbeddedServer
from flowstone.store.postgres import PostgresStore, journal
from flowstone.store.postgres.batch import Write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowstone.store.postgres.batch import Entry

__all__ = ["Batch", "batches", "database", "place"]

OF_EVENT = 7  # Columns of an event that ends no step.


@contextmanager
def place() -> Iterator[Path]:
    """A directory that is removed afterwards; the server's account can enter it if this is root."""
    directory = Path(tempfile.mkdtemp(prefix="flowstone-bench-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def database(**options: str) -> Iterator[str]:
    """The URL of an empty database on an embedded server that syncs to disk, as a user's does."""
    with place() as directory:
        server = EmbeddedServer(directory / "pg", options=options)
        url = server.start()
        try:
            yield url
        finally:
            server.stop()


@dataclass(frozen=True, slots=True)
class Batch:
    """How much of what one transaction recorded."""

    starts: int
    events: int
    ended: int
    inputs: int
    values: int


@dataclass(slots=True)
class Batches:
    """What the journal of this process sent while it was watched."""

    sent: list[Batch] = field(default_factory=list)

    def note(self, batch: Sequence[Entry]) -> None:
        writes = [entry for entry in batch if isinstance(entry, Write)]
        rows = [row for write in writes for row in write.rows]
        ended = sum(len(row) > OF_EVENT for row in rows)
        starts = sum(write.start is not None for write in writes)
        inputs = sum(len(write.inputs) for write in writes)
        values = sum(write.payload is not None for write in writes)
        self.sent.append(Batch(starts, len(rows) - ended, ended, inputs, values))


@contextmanager
def batches() -> Iterator[Batches]:
    """Watch what is sent."""
    original, seen = journal.arguments, Batches()

    def watched(batch: Any) -> Any:
        seen.note(batch)
        return original(batch)

    journal.arguments = watched
    try:
        yield seen
    finally:
        journal.arguments = original


async def prepared(url: str) -> asyncpg.Connection:
    """A connection to the database, with FlowStone's schema and the baseline's tables in it."""
    await PostgresStore(url).migrate()
    connection = await asyncpg.connect(url)
    await connection.execute(BARE)
    return connection


async def bare(connection: asyncpg.Connection, sent: Sequence[Batch]) -> None:
    """Record as many rows of about the same size, in the same batches: a statement each, and no questions."""
    run = os.urandom(14).hex()
    number = 0
    for batch in sent:
        number += batch.starts
        starts = [run, number, batch.starts]
        events = [[run] * batch.events, range(number, number + batch.events), [KIND] * batch.events]
        number += batch.events
        ends = [[run] * batch.ended, range(number, number + batch.ended), [PLACE] * batch.ended]
        number += batch.ended
        inputs, values = [run] * batch.inputs, [b"2"] * batch.values
        await connection.execute(INSERT, *events, *ends, inputs, values, *starts)


KIND = "run.started"
PLACE = "values/report/d%3A2025-01-01/01998e5a0b7c1a2b3c4d5e6f7081/1-5feceb66ffc86f38.json"

BARE = """
create table bare_starts (
    run_id text collate "C", number bigint, at timestamptz[], asset text[], key text[],
    primary key (run_id, number));
create table bare_events (
    run_id text collate "C", number bigint, kind text, at timestamptz default now(), asset text default 'report',
    key text default 'd:2025-01-01', attempt integer default 1, primary key (run_id, number));
create table bare_ends (
    run_id text collate "C", number bigint, location text, status text default 'succeeded',
    attempt integer default 1, started_at timestamptz default now(), finished_at timestamptz default now(),
    asset text default 'report',
    key text default 'd:2025-01-01', data_version text default repeat('x', 71), io text default 'default',
    size bigint default 1, details json default '{"inputs":[["clean","d:2025-01-01","01998e5a0b7c1a2b3c4d5e6",1]]}',
    primary key (run_id, number));
create table bare_inputs (run_id text, asset text default 'clean', key text default 'd:2025-01-01');
create table bare_values (content bytea);
"""

INSERT = """
with events as (
    insert into bare_events (run_id, number, kind) select * from unnest($1::text[], $2::bigint[], $3::text[])),
ends as (
    insert into bare_ends (run_id, number, location) select * from unnest($4::text[], $5::bigint[], $6::text[])),
inputs as (insert into bare_inputs (run_id) select * from unnest($7::text[])),
starts as (
    insert into bare_starts select $9, $10, array_fill(now(), array[$11::integer]),
        array_fill('report'::text, array[$11::integer]), array_fill('d:2025-01-01'::text, array[$11::integer])
    where $11 > 0)
insert into bare_values select * from unnest($8::bytea[])
"""
