"""What works and is surely not meant is said, with what to do; what is meant is not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from flowstone import (
    Automation,
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    MultiPartitions,
    Pipeline,
    Runtime,
    StaticPartitions,
    WeeklyPartitions,
)
from flowstone.assets.automation.doubts import doubts
from flowstone.testing.clock import VirtualClock
from tests.automation.looking import until

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


def scheduled(partitions, cron, timezone, **options):
    """A schedule of an asset that is partitioned like that."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=partitions)
    async def report() -> int:
        return 1

    pipeline.schedule("nightly", cron=cron, timezone=timezone, asset="report", **options)
    return pipeline


def said(pipeline, name="nightly", now=NOW):
    """What is said of an automation."""
    return list(doubts(pipeline.automations[name], pipeline.graph, now))


LATE = [
    (DailyPartitions("2024-01-01"), "30 0 * * *", "Europe/Oslo", "2025-01-01 00:30+01:00", "2024-12-30"),
    (DailyPartitions("2024-01-01"), "30 1 * * *", "Europe/Oslo", "2025-07-02 01:30+02:00", "2025-06-30"),
    (
        DailyPartitions("2024-01-01", timezone="America/New_York"),
        "0 3 * * *",
        "UTC",
        "2025-01-01 03:00+00:00",
        "2024-12-30",
    ),
    (WeeklyPartitions("2024-01-01"), "0 0 * * MON", "Europe/Oslo", "2024-12-30 00:00+01:00", "2024-12-16"),
    (MonthlyPartitions("2024-01-01"), "0 0 1 * *", "Europe/Oslo", "2025-01-01 00:00+01:00", "2024-11-01"),
    (
        MultiPartitions(day=DailyPartitions("2024-01-01"), country=StaticPartitions(["no"])),
        "30 0 * * *",
        "Europe/Oslo",
        "2025-01-01 00:30+01:00",
        "2024-12-30",
    ),
]


@pytest.mark.parametrize(("partitions", "cron", "timezone", "tick", "latest"), LATE)
def test_a_tick_before_the_period_is_over_by_the_clocks_of_the_set(partitions, cron, timezone, tick, latest):
    """The instant is told, what is computed then, and what to do; the very partition that is computed."""
    pipeline = scheduled(partitions, cron, timezone, partition="latest")
    (doubt,) = said(pipeline)
    assert f"at {tick} the latest one is {latest}, as" in doubt
    assert f"timezone={timezone!r}, or let it fire later." in doubt
    assert "The schedule 'nightly' (test_doubts.py:" in doubt
    keys = partitions.as_of(datetime.fromisoformat(tick))
    assert repr(date.fromisoformat(latest)) in repr(keys.key_at(keys.size - 1))


@pytest.mark.parametrize(
    ("partitions", "cron", "timezone"),
    [
        (DailyPartitions("2024-01-01"), "0 6 * * *", "Europe/Oslo"),
        (DailyPartitions("2024-01-01"), "@hourly", "Europe/Oslo"),
        (DailyPartitions("2024-01-01", timezone="Europe/Oslo"), "30 0 * * *", "Europe/Oslo"),
        (DailyPartitions("2024-01-01", timezone="Europe/Oslo"), "30 22 * * *", "UTC"),
        (DailyPartitions("2024-01-01", "2024-12-31"), "30 0 * * *", "Europe/Oslo"),
        (WeeklyPartitions("2024-01-01"), "0 0 * * *", "Europe/Oslo"),
        (HourlyPartitions("2024-01-01"), "30 0 * * *", "Europe/Oslo"),
        (StaticPartitions(["no"]), "30 0 * * *", "Europe/Oslo"),
    ],
)
@pytest.mark.parametrize("now", [NOW, NOW + timedelta(days=150)])
def test_what_finds_each_period_complete_is_not_doubted(partitions, cron, timezone, now):
    """With whatever clocks; a later tick of the same day, or week, makes up for an early one."""
    assert said(scheduled(partitions, cron, timezone, partition="latest"), now=now) == []


def test_a_condition_goes_by_clocks_as_well():
    """A tick of it is about the latest partition."""
    pipeline = Pipeline("shop")
    when = Automation.on_cron("30 0 * * *", timezone="Europe/Oslo") | Automation.on_missing()

    @pipeline.asset(partitions=DailyPartitions("2024-01-01"), automation=when)
    async def report() -> int:
        return 1

    from flowstone.assets.snapshot import Snapshot

    (defined,) = (each for _, each in Snapshot.of([pipeline]).automations.values())
    (doubt,) = doubts(defined, pipeline.graph, NOW)
    assert doubt.startswith("The condition of 'report' (test_doubts.py:")


def test_what_is_computed_once():
    """Is reused from then on; not if it is to be computed anew, or is the latest of many."""
    (doubt,) = said(scheduled(None, "@daily", "UTC"))
    assert "computes 'report' once" in doubt
    assert said(scheduled(None, "@daily", "UTC", refresh="all")) == []
    assert said(scheduled(DailyPartitions("2024-01-01"), "@daily", "UTC", partition="latest")) == []


async def test_it_is_in_the_log_of_who_drives_it_once(caplog):
    """Also when the pipelines are reloaded."""
    pipeline = scheduled(DailyPartitions("2024-01-01"), "30 0 * * *", "Europe/Oslo", partition="latest")

    async def logged():
        return [each for each in caplog.records if each.name == "flowstone.schedules"]

    async with Runtime(pipeline, clock=VirtualClock(), automate=True) as runtime:
        (line,) = await until(logged)
        assert "each day of 'report' ends by those of UTC" in line.getMessage()
        await runtime.reload(pipeline)
        assert len(await runtime.automations()) == 1
    assert len(await logged()) == 1
