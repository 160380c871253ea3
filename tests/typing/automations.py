"""Sensors and schedules as a user's type checker sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, assert_type

from flowstone import FileSensor, ObjectSensor, Pipeline, RunRequest, SensorContext, Tick
from flowstone.sensors import FoundObject

pipeline = Pipeline("shop")


@pipeline.sensor("inbox", every=5)
async def inbox(context: SensorContext) -> AsyncIterator[RunRequest]:
    """A decorated sensor stays the function that it is."""
    assert_type(context.now, datetime)
    assert_type(context.since_last, float | None)
    assert_type(context.cursor, Any)
    context.add_partitions("files", ["a"])
    yield RunRequest("raw", partition="a", tags={"from": "inbox"})


@pipeline.sensor("outbox")
def outbox(context: SensorContext) -> Iterator[RunRequest]:
    """It need not be asynchronous."""
    yield RunRequest("raw", refresh="some")  # type: ignore[arg-type]  # It is one of three words.


@pipeline.schedule("hourly", cron="@hourly")
async def hourly(tick: Tick) -> RunRequest | None:
    """A tick has an instant."""
    assert_type(tick.scheduled_at, datetime)
    assert_type(tick.last, datetime | None)
    return None


def country(found: FoundObject) -> str | None:
    """What was found says what it is."""
    assert_type(found.path, str)
    assert_type(found.size, int)
    assert_type(found.modified, datetime)
    assert_type(found.etag, str | None)
    return found.name or None


pipeline.add(FileSensor("landing/*.csv", asset="raw", partition=country))
pipeline.add(ObjectSensor("s3://bucket/landing", asset="raw", config=lambda found: {"size": found.size}))
pipeline.sensor("files", FileSensor("landing/*.csv", request=lambda found: RunRequest("raw", key=found.etag)))


def again(context: SensorContext) -> None:
    """Decorated like a function, it gives requests as one does."""
    sensor = pipeline.sensor("again")(FileSensor("landing/*", asset="raw"))
    assert_type(sensor(context), Iterator[RunRequest])


FileSensor("landing/*.csv", asset="raw", refresh="some")  # type: ignore[arg-type]  # It is one of three words.
FileSensor("landing/*.csv", asset="raw", partition="a")  # type: ignore[arg-type]  # It is a function.
