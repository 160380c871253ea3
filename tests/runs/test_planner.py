"""Planning: which steps, in which order, and what each depends on; checked key by key against the view."""

from __future__ import annotations

import tracemalloc
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import (
    AssetNotFound,
    Context,
    DailyPartitions,
    LastPartitions,
    MonthlyPartitions,
    MultiPartitions,
    PartitionError,
    Pipeline,
    StaticPartitions,
)
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_view import PartitionView
from flowstone.assets.time_partitions import TimePartitions
from flowstone.runs.plan import KeyList, RunPlan
from flowstone.runs.planner import plan_run
from flowstone.runs.records import RunRecord, RunSpec, Status
from flowstone.store.codec import decode_run, encode_run
from tests.runs.graphs import NOW, Scene, scenes, step_keys, upstream_by_hand

MILLION = DailyPartitions("0001-01-01", "2738-11-28")


def request(target, keys, **options):
    """A request for these keys of the target, with everything upstream."""
    encoded = tuple(None if key is None else encode_partition(key) for key in keys)
    return RunSpec("backfill", target, encoded, **{"upstream": True, **options})


def names(plan, numbers):
    """The steps of these numbers, as asset and key."""
    found = [plan.step(number) for number in numbers]
    return [(asset, key) for asset, _, key in found]


def check(plan: RunPlan, view: PartitionView, scene: Scene) -> None:
    """The plan has just the steps it needs, upstream first, and knows of each what it depends on."""
    steps = names(plan, range(plan.total))
    assert len(set(steps)) == len(steps)
    assert set(steps) == step_keys(view, scene.target, scene.keys)
    for number in range(plan.total):
        asset, value, key = plan.step(number)
        assert plan.number(asset, key) == number
        assert plan.of(number).asset == asset
        upstream = [up for numbers in plan.upstream(number) for up in numbers]
        assert len(set(upstream)) == len(upstream)
        assert all(up < number for up in upstream)
        assert set(names(plan, upstream)) == upstream_by_hand(view, asset, value)


@given(scenes())
def test_a_plan_is_what_the_view_says_key_by_key(scene):
    """For any graph, sets, mappings and selection."""
    view = scene.view
    check(plan_run(view.graph, view, request(scene.target, scene.keys)), view, scene)


@given(st.data(), scenes())
def test_a_range_is_planned_like_its_keys(data, scene):
    """A request by first and last key means all keys between them."""
    view = scene.view
    keys = list(view.keys(scene.target))
    if view.set_of(scene.target) is None or not keys or isinstance(keys[0], tuple):
        return
    first = data.draw(st.integers(0, len(keys) - 1))
    last = data.draw(st.integers(first, len(keys) - 1))
    span = (encode_partition(keys[first]), encode_partition(keys[last]))
    plan = plan_run(view.graph, view, request(scene.target, (), span=span))
    check(plan, view, Scene(view, scene.target, keys[first : last + 1]))


def test_a_range_of_several_dimensions_is_a_box():
    """Every part lies between those of the two ends."""
    pipeline = Pipeline()
    regions = StaticPartitions(["eu", "us", "asia"])

    @pipeline.asset(
        partitions=MultiPartitions(region=regions, day=DailyPartitions("2025-01-01", "2025-01-09"))
    )
    async def sales() -> int: ...

    view = PartitionView(pipeline.graph, NOW)
    ends = ("eu", date(2025, 1, 3)), ("us", date(2025, 1, 4))
    span = (encode_partition(ends[0]), encode_partition(ends[1]))
    plan = plan_run(view.graph, view, request("sales", (), span=span))
    box = [(region, date(2025, 1, day)) for region in ("eu", "us") for day in (3, 4)]
    check(plan, view, Scene(view, "sales", box))


@given(scenes())
def test_without_upstream_a_plan_is_the_selection(scene):
    """In the order of the selection, and nothing depends on anything."""
    view = scene.view
    plan = plan_run(view.graph, view, request(scene.target, scene.keys, upstream=False))
    assert [plan.step(number)[1] for number in range(plan.total)] == scene.keys
    assert not any(plan.upstream(number) for number in range(plan.total))


