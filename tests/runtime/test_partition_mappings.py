"""Partition sets and mappings through real runs: what a step receives for which key."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from flowstone import (
    AllPartitions,
    Context,
    DailyPartitions,
    DependencyNotReady,
    DynamicPartitions,
    HourlyPartitions,
    LastPartitions,
    MonthlyPartitions,
    MultiPartitions,
    PartitionError,
    Pipeline,
    Rollup,
    Runtime,
    SamePart,
    StaticPartitions,
    TimeOffset,
    ValueNotFound,
    WeeklyPartitions,
)

DAYS = DailyPartitions("2025-01-01", "2025-02-28")
MONTHS = MonthlyPartitions("2025-01-01", "2025-02-28")
REGIONS = StaticPartitions(["eu", "us"])


def pair(upstream, downstream, mapping=None):
    """`raw` gives its key, `report` gives what it received; with these sets and mapping."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=upstream)
    async def raw(context: Context) -> object:
        return context.partition

    @pipeline.asset(partitions=downstream, mappings=None if mapping is None else {"raw": mapping})
    async def report(raw: object) -> object:
        return raw

    return pipeline


async def received(pipeline, partition=None):
    """What `report` at a partition received in a run of everything it needs."""
    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all("report", partition=partition)
        return await result.value()


async def test_equal_sets_give_the_same_key():
    """The default between equal sets is the identity."""
    assert await received(pair(DAYS, DAYS), "2025-01-15") == date(2025, 1, 15)


async def test_a_finer_upstream_gives_all_keys_inside_this_one():
    """By default, and with `Rollup()`: a dict from key to value."""
    february = {date(2025, 2, day): date(2025, 2, day) for day in range(1, 29)}
    for mapping in (None, Rollup()):
        assert await received(pair(DAYS, MONTHS, mapping), "2025-02-01") == february


async def test_a_coarser_upstream_gives_the_key_that_contains_this_one():
    """The day's month."""
    assert await received(pair(MONTHS, DAYS), "2025-02-17") == date(2025, 2, 1)


async def test_hours_roll_up_to_days_across_a_change_of_the_clock():
    """A day on which the clock is put forward has 23 hours."""
    zone = "Europe/Berlin"
    hours = HourlyPartitions("2025-03-29", "2025-03-31T23:00", timezone=zone)
    days = DailyPartitions("2025-03-29", "2025-03-31", timezone=zone)
    got = await received(pair(hours, days), "2025-03-30")
    assert len(got) == 23
    assert min(got) == datetime(2025, 3, 29, 23, tzinfo=UTC)
    assert await received(pair(days, hours), datetime(2025, 3, 30, 0, tzinfo=UTC)) == date(2025, 3, 30)


async def test_weeks_roll_up_from_days():
    """The key is the Monday."""
    weeks = WeeklyPartitions("2025-01-06", "2025-01-19")
    got = await received(pair(DAYS, weeks), "2025-01-13")
    assert list(got) == [date(2025, 1, day) for day in range(13, 20)]


async def test_an_unpartitioned_upstream_gives_its_one_value():
    """At every key."""
    assert await received(pair(None, DAYS), "2025-01-15") is None


async def test_an_asset_without_a_set_gets_all_keys_or_the_given_one():
    """Without a partition a dict of all, with one the value at it."""
    assert await received(pair(REGIONS, None)) == {"eu": "eu", "us": "us"}
    assert await received(pair(REGIONS, None), "us") == "us"


async def test_two_assets_without_sets_share_the_key():
    """Whatever key is asked for reaches upstream."""
    assert await received(pair(None, None), "anything") == "anything"
    assert await received(pair(None, None)) is None


async def test_all_partitions():
    """A dict of every key, in the order of the set."""
    got = await received(pair(REGIONS, DAYS, AllPartitions()), "2025-01-01")
    assert list(got.items()) == [("eu", "eu"), ("us", "us")]


async def test_the_last_partitions():
    """The key and the ones before it, as many as there are."""
    got = await received(pair(DAYS, DAYS, LastPartitions(3)), "2025-01-15")
    assert list(got) == [date(2025, 1, 13), date(2025, 1, 14), date(2025, 1, 15)]
    got = await received(pair(DAYS, DAYS, LastPartitions(3)), "2025-01-02")
    assert list(got) == [date(2025, 1, 1), date(2025, 1, 2)]


