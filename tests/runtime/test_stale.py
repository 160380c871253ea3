"""`runtime.stale`: which values are there and would be computed again, and why."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from flowstone import AssetNotFound, Config, DailyPartitions, FileIO, MemoryIO, Pipeline, Runtime, Skip
from flowstone.store.memory import MemoryStore

DAYS = DailyPartitions("2025-01-01", "2025-01-04")
MANY = DailyPartitions("2020-01-01", "2023-12-31")


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request, tmp_path):
    """What makes runtimes on one store after the other."""
    if request.param == "memory":
        options = {"store": MemoryStore(), "io": {"default": MemoryIO()}}
    elif request.param == "file":
        options = {"store": f"file://{tmp_path / 'store'}", "io": {"default": FileIO(tmp_path / "values")}}
    else:
        options = {"store": request.getfixturevalue("database")}
    return lambda pipeline, **more: Runtime(pipeline, **options, **more)


def chain(version="1", days=DAYS):
    """`raw`, `clean` and `summary`, which takes all of them."""
    pipeline = Pipeline("chain")

    @pipeline.asset(partitions=days)
    async def raw(context) -> int:
        if context.partition.day == 4:
            raise Skip("closed")
        return context.partition.day

    @pipeline.asset(partitions=days, version=version)
    async def clean(raw: int | None = None) -> int:
        return raw or 0

    @pipeline.asset
    async def summary(clean: Mapping[object, int]) -> int:
        return sum(clean.values())

    return pipeline


async def told(runtime, *assets, **options):
    """By asset, the days and why they are stale."""
    found = {}
    async for each in runtime.stale(*assets, **options):
        reasons = found.setdefault(each.asset, {})
        reasons |= {key and key.removeprefix("d:"): reason.because for key, reason in each.reasons.items()}
    return found


async def test_nothing_is_stale_that_is_as_it_was_computed(place):
    """Nor is a value stale because nothing was made upstream: that was skipped, or nobody has asked for it."""
    async with place(chain()) as runtime:
        assert await told(runtime) == {"raw": {}, "clean": {}, "summary": {}}
        await runtime.materialize("clean", partition="2025-01-01")
        await runtime.backfill("clean", upstream=True, start="2025-01-02")
        await runtime.materialize("summary")
        assert await told(runtime) == {"raw": {}, "clean": {}, "summary": {}}
        assert (await runtime.why("clean", "2025-01-04")).stale is False


async def test_code_that_changed_makes_all_below_it_stale(place):
    """The cause is named, and what is below names what is between."""
    async with place(chain("1")) as runtime:
        await runtime.backfill("clean", upstream=True)
        await runtime.materialize("summary")
    async with place(chain("2")) as runtime:
        changed = "the code version of clean changed from 1 to 2"
        assert await told(runtime) == {
            "raw": {},
            "clean": dict.fromkeys(("2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04"), changed),
            "summary": {None: "clean[2025-01-01] is stale"},
        }
        assert (await runtime.why("summary")).sentence == "stale because clean[2025-01-01] is stale"
        await runtime.backfill("clean", refresh="stale")
        assert (await told(runtime))["clean"] == {}


async def test_a_value_that_changed_makes_its_own_day_stale(place):
    """And no other; one that is no longer there does too."""
    pipeline = Pipeline("chain")
    days = iter(range(100))

    @pipeline.asset(partitions=DAYS)
    async def raw() -> int:
        return next(days)

    @pipeline.asset(partitions=DAYS)
    async def clean(raw: int) -> int:
        return raw

    async with place(pipeline) as runtime:
        await runtime.backfill("clean", upstream=True)
        await runtime.materialize("raw", partition="2025-01-02")
        await runtime.invalidate("raw", partition="2025-01-03")
        found = (await told(runtime, "clean"))["clean"]
        assert set(found) == {"2025-01-02", "2025-01-03"}
        assert found["2025-01-02"].startswith("raw[2025-01-02] changed at ")
        assert found["2025-01-03"] == "raw[2025-01-03] has no current value any more"


async def test_what_is_known_upstream_is_not_looked_at_again(place):
    """Only what is named is told; and what is said of others counts."""
    async with place(chain("1")) as runtime:
        await runtime.backfill("clean", upstream=True)
        await runtime.materialize("summary")
    async with place(chain("2")) as runtime:
        known = {each.asset: each.reasons async for each in runtime.stale("clean")}
        assert set(known) == {"raw", "clean"}
        assert await told(runtime, "summary", known=known) == {
            "summary": {None: "clean[2025-01-01] is stale"}
        }
        assert await told(runtime, "summary", known={}) == {"summary": {}}


async def test_a_config_that_changed_makes_stale(place):
    """As it does for a run."""

    class Limits(Config):
        most: int = 3

    class Wider(Config):
        most: int = 4

    def limited(model):
        pipeline = Pipeline("limited")

        @pipeline.asset
        async def report(config: model) -> int:
            return config.most

        return pipeline

    async with place(limited(Limits)) as runtime:
        await runtime.materialize("report")
        assert await told(runtime) == {"report": {}}
    async with place(limited(Wider)) as runtime:
        assert "most" in (await told(runtime))["report"][None]


async def test_a_config_that_the_run_was_given_makes_nothing_stale(place):
    """Until a field that it was not given has another default."""

    class Limits(Config):
        most: int = 3
        least: int = 1

    class Wider(Config):
        most: int = 4
        least: int = 0

    def limited(model):
        pipeline = Pipeline("limited")

        @pipeline.asset
        async def report(config: model) -> int:
            return config.most

        return pipeline

    async with place(limited(Limits)) as runtime:
        await runtime.materialize("report", config={"most": 7})
        assert await told(runtime) == {"report": {}}
        assert (await runtime.why("report")).stale is False
    async with place(limited(Wider)) as runtime:
        assert (await told(runtime))["report"][None] == "config: least was 1 and is 0"


async def test_many_values_come_a_thousand_at_a_time():
    """Each piece says how many are left."""
    async with Runtime(chain(days=MANY)) as runtime:
        await runtime.backfill("clean", max_parallel=64)
        pieces = [
            (each.looked_at, each.left) async for each in runtime.stale("clean") if each.asset == "clean"
        ]
        assert pieces == [(1_000, 461), (461, 0)]


async def test_what_there_is_not_is_refused():
    """By the first that is read."""
    async with Runtime(chain()) as runtime:
        with pytest.raises(AssetNotFound):
            await told(runtime, "nothing")