@given(scenes(), st.sampled_from(["all", "missing", "stale"]))
def test_a_request_that_was_stored_is_planned_alike(scene, refresh):
    """Written down, read back and planned elsewhere, it gives the same steps with the same numbers."""
    view = scene.view
    asked = request(scene.target, scene.keys, refresh=refresh, tags={"a": "b"}, as_of=NOW.isoformat())
    record = RunRecord("1", "random", asked, Status.QUEUED, NOW)
    read = decode_run(encode_run(record)).request
    assert read == asked
    plan = plan_run(view.graph, view, asked)
    again = plan_run(view.graph, PartitionView(view.graph, NOW), read)
    assert names(again, range(again.total)) == names(plan, range(plan.total))
    assert [p.refresh for p in again.assets] == [refresh] * len(again.assets)


@given(scenes())
def test_each_asset_knows_who_depends_on_it(scene):
    """The places of the downstream assets follow from the edges."""
    view = scene.view
    plan = plan_run(view.graph, view, request(scene.target, scene.keys))
    places = {asset_plan.asset: asset_plan.index for asset_plan in plan.assets}
    for asset_plan in plan.assets:
        for number in range(asset_plan.offset, asset_plan.offset + len(asset_plan.keys)):
            for numbers in plan.upstream(number):
                for up in numbers:
                    assert asset_plan.index in plan.of(up).downstream
        assert places[asset_plan.asset] == asset_plan.index


def daily_pipeline():
    """`raw` and `clean` by day, `monthly` by month, `beside` by day."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=MILLION)
    async def raw() -> int: ...

    @pipeline.asset(partitions=MILLION)
    async def clean(raw: int) -> int: ...

    @pipeline.asset(partitions=MonthlyPartitions("0001-01-01", "2738-10-31"))
    async def monthly(clean: dict) -> int: ...

    @pipeline.asset(partitions=DailyPartitions("0100-01-01", "3000-01-01"))
    async def later(clean: int) -> int: ...

    @pipeline.asset(partitions=MILLION)
    async def report(context: Context, clean: int, monthly: int) -> int: ...

    return pipeline


@pytest.fixture
def reads(monkeypatch):
    """How many keys were computed from their position."""
    count = [0]
    key_at, span = TimePartitions.key_at, TimePartitions.span

    def counting_key_at(self, position):
        count[0] += 1
        return key_at(self, position)

    def counting_span(self, start, stop):
        for key in span(self, start, stop):
            count[0] += 1
            yield key

    monkeypatch.setattr(TimePartitions, "key_at", counting_key_at)
    monkeypatch.setattr(TimePartitions, "span", counting_span)
    return count


@pytest.mark.parametrize("target", ["raw", "clean", "monthly", "report", "later"])
def test_a_million_partitions_are_planned_without_looking_at_them(reads, target):
    """Planning reads the ends of ranges, not the keys, and holds nothing as long as the run."""
    view = PartitionView(daily_pipeline().graph, NOW)
    keys = view.keys(target)
    span = (encode_partition(keys[0]), encode_partition(keys[-1]))
    asked = request(target, (), span=span)
    reads[0] = 0
    tracemalloc.start()
    plan = plan_run(view.graph, view, asked)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plan.total >= len(keys)
    assert reads[0] < 100
    assert peak < 200_000


def test_a_step_of_a_million_is_found_at_once(reads):
    """Its key, its number and its upstream are arithmetic."""
    view = PartitionView(daily_pipeline().graph, NOW)
    keys = view.keys("report")
    span = (encode_partition(keys[0]), encode_partition(keys[-1]))
    plan = plan_run(view.graph, view, request("report", (), span=span))
    reads[0] = 0
    number = plan.number("report", "d:2025-03-01")
    asset, value, _ = plan.step(number)
    assert (asset, value) == ("report", date(2025, 3, 1))
    upstream = [up for numbers in plan.upstream(number) for up in numbers]
    assert sorted(names(plan, upstream)) == [("clean", "d:2025-03-01"), ("monthly", "d:2025-03-01")]
    assert len([up for r in plan.upstream(plan.number("monthly", "d:2025-03-01")) for up in r]) == 31
    assert reads[0] < 100


def test_several_downstream_that_need_different_ranges():
    """The upstream's keys are their union, in the order of the set; each step still finds its own."""
    pipeline = Pipeline()
    week = DailyPartitions("2025-01-01", "2025-01-07")

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-31"))
    async def raw() -> int: ...

    @pipeline.asset(partitions=week)
    async def early(raw: int) -> int: ...

    @pipeline.asset(partitions=MonthlyPartitions("2025-01-01", "2025-01-31"))
    async def monthly(raw: dict) -> int: ...

    @pipeline.asset
    async def end(early: dict, monthly: dict) -> int: ...

    view = PartitionView(pipeline.graph, NOW)
    scene = Scene(view, "end", [None])
    plan = plan_run(view.graph, view, request("end", [None]))
    check(plan, view, scene)
    assert [(p.asset, len(p.keys)) for p in plan.assets] == [
        ("raw", 31),
        ("early", 7),
        ("monthly", 1),
        ("end", 1),
    ]