async def test_a_time_offset():
    """Yesterday's value; on the first day there is none, which the refusal says."""
    pipeline = pair(DAYS, DAYS, TimeOffset(days=-1))
    assert await received(pipeline, "2025-01-15") == date(2025, 1, 14)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(DependencyNotReady, match="raw"):
            await runtime.materialize("report", partition="2025-01-01")
        result = await runtime.backfill("report", end="2025-01-03", upstream=True)
        assert [m.partition.day for m in result.failed] == [1]
        assert result.failed[0].failure.kind == "dependency"
        assert [m.partition.day for m in result.succeeded if m.asset == "report"] == [2, 3]


async def test_a_default_stands_in_where_an_offset_leads_outside():
    """The first day can do without yesterday if the parameter has a default."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DAYS)
    async def raw(context: Context) -> int:
        return context.partition.day

    @pipeline.asset(partitions=DAYS, mappings={"raw": TimeOffset(days=-1)})
    async def change(raw: int | None = None) -> int | None:
        return raw

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("change", end="2025-01-03", upstream=True)
        assert result.status == "succeeded"
        values = [await runtime.load("change", partition=day) for day in DAYS[:3]]
        assert values == [None, 1, 2]


async def test_an_optional_dependency_over_several_keys_gets_those_that_exist():
    """A dict of what is there; the default only where nothing is."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=REGIONS)
    async def raw(context: Context) -> str:
        return context.partition

    @pipeline.asset
    async def report(raw: dict | None = None) -> object:
        return raw

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("report")
        assert await runtime.load("report") is None
        await runtime.materialize("raw", partition="us")
        await runtime.materialize("report")
        assert await runtime.load("report") == {"us": "us"}


async def test_one_dimension_of_several():
    """`SamePart` leads from a combination to the key of one of its dimensions; so does the default."""
    multi = MultiPartitions(region=REGIONS, day=DAYS)
    for mapping in (None, SamePart("day")):
        assert await received(pair(DAYS, multi, mapping), ("eu", "2025-01-15")) == date(2025, 1, 15)
    assert await received(pair(REGIONS, multi), ("us", "2025-01-15")) == "us"
    assert await received(pair(multi, multi), ("us", "2025-01-15")) == ("us", date(2025, 1, 15))


async def test_several_dimensions_into_one():
    """Every combination with this key as that part: a dict by the whole key."""
    multi = MultiPartitions(region=REGIONS, day=DAYS)
    got = await received(pair(multi, DAYS), "2025-01-15")
    assert list(got) == [("eu", date(2025, 1, 15)), ("us", date(2025, 1, 15))]


async def test_several_dimensions_end_to_end():
    """Three dimensions: a backfill over all combinations, a total for each region over the rest."""
    sizes, days = StaticPartitions(["s", "l"]), DailyPartitions("2025-01-01", "2025-01-03")
    multi = MultiPartitions(region=REGIONS, size=sizes, day=days)
    pipeline = Pipeline()

    @pipeline.asset(partitions=multi)
    async def sales(context: Context) -> int:
        region, size, day = context.partition
        return {"eu": 100, "us": 200}[region] + {"s": 10, "l": 20}[size] + day.day

    @pipeline.asset(partitions=REGIONS)
    async def by_region(sales: dict) -> int:
        return sum(sales.values())

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("by_region", upstream=True)
        assert len(result.succeeded) == 14
        assert await runtime.load("by_region", partition="eu") == sum(
            100 + size + day for size in (10, 20) for day in (1, 2, 3)
        )
        assert await result.value("sales", partition=("us", "l", "2025-01-03")) == 223
        down = await runtime.lineage.downstream("sales", partition=("eu", "s", "2025-01-02"))
        assert [(entry.asset, entry.partition) for entry in down] == [("by_region", "eu")]
        with pytest.raises(PartitionError):
            await runtime.load("sales", partition=("us", "xl", "2025-01-03"))


