"""`flowstone.values`: what PostgresIO keeps, looked at with SQL."""

from __future__ import annotations

import json
from datetime import date

import asyncpg
import pytest

from flowstone import DailyPartitions, Pipeline, Runtime


@pytest.fixture
async def sql(database):
    """Asks the database for rows."""
    connection = await asyncpg.connect(database)
    yield connection.fetch
    await connection.close()


def sales(**returns):
    """A pipeline of one asset for each name, which returns what is given."""
    pipeline = Pipeline("sales")
    for name, value in returns.items():
        pipeline.asset(name=name)(_returning(value))
    return pipeline


def _returning(value):
    async def function():
        return value

    return function


async def test_the_view_shows_every_value_with_its_record(database, sql):
    """Asset, key, run and attempt, size and bytes; JSON as jsonb, anything else without a document."""
    pipeline = sales(report={"rows": 3, "ok": True}, raw=b"\0\xff", text="hello")
    async with Runtime(pipeline, store=database) as runtime:
        record = await runtime.materialize("report")
        await runtime.materialize("raw")
        await runtime.materialize("text")
    rows = await sql("select * from flowstone.values order by asset")
    assert [(row["asset"], row["key"], row["attempt"], row["current"], row["size"]) for row in rows] == [
        ("raw", "", 1, True, 2),
        ("report", "", 1, True, 20),
        ("text", "", 1, True, 5),
    ]
    assert [row["content"] for row in rows] == [b"\0\xff", b'{"rows":3,"ok":true}', b"hello"]
    assert [row["document"] and json.loads(row["document"]) for row in rows] == [
        None,
        {"rows": 3, "ok": True},
        None,
    ]
    assert (rows[1]["run_id"], rows[1]["location"]) == (record.run_id, record.location)
    assert rows[1]["finished_at"] == record.finished_at


async def test_documents_can_be_searched(database, sql):
    """As any jsonb; tags say what JSON has no words for."""
    pipeline = Pipeline("sales")

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-10"))
    async def day(context) -> dict:
        return {"day": context.partition, "orders": context.partition.day}

    async with Runtime(pipeline, store=database) as runtime:
        await runtime.backfill("day")
    rows = await sql(
        """select key, document -> 'day' as day from flowstone.values
        where asset = 'day' and current and (document ->> 'orders')::int > 8 order by key"""
    )
    assert [(row["key"], json.loads(row["day"])) for row in rows] == [
        ("d:2025-01-09", {"$date": "2025-01-09"}),
        ("d:2025-01-10", {"$date": "2025-01-10"}),
    ]


async def test_what_jsonb_cannot_hold_spoils_no_other_row(database, sql):
    """A NUL in a text or a huge number makes that document null; its bytes, and the other rows, are there."""
    pipeline = sales(
        good={"a": 1}, nul={"a": "x\0y"}, huge={"a": 10**2000 * 7, "b": [1e300] * 3}, deep=_nested(90)
    )
    async with Runtime(pipeline, store=database) as runtime:
        for name in pipeline.assets:
            await runtime.materialize(name)
        assert await runtime.load("nul") == {"a": "x\0y"}
    rows = await sql("select asset, document, content from flowstone.values")
    documents = {row["asset"]: row["document"] for row in rows}
    assert set(documents) == {"good", "nul", "huge", "deep"}
    assert (json.loads(documents["good"]), documents["nul"]) == ({"a": 1}, None)
    assert all(row["content"] for row in rows)


def _nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


async def test_older_values_are_not_current(database, sql):
    """Each value that is still kept is a row; the newest is current until it is invalidated."""
    pipeline = sales(report=1)
    async with Runtime(pipeline, store=database) as runtime:
        first = await runtime.materialize("report")
        second = await runtime.materialize("report")
        query = "select run_id, current from flowstone.values order by run_id"
        assert [tuple(row) for row in await sql(query)] == [(first.run_id, False), (second.run_id, True)]
        await runtime.invalidate("report")
        assert [tuple(row) for row in await sql(query)] == [(first.run_id, False), (second.run_id, False)]


async def test_reused_values_are_shown_once(database, sql):
    """A run that reuses a value has a record of it, and no value of its own."""
    pipeline = sales(report=date(2025, 1, 15))
    async with Runtime(pipeline, store=database) as runtime:
        await runtime.materialize("report")
        assert len((await runtime.materialize_all("report", refresh="missing")).reused) == 1
    assert len(await sql("select from flowstone.values")) == 1