def test_keys_that_were_listed_in_any_order():
    """A downstream range finds its steps one by one where the upstream's keys are no range."""
    pipeline = Pipeline()
    days = DailyPartitions("2025-01-01", "2025-01-09")

    @pipeline.asset(partitions=days)
    async def raw() -> int: ...

    @pipeline.asset(partitions=days, mappings={"raw": LastPartitions(3)})
    async def rolling(raw: dict) -> int: ...

    @pipeline.asset(partitions=days)
    async def end(raw: int, rolling: int) -> int: ...

    view = PartitionView(pipeline.graph, NOW)
    keys = [date(2025, 1, day) for day in (6, 5, 8, 7, 9, 4)]
    check(plan_run(view.graph, view, request("end", keys)), view, Scene(view, "end", keys))


def test_constants_are_no_steps():
    """They are always there, so nothing waits for them."""
    pipeline = Pipeline()
    pipeline.value("config", 1)

    @pipeline.asset
    async def one(config: int) -> int: ...

    view = PartitionView(pipeline.graph, NOW)
    plan = plan_run(view.graph, view, request("one", [None]))
    assert names(plan, range(plan.total)) == [("one", None)]
    constant = plan_run(view.graph, view, request("config", [None]))
    assert names(constant, range(constant.total)) == [("config", None)]


def test_what_cannot_be_planned_is_refused():
    """An asset that is not there, a range of an asset without a set, a key outside the set of a range."""
    pipeline = Pipeline()

    @pipeline.asset
    async def free() -> int: ...

    @pipeline.asset(partitions=StaticPartitions(["a", "b"]))
    async def listed() -> int: ...

    view = PartitionView(pipeline.graph, NOW)
    with pytest.raises(AssetNotFound):
        plan_run(view.graph, view, request("nobody", [None]))
    with pytest.raises(PartitionError):
        plan_run(view.graph, view, request("free", (), span=("a", "b")))
    with pytest.raises(PartitionError):
        plan_run(view.graph, view, request("listed", (), span=("a", "z")))


@given(st.lists(st.integers(0, 20)), st.integers(-5, 25))
def test_a_key_list_is_a_sequence_without_duplicates(keys, probe):
    """Length, items, membership and index as those of the list of distinct keys."""
    distinct = list(dict.fromkeys(keys))
    listed = KeyList(keys)
    assert list(listed) == distinct
    assert len(listed) == len(distinct)
    assert (probe in listed) == (probe in distinct)
    if probe in distinct:
        assert listed.index(probe) == distinct.index(probe)
    else:
        with pytest.raises(ValueError, match="not one of these"):
            listed.index(probe)
    assert listed == KeyList(distinct)
    assert list(listed[1:]) == distinct[1:]