async def test_dynamic_partitions():
    """Keys are added while the runtime runs; each run sees those there were when it was planned."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DynamicPartitions("customers"))
    async def invoice(context: Context) -> str:
        return f"invoice {context.partition}"

    @pipeline.asset
    async def ledger(invoice: dict) -> list[str]:
        return sorted(invoice.values())

    async with Runtime(pipeline) as runtime:
        with pytest.raises(PartitionError, match="add_partitions"):
            await runtime.materialize("invoice", partition="acme")
        assert len(await runtime.backfill("invoice")) == 0
        assert await runtime.add_partitions("customers", ["acme", "zenith"]) == 2
        assert await runtime.add_partitions("customers", ["acme", 42]) == 1
        record = await runtime.materialize("invoice", partition="acme")
        assert record.partition == "acme"
        result = await runtime.materialize_all("ledger", refresh="missing")
        assert [m.partition for m in result.reused] == ["acme"]
        assert await result.value() == ["invoice 42", "invoice acme", "invoice zenith"]
        assert await result.value("invoice", partition="zenith") == "invoice zenith"
        assert await result.value("invoice", partition=42) == "invoice 42"
        assert await runtime.remove_partitions("customers", ["zenith", "nobody"]) == 1
        assert [m.partition for m in (await runtime.backfill("invoice", refresh="all")).succeeded] == [
            "acme",
            42,
        ]
        assert await result.value("invoice", partition="zenith") == "invoice zenith"
        with pytest.raises(PartitionError):
            await runtime.load("invoice", partition="zenith")
        with pytest.raises(PartitionError):
            await runtime.add_partitions("customers", [1.5])


@pytest.mark.parametrize(
    ("name", "keys", "says"),
    [
        ("customers", "acme", r"a list: write \['acme'\]"),
        ("customers", 7, "a list"),
        ("customers", ["acme", None], "no key None"),
        ("customers", ["x" * 2_700], "1,024 is the most"),
        ("c" * 5_000, ["acme"], "at most 200 characters"),
        ("", ["acme"], "takes a name"),
        (7, ["acme"], "not the name of a dynamic partition set"),
    ],
)
async def test_partitions_that_cannot_be_added(name, keys, says):
    """What the caller did wrong is said, and nothing is added."""
    pipeline = Pipeline()
    async with Runtime(pipeline) as runtime:
        with pytest.raises(PartitionError, match=says):
            await runtime.add_partitions(name, keys)
        with pytest.raises(PartitionError, match=says):
            await runtime.remove_partitions(name, keys)
        assert await runtime._ctx.store.partitions("customers") == []


async def test_dynamic_partitions_as_a_dimension():
    """A multi-dimensional set may have a dynamic dimension."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=MultiPartitions(customer=DynamicPartitions("customers"), region=REGIONS))
    async def invoice(context: Context) -> tuple:
        return context.partition

    async with Runtime(pipeline) as runtime:
        await runtime.add_partitions("customers", ["acme"])
        result = await runtime.backfill("invoice")
        assert [m.partition for m in result.succeeded] == [("acme", "eu"), ("acme", "us")]
        assert await result.value(partition=("acme", "us")) == ("acme", "us")


async def test_a_month_waits_for_all_of_its_days():
    """In a backfill with upstream, each month runs once its own days are there, and one failing day skips it."""
    pipeline = Pipeline()
    order = []

    @pipeline.asset(partitions=DAYS)
    async def raw(context: Context) -> int:
        order.append(context.partition)
        if context.partition == date(2025, 2, 10):
            raise ValueError
        return 1

    @pipeline.asset(partitions=MONTHS)
    async def monthly(context: Context, raw: dict) -> int:
        order.append(context.partition.strftime("%B"))
        return sum(raw.values())

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("monthly", upstream=True)
        january = order.index("January")
        assert all(date(2025, 1, day) in order[:january] for day in range(1, 32))
        assert "February" not in order
        assert await runtime.load("monthly", partition="2025-01-01") == 31
        assert [m.failure.cause for m in result.skipped] == ["raw[2025-02-10]"]


async def test_values_of_other_partitions_are_left_alone():
    """A run over some partitions of an upstream loads only those."""
    pipeline = pair(DAYS, MONTHS)
    async with Runtime(pipeline) as runtime:
        await runtime.backfill("raw", start="2025-01-01", end="2025-01-31")
        await runtime.materialize("report", partition="2025-01-01")
        with pytest.raises(DependencyNotReady) as caught:
            await runtime.materialize("report", partition="2025-02-01")
        assert len(caught.value.missing) == 28
        assert "and 23 more" in str(caught.value)
        with pytest.raises(ValueNotFound):
            await runtime.load("report", partition="2025-02-01")
