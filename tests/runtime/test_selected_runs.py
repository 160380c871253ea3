"""A run of several assets: what is computed of a selection, what comes of it, and how it is found again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import (
    AssetNotFound,
    Config,
    ConfigError,
    Context,
    DailyPartitions,
    DependencyNotReady,
    FlowstoneError,
    Materialization,
    MonthlyPartitions,
    Outcome,
    PartitionError,
    Pipeline,
    PlanOutdated,
    RunFailed,
    RunResult,
    Runtime,
    SelectionError,
    Status,
    TimeOffset,
)
from flowstone.errors import ArgumentError
from flowstone.testing.clock import VirtualClock
from tests.runs.graphs import NOW, scenes
from tests.runtime.test_any_graph import World, outcome

DAYS = DailyPartitions("2025-01-01", "2025-01-03")


class Limits(Config):
    """What a report takes."""

    threshold: int = 3


class Shop:
    """raw -> clean -> report, and `other` beside them, which note what they compute.

    Attributes:
        calls: What was computed, in order.
        broken: What fails.
        held: What `raw` waits for, if it does.
    """

    def __init__(self, partitions=None) -> None:
        self.calls: list[str] = []
        self.broken: set[str] = set()
        self.held: asyncio.Event | None = None
        self.pipeline = pipeline = Pipeline("shop")

        def note(context):
            self.calls.append(context.asset)
            if context.asset in self.broken:
                raise ValueError(context.asset)

        @pipeline.asset(partitions=partitions, tags={"team": "core"})
        async def raw(context: Context) -> int:
            note(context)
            if self.held is not None:
                await self.held.wait()
            return 1

        @pipeline.asset(partitions=partitions)
        async def clean(context: Context, raw: int) -> int:
            note(context)
            return raw + 1

        @pipeline.asset(tags={"team": "core"})
        async def report(context: Context, clean: object, limits: Limits) -> int:
            note(context)
            return limits.threshold

        @pipeline.asset
        async def other(context: Context, config: Limits) -> int:
            note(context)
            return config.threshold

        self.raw, self.clean, self.report = raw, clean, report


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
async def runtime(shop):
    async with Runtime(shop.pipeline) as runtime:
        yield runtime


# What comes of it -------------------------------------------------------------------------------------------


async def test_a_selection_is_one_run_of_just_what_it_means(shop, runtime):
    """Each asset once, after those it needs; the result has all of them."""
    result = await runtime.materialize("raw+")
    assert isinstance(result, RunResult)
    assert shop.calls == ["raw", "clean", "report"]
    assert [each.asset for each in result.succeeded] == ["raw", "clean", "report"]
    assert await result.value("report") == 3
    (run,) = await runtime.runs()
    assert run.assets == ("raw", "clean", "report")
    assert (run.asset, run.kind, run.total) == ("report", "materialize", 3)


async def test_a_name_gives_a_record_and_a_selection_a_result(shop, runtime):
    """What was written decides, not how many assets that means."""
    assert isinstance(await runtime.materialize("raw"), Materialization)
    assert isinstance(await runtime.materialize(shop.clean), Materialization)
    assert isinstance(await runtime.materialize("+raw"), RunResult)
    result = await runtime.materialize(["clean"])
    assert isinstance(result, RunResult)
    assert result.record.assets == ("clean",)


async def test_a_list_is_a_selection(shop, runtime):
    """Of names, assets, functions and selections, in any order, and none twice."""
    result = await runtime.materialize([shop.report, "raw+", shop.clean.function, ("raw",)])
    assert [each.asset for each in result.succeeded] == ["raw", "clean", "report"]


async def test_what_is_not_selected_has_to_be_there(shop, runtime):
    """Everything that is missing is named, and nothing is written; what the run computes itself is not missing."""
    with pytest.raises(DependencyNotReady) as told:
        await runtime.materialize("clean,report,other")
    assert told.value.missing == ("raw",)
    assert await runtime.runs() == []
    await runtime.materialize("raw")
    await runtime.materialize("clean,report,other")
    assert sorted(shop.calls) == ["clean", "other", "raw", "report"]
    assert shop.calls.index("clean") < shop.calls.index("report")


async def test_all_that_several_lack_is_named_at_once():
    """Each once, of whichever of them; the sentence says it of each."""
    pipeline = Pipeline("gaps")
    for name, deps in (("a", []), ("b", []), ("c", ["a"]), ("d", ["a", "b"])):

        @pipeline.asset(name=name, deps=deps)
        async def compute() -> int:
            return 1

    async with Runtime(pipeline) as runtime:
        with pytest.raises(
            DependencyNotReady, match=r"^Asset 'c' is not ready: a has no value\. Asset 'd' is"
        ) as told:
            await runtime.materialize("c,d")
        assert told.value.missing == ("a", "b")
        with pytest.raises(DependencyNotReady):
            await runtime.submit("c,d", upstream=False)


async def test_with_upstream_what_they_share_is_computed_once(shop, runtime):
    """A selection and all it needs."""
    result = await runtime.materialize_all("clean,report,other")
    assert sorted(shop.calls) == ["clean", "other", "raw", "report"]
    assert len(result.succeeded) == 4
    assert result.record.kind == "materialize_all"


async def test_a_failure_stops_what_needs_it_and_nothing_else(shop, runtime):
    """The error has the whole result."""
    shop.broken = {"clean"}
    with pytest.raises(RunFailed, match="1 of 4 steps failed, 1 was skipped") as told:
        await runtime.materialize("raw+,other")
    result = told.value.result
    assert {each.asset for each in result.succeeded} == {"raw", "other"}
    assert [each.asset for each in result.failed] == ["clean"]
    assert [each.asset for each in result.skipped] == ["report"]


async def test_the_value_of_several_needs_a_name(runtime):
    """Nothing is guessed."""
    result = await runtime.materialize("raw+")
    with pytest.raises(ArgumentError, match=r"is of several assets, raw, clean and report: say which"):
        await result.value()


@pytest.mark.parametrize(
    ("given_asset", "error", "says"),
    [
        ("rw+", SelectionError, "Did you mean 'raw'"),
        ("rw", AssetNotFound, "Did you mean 'raw'"),
        ("raw -raw", SelectionError, "No asset is in this selection"),
        ("raw,,clean", SelectionError, "A comma stands between two assets"),
        ("tag:team=web", SelectionError, "No asset has the tag"),
        ([], SelectionError, "No asset is in this selection"),
        (["raw", "cln"], AssetNotFound, "Did you mean 'clean'"),
        ("", SelectionError, "names at least one asset"),
    ],
)
async def test_a_selection_that_means_nothing_is_refused(runtime, given_asset, error, says):
    """By every call that starts a run, and by a plan."""
    for call in (
        runtime.materialize,
        runtime.materialize_all,
        runtime.submit,
        runtime.backfill,
        runtime.plan,
    ):
        with pytest.raises(error, match=says):
            await call(given_asset)
    assert await runtime.runs() == []


# Config -----------------------------------------------------------------------------------------------------


async def test_config_is_given_by_asset(runtime):
    """Each takes its own; the others have their defaults."""
    result = await runtime.materialize("+report,other", config={"report": {"threshold": 7}})
    assert (await result.value("report"), await result.value("other")) == (7, 3)


@pytest.mark.parametrize("config", [{"threshold": 5}, Limits(threshold=5)], ids=["fields", "config"])
async def test_config_of_several_has_to_say_whose_it_is(runtime, config):
    """Also where only one of them takes any."""
    with pytest.raises(ConfigError, match=r"4 assets are asked for, .* whose .* config=\{'report': \{…\}\}"):
        await runtime.materialize("+report,other", config=config)
    result = await runtime.materialize("other raw,other", config={"threshold": 5})
    assert await result.value("other") == 5


# Partitions -------------------------------------------------------------------------------------------------


async def test_a_partition_is_that_of_all_that_have_partitions():
    """What has none is computed once, without one."""
    shop = Shop(DAYS)
    async with Runtime(shop.pipeline) as runtime:
        await runtime.backfill("+clean")
        result = await runtime.materialize("clean+,other", partition="2025-01-02")
        assert sorted((each.asset, each.partition) for each in result.succeeded if each.partition) == [
            ("clean", date(2025, 1, 2))
        ]
        assert {each.asset for each in result.succeeded if each.partition is None} == {"report", "other"}


async def test_a_backfill_of_several_computes_what_has_no_partitions_once():
    """Over the set that the others have, from one of its days to another one."""
    shop = Shop(DAYS)
    async with Runtime(shop.pipeline) as runtime:
        whole = await runtime.backfill("raw+")
        assert sorted(shop.calls) == ["clean"] * 3 + ["raw"] * 3 + ["report"]
        assert whole.record.request.beside == {"raw": "same", "report": "once"}
        again = await runtime.backfill("raw+", start="2025-01-02", refresh="all")
        assert len(again.succeeded) == 5
        some = await runtime.backfill("raw+", partitions=["2025-01-01", "2025-01-03"])
        assert len(some.reused) == 5


async def test_a_partition_that_is_missing_or_none_of_all_is_refused():
    """In one sentence."""
    pipeline = Pipeline("sets")
    for name, keys in (("days", DAYS), ("months", MonthlyPartitions("2025-01-01", "2025-03-31"))):

        @pipeline.asset(name=name, partitions=keys)
        async def compute() -> int:
            return 1

    async with Runtime(pipeline) as runtime:
        with pytest.raises(PartitionError, match="'days' and 'months' have different partitions"):
            await runtime.backfill("*")
        with pytest.raises(PartitionError, match=r"Asset 'days' is partitioned by .*: say which partition"):
            await runtime.materialize("days,days")
        assert await runtime.runs() == []


async def test_days_that_begin_elsewhere_go_together():
    """Of many each asset has those that it has; a single one all have to have."""
    pipeline = Pipeline("days")
    for name, first in (("old", "2025-01-01"), ("new", "2025-01-03")):

        @pipeline.asset(name=name, partitions=DailyPartitions(first, "2025-01-04"))
        async def compute() -> int:
            return 1

    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill("*")
        assert len([step for step in result.succeeded if step.asset == "old"]) == 4
        assert len([step for step in result.succeeded if step.asset == "new"]) == 2
        assert len((await runtime.materialize("*", partition="2025-01-03")).succeeded) == 2
        with pytest.raises(PartitionError, match=r"Asset 'new': '2025-01-02' is not in"):
            await runtime.materialize("*", partition="2025-01-02")


async def test_with_upstream_of_another_set_its_partitions_follow():
    """As they do of one asset: the days of the month, and no others."""
    pipeline = Pipeline("months")

    @pipeline.asset(partitions=DailyPartitions("2025-01-30", "2025-02-02"))
    async def days() -> int:
        return 1

    @pipeline.asset(partitions=MonthlyPartitions("2025-01-01", "2025-02-28"))
    async def months(days: dict[date, int]) -> int:
        return len(days)

    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize("+months", partition="2025-02-01")
        assert sorted(map(str, (each.partition for each in result.succeeded))) == [
            "2025-02-01",
            "2025-02-01",
            "2025-02-02",
        ]
        assert await result.value("months") == 2


async def test_an_asset_of_its_own_past_goes_with_others():
    """In the order of its days; alone with what is there, and with all of it upstream."""
    pipeline, calls = Pipeline("till"), []

    @pipeline.asset(partitions=DAYS)
    async def sales(context: Context) -> int:
        calls.append(f"sales {context.partition.day}")
        return context.partition.day

    @pipeline.asset(partitions=DAYS, mappings={"balance": TimeOffset(days=-1)})
    async def balance(context: Context, sales: int, balance: int = 0) -> int:
        calls.append(f"balance {context.partition.day}")
        return balance + sales

    async with Runtime(pipeline) as runtime:
        with pytest.raises(DependencyNotReady) as told:
            await runtime.materialize("sales,balance", partition="2025-01-03")
        assert told.value.missing == ("balance[2025-01-02]",)
        result = await runtime.backfill(
            "sales,balance", partitions=["2025-01-02", "2025-01-01"], upstream=False
        )
        assert len(result.succeeded) == 4
        assert [each for each in calls if each.startswith("balance")] == ["balance 1", "balance 2"]
        calls.clear()
        result = await runtime.materialize("sales,balance", partition="2025-01-03")
        assert calls == ["sales 3", "balance 3"]
        assert await result.value("balance") == 6
        whole = await runtime.materialize_all("sales,balance", partition="2025-01-03")
        assert len(whole.succeeded) == 6


@pytest.mark.parametrize(
    ("selection", "ran"),
    [("mode,fast,thorough", ["fast"]), ("fast,thorough", ["fast", "thorough"]), ("mode+", ["fast", "last"])],
)
async def test_a_route_decides_where_it_is_part_of_the_run(selection, ran):
    """An asset that it could choose runs without it, as alone; what is downstream takes what was chosen."""
    pipeline, calls = Pipeline("routes"), []

    @pipeline.route(to=["fast", "thorough"])
    async def mode() -> str:
        return "fast"

    @pipeline.asset
    async def fast() -> int:
        calls.append("fast")
        return 1

    @pipeline.asset
    async def thorough() -> int:
        calls.append("thorough")
        return 2

    @pipeline.asset
    async def last(fast: Outcome[int], thorough: Outcome[int]) -> bool:
        calls.append("last")
        return fast.ok and not thorough.ok

    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize(selection)
        assert sorted(calls) == ran
        if "last" in ran:
            assert await result.value("last")
            assert [each.asset for each in result.skipped] == ["thorough"]


# Plans ------------------------------------------------------------------------------------------------------


async def test_a_plan_of_a_selection_is_what_is_run(shop, runtime):
    """And is refused when it is not any more what would run."""
    plan = await runtime.plan("clean+", upstream=False)
    assert [step.asset for step in plan] == ["clean", "report"]
    whole = await runtime.plan("clean+", refresh="missing")
    assert [(step.asset, step.action) for step in whole] == [
        (name, "run") for name in ("raw", "clean", "report")
    ]
    result = await (await runtime.run_plan(whole)).wait()
    assert len(result.succeeded) == 3
    with pytest.raises(PlanOutdated, match="the plan of clean and report was made"):
        await runtime.run_plan(whole)
    again = await runtime.plan("clean+", refresh="missing")
    assert (again.to_run, again.to_reuse) == (0, 3)


async def test_a_plan_without_a_partition_is_a_backfill_where_there_are_some():
    """As for one asset."""
    shop = Shop(DAYS)
    async with Runtime(shop.pipeline) as runtime:
        assert len(await runtime.plan("raw,clean")) == 6
        assert len(await runtime.plan("raw,clean", partition="2025-01-02")) == 2
        assert len(await runtime.plan("raw,clean", partitions=["2025-01-02", "2025-01-03"])) == 4


async def ended(run):
    """What a run gave, whether it failed or not."""
    with suppress(RunFailed):
        await run.wait()
    return outcome(await run.result())


@given(st.data(), scenes(most=5), st.booleans())
def test_nothing_is_computed_that_is_current_or_not_selected(data, scene, upstream):
    """Whatever graph and sets there are: what is current is reused, the rest of the plan runs once, and no more."""
    world = World(scene)
    names = data.draw(st.lists(st.sampled_from(world.pipeline.graph.order()), unique=True, min_size=1))
    first = data.draw(st.sampled_from(names))

    async def run():
        async with Runtime(world.pipeline, clock=VirtualClock(NOW)) as runtime:
            before = await ended(await runtime.run_plan(await runtime.plan(first, upstream=True)))
            current = {step for step, status in before.items() if status == "succeeded"}
            world.ran.clear()
            try:
                plan = await runtime.plan(",".join(names), upstream=upstream, refresh="missing")
            except PartitionError:
                return  # They have different ones.
            steps = {(step.asset, step.partition_key) for step in plan}
            assert {(s.asset, s.partition_key) for s in plan if s.action == "reuse"} == steps & current
            assert upstream or {asset for asset, _ in steps} <= set(names)
            assert set(await ended(await runtime.run_plan(plan))) == steps
            assert len(world.ran) == len(set(world.ran))
            assert set(world.ran) <= steps - current

    asyncio.run(run())


# Sharing, finding and trying again --------------------------------------------------------------------------


async def test_a_run_of_the_same_selection_is_joined(shop, runtime):
    """However it is written; a run of others is not, nor one of the same that is alone."""
    shop.held = asyncio.Event()
    same = ["raw,clean", "clean,raw", "+clean", ["raw", "clean"]]
    calls = [asyncio.create_task(runtime.materialize(words, join=True)) for words in same]
    others = [
        asyncio.create_task(runtime.materialize(words, join=True)) for words in ("raw", "raw,clean,other")
    ]
    while shop.calls.count("raw") < 3:
        await asyncio.sleep(0)
    shop.held.set()
    results = await asyncio.gather(*calls, *others)
    assert len({result.run_id for result in results}) == 3
    assert len({result.run_id for result in results[:4]}) == 1
    assert shop.calls.count("clean") == 2


async def test_runs_are_found_by_each_of_their_assets(runtime):
    """And by none that is only upstream, as with one asset."""
    await runtime.materialize("raw")
    result = await runtime.materialize_all("clean,other")
    assert [run.id for run in await runtime.runs(asset="other")] == [result.run_id]
    assert [run.id for run in await runtime.runs(asset="clean")] == [result.run_id]
    assert len(await runtime.runs(asset="raw")) == 1


async def test_why_names_a_run_of_several(runtime):
    """As what was asked for, or what needs what was."""
    await runtime.materialize_all("clean,other")
    assert "because it was asked for" in str(await runtime.why("clean"))
    assert "because clean and other were asked for, which need it" in str(await runtime.why("raw"))


@pytest.fixture(params=["file", "postgres"])
def store(request, tmp_path):
    """Where two runtimes, one after another, find the same runs."""
    return f"file://{tmp_path / 'store'}" if request.param == "file" else request.getfixturevalue("database")


@pytest.mark.parametrize("here", [True, False])
async def test_a_failed_run_of_several_is_retried(store, here):
    """By another runtime, with the same assets; what succeeded is reused."""
    shop = Shop(DAYS)
    shop.broken = {"clean"}
    async with Runtime(shop.pipeline, store=store) as runtime:
        result = await runtime.backfill("raw+,other")
        assert (len(result.succeeded), len(result.failed), len(result.skipped)) == (4, 3, 1)
    shop.broken = set()
    async with Runtime(shop.pipeline, store=store) as runtime:
        again = await (await runtime.retry(result.run_id, here=here)).wait()
    assert again.record.assets == ("raw", "clean", "report", "other")
    assert again.record.request.retry_of == result.run_id
    assert {each.asset for each in again.reused} == {"raw", "other"}
    assert sorted(shop.calls) == sorted(["raw"] * 3 + ["clean"] * 6 + ["report", "other"])


async def test_a_run_of_several_that_waits_goes_on_in_another_runtime(store):
    """The others are not computed again, and what needs the answer follows."""
    calls: list[str] = []
    pipeline = Pipeline("waits")

    @pipeline.asset
    async def draft() -> int:
        calls.append("draft")
        return 1

    @pipeline.asset
    async def published(draft: int, context: Context) -> str:
        return f"{draft} by {context.approval('publish').by}"

    @pipeline.asset
    async def told(published: str) -> str:
        calls.append("told")
        return published

    async with Runtime(pipeline, store=store) as runtime:
        run = await runtime.submit("*", upstream=False)
        while await run.status() is not Status.WAITING:
            await asyncio.sleep(0.01)
    async with Runtime(pipeline, store=store) as runtime:
        (approval,) = await runtime.approvals()
        await runtime.approve(approval.id, by="ada")
        result = await (await runtime.run(run.id)).wait()
        assert result.record.assets == ("draft", "published", "told")
        assert await result.value("told") == "1 by ada"
    assert calls == ["draft", "told"]


async def test_a_run_whose_assets_are_no_longer_there_fails_with_the_reason(tmp_path):
    """Whichever of them it is, and whatever has become of its partitions."""
    shop = Shop(DAYS)
    shop.broken = {"raw"}
    async with Runtime(shop.pipeline, store=f"file://{tmp_path}") as runtime:
        result = await runtime.backfill("raw,clean,other", partitions=["2025-01-01"])
    changed = Pipeline("shop")

    @changed.asset(partitions=DAYS)
    async def clean() -> int:
        return 1

    @changed.asset(partitions=DAYS)
    async def other() -> int:
        return 1

    async with Runtime(changed, store=f"file://{tmp_path}") as runtime:
        with pytest.raises(FlowstoneError, match="no asset 'raw' any more"):
            await runtime.retry(result.run_id)
        changed.asset(name="raw", partitions=DAYS)(_one)
        await runtime.reload(changed)
        with pytest.raises(
            FlowstoneError, match=r"'other' is partitioned by .* since, and was asked for without"
        ):
            await runtime.retry(result.run_id)


async def _one() -> int:
    return 1
