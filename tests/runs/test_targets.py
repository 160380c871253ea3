"""Several assets in one run: whose partitions are meant, and the plan, checked key by key against a slow model."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowstone import (
    DailyPartitions,
    HourlyPartitions,
    LastPartitions,
    MonthlyPartitions,
    Outcome,
    PartitionError,
    Pipeline,
)
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_view import PartitionView
from flowstone.errors import DefinitionError
from flowstone.runs.planner import plan_run
from flowstone.runs.records import RunRecord, RunSpec, Status
from flowstone.runs.targets import Targets, names_label, request_label, targets_of
from flowstone.store.codec import decode_run, encode_run
from tests.runs.graphs import NOW, scenes, upstream_by_hand

DAYS = DailyPartitions("2025-01-01", "2025-03-31")
HOURS = HourlyPartitions("2025-01-01T00:00", "2025-03-31T23:00")
MONTHS = MonthlyPartitions("2025-01-01", "2025-03-31")


def shop():
    """Hours -> days -> months -> total, note -> months; labels and sizes beside them."""
    pipeline = Pipeline("shop")
    for name, deps, keys in (
        ("hours", [], HOURS),
        ("days", ["hours"], DAYS),
        ("note", [], None),
        ("months", ["days", "note"], MONTHS),
        ("total", ["months"], None),
        ("labels", ["days"], DAYS),
        ("sizes", [], None),
    ):

        @pipeline.asset(name=name, deps=deps, partitions=keys)
        async def compute() -> None: ...

    return PartitionView(pipeline.graph, NOW)


@pytest.mark.parametrize(
    ("names", "asset", "beside"),
    [
        ("days", "days", {}),
        ("days labels", "labels", {"days": "same"}),
        ("hours days", "days", {"hours": "needed"}),
        (
            "hours days note months total",
            "months",
            {"hours": "needed", "days": "needed", "note": "once", "total": "once"},
        ),
        ("hours months", "months", {"hours": "needed"}),
        ("days total", "days", {"total": "once"}),
        ("note sizes", "sizes", {"note": "same"}),
    ],
    ids=str,
)
def test_partitions_are_those_of_the_most_downstream_that_have_some(names, asset, beside):
    """What has the same set goes with them, what has another one is needed, and what has none is there once."""
    found = targets_of(shop(), tuple(names.split()), partitions=True)
    assert found == Targets(asset, beside)
    assert set(found.names) == set(names.split())


@pytest.mark.parametrize(
    ("names", "asset", "beside"),
    [
        (
            "hours days note months total",
            "total",
            {"hours": "needed", "days": "needed", "note": "same", "months": "needed"},
        ),
        ("note sizes", "sizes", {"note": "same"}),
        ("days labels sizes", "labels", {"days": "same", "sizes": "once"}),
    ],
    ids=str,
)
def test_without_a_partition_what_is_upstream_of_one_value_is_needed(names, asset, beside):
    """And what is not has to be given one: then it is the asset whose partitions are asked for."""
    assert targets_of(shop(), tuple(names.split()), partitions=False) == Targets(asset, beside)


def test_assets_of_different_sets_are_refused_in_one_sentence():
    """It names both, and what they have."""
    with pytest.raises(
        PartitionError, match=r"Assets 'months' and 'labels' have different partitions, Monthly.*Daily"
    ) as told:
        targets_of(shop(), ("days", "months", "labels"), partitions=True)
    assert str(told.value).count("\n") == 0


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["raw"], "raw"),
        (["raw", "clean"], "raw and clean"),
        (["a", "b", "c"], "a, b and c"),
        (["raw", "clean", "x", "y", "z"], "raw, clean and 3 more"),
        (["a\x1b[2J", "b"], "a\\x1b[2J and b"),
    ],
)
def test_several_names_are_few_words(names, label):
    """However many there are, and whatever is in them."""
    assert names_label(names) == label


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        (RunSpec("materialize", "a"), "a"),
        (RunSpec("materialize", "a", ("d:2025-01-15",)), "a[2025-01-15]"),
        (RunSpec("backfill", "a", (), ("d:2025-01-01", "d:2025-01-31")), "a[2025-01-01 to 2025-01-31]"),
        (RunSpec("backfill", "a", ("x", "y")), "a, 2 partitions"),
        (RunSpec("materialize", "b", beside={"a": "same"}), "a and b"),
        (RunSpec("materialize", "b", ("d:2025-01-15",), beside={"a": "same"}), "a and b, 2025-01-15"),
        (
            RunSpec(
                "backfill", "b", (), ("d:2025-01-01", "d:2025-01-31"), beside={"n": "once", "a": "needed"}
            ),
            "a, b and n, 2025-01-01 to 2025-01-31",
        ),
    ],
    ids=str,
)
def test_what_was_asked_for_in_few_words(asked, label):
    """One asset as its steps are written; several with their partitions behind them."""
    assert request_label(asked) == label


# Planning ---------------------------------------------------------------------------------------------------


@st.composite
def selections(draw):
    """A graph, some of its assets, keys of those that have them, and whether all upstream is part of it."""
    view = draw(scenes()).view
    names = draw(st.lists(st.sampled_from(view.graph.order()), unique=True, min_size=1))
    names.sort(key=view.graph.rank)
    try:
        targets = targets_of(view, tuple(names), partitions=draw(st.booleans()))
    except PartitionError:
        assume(False)
    own = view.set_of(targets.asset)
    keys = list(view.keys(targets.asset)) if own is not None else [None, "eu"]
    free = all(view.set_of(name) is None for name in names)
    if own is None and not free:
        keys = [None]
    assume(keys)
    some = draw(st.lists(st.sampled_from(keys), unique=True, min_size=1, max_size=6))
    return view, targets, some, draw(st.booleans())


def spec(targets, keys, **options):
    encoded = tuple(None if key is None else encode_partition(key) for key in keys)
    return RunSpec("backfill", targets.asset, encoded, beside=targets.beside, **options)


def has(view, asset, key):
    """Whether an asset has a key: of periods of one kind it may have others than those that are asked for."""
    own = view.set_of(asset)
    return own is None or key in own


def by_hand(view, targets, keys, *, upstream):
    """The steps of the run, found one by one: those that are asked for, and those that others of it need."""
    shares = {**targets.beside, targets.asset: "same"}
    found: dict[tuple[str, object], None] = {}
    fixed = {name for name, share in shares.items() if share != "needed"}
    open_steps = [
        (name, key)
        for name in fixed
        for key in (keys if shares[name] == "same" else [None])
        if has(view, name, key)
    ]
    while open_steps:
        step = open_steps.pop()
        if step in found:
            continue
        found[step] = None
        for dependency in view.graph[step[0]].dependencies:
            if not upstream and dependency.asset in fixed:
                continue  # Just what was asked for of it.
            needed = view.upstream_keys(step[0], dependency.asset, step[1]).keys
            open_steps += [(dependency.asset, key) for key in needed]
    kept = found if upstream else [step for step in found if step[0] in shares]
    return {(asset, None if key is None else encode_partition(key)) for asset, key in kept}


@given(selections())
def test_a_plan_of_several_has_each_step_once_and_nothing_else(drawn):
    """Whatever graph, sets and mappings there are: just what was selected, and with `upstream` what that needs."""
    view, targets, keys, upstream = drawn
    plan = plan_run(view.graph, view, spec(targets, keys, upstream=upstream))
    steps = [(asset, key) for asset, _, key in map(plan.step, range(plan.total))]
    assert len(set(steps)) == len(steps)
    assert set(steps) == by_hand(view, targets, keys, upstream=upstream)


@given(selections())
def test_the_order_of_several_respects_dependencies(drawn):
    """Each step comes after those steps of the run that it needs, and knows all of them and no others."""
    view, targets, keys, upstream = drawn
    plan = plan_run(view.graph, view, spec(targets, keys, upstream=upstream))
    steps = [(asset, key) for asset, _, key in map(plan.step, range(plan.total))]
    for number, step in enumerate(steps):
        assert plan.number(*step) == number
        above = [up for numbers in plan.upstream(number) for up in numbers]
        assert all(up < number for up in above)
        assert len(set(above)) == len(above)
        needed = upstream_by_hand(view, step[0], plan.step(number)[1])
        assert {steps[up] for up in above} == needed & set(steps)
        assert all(plan.of(number).index in plan.of(up).downstream for up in above)


@given(selections())
def test_the_targets_of_a_plan_are_what_was_asked_for(drawn):
    """With `upstream` there are other steps, which are none."""
    view, targets, keys, upstream = drawn
    plan = plan_run(view.graph, view, spec(targets, keys, upstream=upstream))
    numbers = [number for steps in plan.targets for number in steps]
    assert len(set(numbers)) == len(numbers)
    asked = {(asset, key) for asset, _, key in map(plan.step, numbers)}
    shares = {**targets.beside, targets.asset: "same"}
    for (asset, share), key in product(shares.items(), keys):
        if share != "needed" and (share == "once" or has(view, asset, key)):
            of_it = None if key is None or share == "once" else encode_partition(key)
            assert (asset, of_it) in asked
    assert {asset for asset, _ in asked} <= set(shares)
    if not upstream:
        assert len(asked) == plan.total


@given(selections(), st.sampled_from(["all", "missing", "stale"]))
def test_a_request_for_several_that_was_stored_is_planned_alike(drawn, refresh):
    """Written down, read back and planned elsewhere, it gives the same steps with the same numbers."""
    view, targets, keys, upstream = drawn
    asked = spec(targets, keys, upstream=upstream, refresh=refresh)
    read = decode_run(encode_run(RunRecord("1", "random", asked, Status.QUEUED, NOW))).request
    assert read == asked
    assert read.targets == asked.targets
    plan = plan_run(view.graph, view, asked)
    again = plan_run(view.graph, PartitionView(view.graph, NOW), read)
    assert list(map(again.step, range(again.total))) == list(map(plan.step, range(plan.total)))
    assert {each.refresh for each in again.assets} <= {refresh}


@given(selections())
def test_one_asset_is_the_case_of_one(drawn):
    """Selected alone it is planned as it always was."""
    view, targets, keys, upstream = drawn
    alone = targets_of(view, (targets.asset,), partitions=True)
    assert alone.beside == {}
    plan = plan_run(view.graph, view, spec(alone, keys, upstream=upstream))
    assert set(map(plan.step, range(plan.total))) >= {
        (alone.asset, key, None if key is None else encode_partition(key)) for key in keys
    }


LATER = DailyPartitions("2025-02-01", "2025-12-31")


@pytest.mark.parametrize(
    ("sets", "asset", "beside"),
    [
        ((DAYS, LATER), "b", {"a": "same"}),
        ((LATER, DAYS), "a", {"b": "same"}),
        ((DAYS, DAYS), "b", {"a": "same"}),
    ],
    ids=str,
)
def test_periods_of_one_kind_go_together(sets, asset, beside):
    """Those of the one that has most of them are asked for, and the other one has those that it has."""
    pipeline = Pipeline()
    for name, keys in zip("ab", sets, strict=True):

        @pipeline.asset(name=name, partitions=keys)
        async def compute() -> None: ...

    view = PartitionView(pipeline.graph, datetime(2026, 1, 1, tzinfo=UTC))
    targets = targets_of(view, ("a", "b"), partitions=True)
    assert targets == Targets(asset, beside)
    span = (encode_partition(date(2025, 2, 27)), encode_partition(date(2025, 4, 2)))
    if LATER in sets:
        plan = plan_run(view.graph, view, RunSpec("backfill", asset, (), span, beside=beside))
        sizes = {part.asset: len(part.keys) for part in plan.assets}
        later, days = ("b", "a") if sets[1] is LATER else ("a", "b")
        assert sizes == {later: 35, days: 33}
        asked = RunSpec("backfill", asset, ("d:2025-04-01", "d:2025-04-02"), beside=beside)
        assert [part.asset for part in plan_run(view.graph, view, asked).assets] == [later]


def test_shared_upstream_is_there_once():
    """Two targets that need the same, and each other."""
    pipeline = Pipeline()

    @pipeline.asset
    async def raw() -> int: ...

    @pipeline.asset
    async def left(raw: int) -> int: ...

    @pipeline.asset
    async def right(raw: int, left: int) -> int: ...

    view = PartitionView(pipeline.graph, NOW)
    plan = plan_run(
        view.graph, view, RunSpec("materialize_all", "right", beside={"left": "same"}, upstream=True)
    )
    assert [plan.step(number)[0] for number in range(plan.total)] == ["raw", "left", "right"]
    assert sorted(list(numbers) for numbers in plan.targets) == [[1], [2]]


def test_a_selection_over_a_million_partitions_is_planned_by_its_ends():
    """As one asset over as many: what two assets of one set have in common is a slice of it, and stays one."""
    many = DailyPartitions("0001-01-01", "2738-11-28")
    pipeline = Pipeline()

    @pipeline.asset(partitions=many)
    async def raw() -> int: ...

    @pipeline.asset(partitions=many, mappings={"raw": LastPartitions(3)})
    async def clean(raw: dict) -> int: ...

    @pipeline.asset(partitions=many)
    async def report(clean: int) -> int: ...

    view = PartitionView(pipeline.graph, datetime(3000, 1, 1, tzinfo=UTC))
    span = (encode_partition(date(1, 1, 1)), encode_partition(date(2738, 11, 28)))
    asked = RunSpec("backfill", "report", (), span, beside={"clean": "same"})
    plan = plan_run(view.graph, view, asked)
    assert plan.total == 2 * len(many)
    assert plan.assets[1].shifts == [len(many)]


def test_an_outcome_of_many_is_refused_for_several_as_for_one():
    """What a step would be given is known from the plan."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DAYS)
    async def days() -> int: ...

    @pipeline.asset
    async def report(days: Outcome[int]) -> int: ...

    view = PartitionView(pipeline.graph, NOW)
    with pytest.raises(DefinitionError):
        plan_run(view.graph, view, RunSpec("materialize", "report", beside={"days": "needed"}))
