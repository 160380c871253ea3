"""An asset that depends on its own earlier partitions: refused or in order, one after another, whatever fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import (
    Context,
    CycleError,
    DailyPartitions,
    DefinitionError,
    DependencyNotReady,
    FileIO,
    HourlyPartitions,
    LastPartitions,
    MonthlyPartitions,
    MultiPartitions,
    Pipeline,
    Runtime,
    Skip,
    StaticPartitions,
    TimeOffset,
    WeeklyPartitions,
)
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_view import PartitionView
from flowstone.runs import endings
from flowstone.runs.commands import FinishRun, StartStep
from flowstone.runs.endings import PlannedStep
from flowstone.runs.events import StepStarted
from flowstone.runs.planner import plan_run
from flowstone.runs.records import RunSpec
from flowstone.runs.state import RunState
from tests.runs.plans import AT, FAILURE

FIRST = date(2025, 1, 1)
DAYS = DailyPartitions("2025-01-01", "2025-01-20")


def bank(offset=None, *, fails=(), days=DAYS, calls=None):
    """`balance` of a day is that of an earlier one and the day's number; it begins with 100."""
    pipeline = Pipeline("bank")

    @pipeline.asset(partitions=days)
    async def payments(context: Context) -> int:
        return context.partition.day

    @pipeline.asset(partitions=days, mappings={"balance": offset or TimeOffset(days=-1)})
    async def balance(payments: int, context: Context, balance: int = 100) -> int:
        if calls is not None:
            calls.append(context.partition)
        await asyncio.sleep(0)
        if context.partition in fails:
            raise ValueError("no statement")
        return balance + payments

    @pipeline.asset(partitions=days)
    async def report(balance: int) -> str:
        return f"{balance} NOK"

    return pipeline


# What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mapping",
    [None, TimeOffset(days=1), TimeOffset(months=1, days=-1), LastPartitions(2)],
    ids=repr,
)
def test_any_other_way_to_itself_is_a_cycle(mapping):
    """Nothing but a `TimeOffset` that looks back in every unit leads to earlier keys alone; the remedy is named."""
    pipeline = Pipeline("p")

    @pipeline.asset(partitions=DAYS, mappings=None if mapping is None else {"a": mapping})
    def a(a=None): ...

    with pytest.raises(
        CycleError, match=r"circle: a -> a .*mappings=\{'a': TimeOffset\(days=-1\)\}"
    ) as refused:
        _ = pipeline.graph
    assert refused.value.path == ("a", "a")


def test_a_cycle_through_others_stays_one():
    """Also if it goes through an asset that depends on its own past, which is not part of the path."""
    pipeline = Pipeline("p")

    @pipeline.asset(partitions=DAYS, mappings={"a": TimeOffset(days=-1), "b": TimeOffset(days=-1)})
    def a(b, a=None): ...

    @pipeline.asset(partitions=DAYS)
    def b(a): ...

    with pytest.raises(CycleError, match="a -> b -> a"):
        _ = pipeline.graph


def test_a_parameter_without_a_default_is_refused_where_it_is_defined():
    """The first key has no earlier one."""
    pipeline = Pipeline("p")
    with pytest.raises(
        DefinitionError, match="give the parameter 'a' a default, which the first one receives"
    ):

        @pipeline.asset(partitions=DAYS, mappings={"a": TimeOffset(days=-1)})
        def a(a: int): ...


def test_the_graph_and_its_pictures_show_it():
    """It is neither upstream nor downstream of itself."""
    graph = bank().graph
    assert graph.order() == ["payments", "balance", "report"]
    assert (graph.upstream("balance"), graph.downstream("balance")) == (["payments"], ["report"])
    assert "balance  (and its own past)" in graph.to_ascii()
    assert "balance -.-> balance" in graph.to_mermaid()
    assert '"balance" -> "balance"' in graph.to_dot()


# What is run ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file", "postgres"])
def opened(request, tmp_path):
    """Makes runtimes on one kind of store."""
    if request.param == "postgres":
        url = request.getfixturevalue("database")
        return lambda pipeline: Runtime(pipeline, store=url)
    url = "memory://" if request.param == "memory" else f"file://{tmp_path / 'runs'}"
    return lambda pipeline: Runtime(pipeline, store=url, io={"default": FileIO(tmp_path / "values")})


async def test_one_day_takes_in_the_earlier_ones(opened):
    """As any upstream; the default is for the first."""
    calls = []
    async with opened(bank(calls=calls)) as runtime:
        result = await runtime.materialize_all("report", partition="2025-01-04")
        assert await result.value() == "110 NOK"
        assert calls == [FIRST + timedelta(days=number) for number in range(4)]
        result = await runtime.materialize_all("report", partition="2025-01-06", refresh="missing")
        assert await result.value() == "121 NOK"
        assert len(calls) == 6
        steps = await runtime.lineage.upstream("balance", partition="2025-01-03")
        assert [entry.partition.day for entry in steps if entry.asset == "balance"] == [2, 1]
        impact = await runtime.lineage.impact("payments", partition="2025-01-03")
        assert [entry.partition.day for entry in impact if entry.asset == "balance"] == [3, 4, 5, 6]
        assert await runtime.status("balance", partition="2025-01-03") == "succeeded"


async def test_a_backfill_runs_them_one_after_another(opened):
    """Whatever order they are asked for in, and however many may run at a time."""
    calls = []
    async with opened(bank(calls=calls)) as runtime:
        days = [FIRST + timedelta(days=number) for number in (3, 0, 2, 1)]
        result = await runtime.backfill("balance", partitions=days, upstream=True, max_parallel=8)
        assert result.status == "succeeded"
        assert calls == sorted(days)
        await runtime.backfill("balance", upstream=True, max_parallel=8)
        assert calls == list(DAYS)
        assert await runtime.load("balance", partition="2025-01-20") == 310


async def test_a_failure_skips_what_follows_and_is_named(opened):
    """By every record, and what came before stays."""
    async with opened(bank(fails={date(2025, 1, 5)})) as runtime:
        result = await runtime.backfill("balance", upstream=True, max_parallel=8)
        assert [record.partition.day for record in result.failed] == [5]
        assert {record.failure.cause for record in result.skipped} == {"balance[2025-01-05]"}
        assert len(result.skipped) == 15
        assert await runtime.load("balance", partition="2025-01-04") == 110


async def test_the_default_does_not_stand_for_a_value_that_is_not_there(opened):
    """It would begin the total anew; nothing is written."""
    async with opened(bank()) as runtime:
        await runtime.backfill("payments")
        with pytest.raises(DependencyNotReady, match=r"balance\[2025-01-04\] has no value"):
            await runtime.materialize("balance", partition="2025-01-05")
        record = await runtime.materialize("balance", partition="2025-01-01")
        assert await runtime.load("balance", partition="2025-01-01") == 101
        assert [entry.asset for entry in record.inputs] == ["payments"]
        await runtime.materialize("balance", partition="2025-01-02")
        assert await runtime.load("balance", partition="2025-01-02") == 103


@pytest.mark.parametrize("where", ["payments", "balance"])
async def test_what_is_skipped_by_choice_skips_what_follows(opened, where):
    """To take the default after a day without a statement would begin the total anew."""
    pipeline = Pipeline("bank")

    def statement(context, asset):
        if (asset, context.partition.day) == (where, 5):
            raise Skip("no statement on a Sunday")

    @pipeline.asset(partitions=DAYS)
    async def payments(context: Context) -> int:
        statement(context, "payments")
        return context.partition.day

    @pipeline.asset(partitions=DAYS, mappings={"balance": TimeOffset(days=-1)})
    async def balance(payments: int, context: Context, balance: int = 100) -> int:
        statement(context, "balance")
        return balance + payments

    async with opened(pipeline) as runtime:
        result = await runtime.backfill("balance", upstream=True, max_parallel=8)
        assert result.status == "succeeded"
        made = [each.partition.day for each in result.succeeded if each.asset == "balance"]
        assert made == [1, 2, 3, 4]
        skipped = [each for each in result.skipped if each.asset == "balance"]
        assert len(skipped) == 16
        assert {each.failure.cause for each in skipped} - {None} == {f"{where}[2025-01-05]"}


async def test_a_total_goes_on_over_a_day_without_a_statement(opened):
    """Where it can do without that."""
    pipeline = Pipeline("bank")

    @pipeline.asset(partitions=DAYS)
    async def payments(context: Context) -> int:
        if context.partition.day == 5:
            raise Skip("no statement on a Sunday")
        return context.partition.day

    @pipeline.asset(partitions=DAYS, mappings={"balance": TimeOffset(days=-1)})
    async def balance(payments: int = 0, balance: int = 100) -> int:
        return balance + payments

    async with opened(pipeline) as runtime:
        await runtime.backfill("balance", upstream=True, max_parallel=8)
        assert await runtime.load("balance", partition="2025-01-20") == 310 - 5


async def test_a_changed_value_makes_what_follows_stale(opened):
    """As with any input."""
    async with opened(bank()) as runtime:
        await runtime.backfill("balance", upstream=True)
        await runtime.invalidate("balance", partition="2025-01-18", downstream=True)
        plan = await runtime.plan("balance", partitions=list(DAYS), refresh="stale")
        assert [step.partition.day for step in plan if step.action == "run"] == [18, 19, 20]


@given(st.data())
async def test_runs_end_as_a_small_model_says(data):
    """Random offsets, partitions and failures: who runs, who is skipped because of whom, with which value."""
    size = data.draw(st.integers(1, 12))
    back = data.draw(st.integers(1, 4))
    numbers = st.integers(0, size - 1)
    wanted = data.draw(st.lists(numbers, min_size=1, unique=True))
    broken = data.draw(st.sets(numbers, max_size=2))
    days = DailyPartitions("2025-01-01", FIRST + timedelta(days=size - 1))
    calls = []
    pipeline = bank(
        TimeOffset(days=-back),
        fails={FIRST + timedelta(days=number) for number in broken},
        days=days,
        calls=calls,
    )
    values, causes, asked = {}, {}, set()
    for number in wanted:
        asked |= set(range(number, -1, -back))
    for number in sorted(asked):
        earlier = number - back
        if earlier in causes:
            causes[number] = causes[earlier]
        elif number in broken:
            causes[number] = number
        else:
            values[number] = values.get(earlier, 100) + number + 1
    async with Runtime(pipeline) as runtime:
        result = await runtime.backfill(
            "balance",
            partitions=[FIRST + timedelta(days=number) for number in wanted],
            upstream=True,
            max_parallel=data.draw(st.integers(1, 8)),
        )
        made = {(each.partition - FIRST).days for each in result.succeeded if each.asset == "balance"}
        assert made == set(values)
        for number, value in values.items():
            assert await runtime.load("balance", partition=FIRST + timedelta(days=number)) == value
        skips = {(each.partition - FIRST).days: each.failure.cause for each in result.skipped}
        assert skips == {
            number: f"balance[{FIRST + timedelta(days=cause)}]"
            for number, cause in causes.items()
            if number != cause
        }
    assert len(calls) == len(set(calls))


# Plans ------------------------------------------------------------------------------------------------------

SETS = [
    (DailyPartitions("2025-01-01", "2025-06-30"), ["days", "weeks", "months"]),
    (WeeklyPartitions("2025-01-06", "2025-12-29"), ["weeks"]),
    (MonthlyPartitions("2020-01-01", "2024-12-31"), ["months"]),
    (HourlyPartitions("2025-03-28", "2025-04-01", timezone="Europe/Oslo"), ["hours", "days"]),
    (HourlyPartitions("2011-12-28", "2012-01-02", timezone="Pacific/Apia"), ["hours", "days"]),
    (HourlyPartitions("2025-04-04", "2025-04-08", timezone="Australia/Lord_Howe"), ["hours", "days"]),
    (
        MultiPartitions(
            day=DailyPartitions("2025-01-01", "2025-01-20"), region=StaticPartitions(["eu", "us"])
        ),
        ["days"],
    ),
    (
        MultiPartitions(
            region=StaticPartitions(["eu", "us"]), day=DailyPartitions("2025-01-01", "2025-01-20")
        ),
        ["days", "weeks"],
    ),
]


@st.composite
def histories(draw):
    """A pipeline with an asset that depends on itself, its keys, and some that are asked for, in any order."""
    keys, units = draw(st.sampled_from(SETS))
    unit = draw(st.sampled_from(units))
    offset = TimeOffset(**{unit: -draw(st.integers(1, 5))})
    pipeline = Pipeline("p")

    @pipeline.asset(name="a", partitions=keys, mappings={"a": offset})
    def _own(a=None): ...

    view = PartitionView(pipeline.graph, datetime(2026, 1, 1, tzinfo=UTC))
    positions = st.integers(0, keys.size - 1)
    if draw(st.booleans()):
        first, last = sorted((draw(positions), draw(positions)))
        asked = list(keys.keys()[first : last + 1])
    else:
        asked = [keys.key_at(at) for at in draw(st.lists(positions, min_size=1, max_size=6, unique=True))]
    return view, keys, asked


@given(histories(), st.booleans())
def test_a_plan_has_what_is_needed_after_what_it_needs(history, upstream):
    """The keys that were asked for, with upstream all earlier ones that they need, each after its own."""
    view, keys, asked = history
    texts = tuple(encode_partition(key) for key in asked)
    request = RunSpec("backfill", "a", keys=texts, upstream=upstream)
    plan = plan_run(view.graph, view, request)
    expected, waiting = set(), list(asked)
    while waiting:
        key = waiting.pop()
        if key not in expected:
            expected.add(key)
            waiting += view.upstream_keys("a", "a", key).keys if upstream else ()
    planned = [plan.step(number)[1] for number in range(plan.total)]
    assert planned == sorted(expected, key=keys.position_of)
    for number, key in enumerate(planned):
        needs = [at for numbers in plan.upstream(number) for at in numbers]
        assert needs == [
            planned.index(each) for each in view.upstream_keys("a", "a", key).keys if each in expected
        ]
        assert all(at < number for at in needs)


@given(st.integers(1, 5), st.integers(1, 30), st.integers(1, 8), st.integers(0, 40))
def test_a_window_that_is_smaller_than_the_range_does_not_block(back, window, max_parallel, broken):
    """Every step ends, also where one of them fails."""
    view = PartitionView(
        bank(TimeOffset(days=-back), days=DailyPartitions("2025-01-01", "2025-02-10")).graph,
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    request = RunSpec("backfill", "balance", keys=(), span=("d:2025-01-01", "d:2025-02-10"))
    plan = plan_run(view.graph, view, request)
    state = RunState(plan, max_parallel=max_parallel, window=window)
    commands, ran, finished = state.begin(), [], None
    while commands:
        command = commands.pop(0)
        if isinstance(command, StartStep):
            ran.append(command.step)
            step = PlannedStep.of("run", plan, command.step, 1)
            state.apply(StepStarted(AT, "run", step.asset_name, step.key, 1))
            if command.step == broken:
                commands += state.apply(endings.failed(step, AT, FAILURE))
            else:
                end = endings.succeeded(step, AT, data_version=None, location="here", size=None)
                commands += state.apply(end)
        elif isinstance(command, FinishRun):
            finished = command
        else:
            for number, _ in command.steps:
                commands += state.apply(endings.skipped(PlannedStep.of("run", plan, number), AT, "balance"))
    assert finished is not None
    assert sorted(ran) == [at for at in range(41) if at <= broken or (at - broken) % back]


def test_a_million_partitions_are_planned_without_looking_at_them():
    """All of them, the last one with all earlier ones, and the second half without."""
    hours = HourlyPartitions("1900-01-01", "2014-01-29")
    looked = []

    class Counted(HourlyPartitions):
        def key_of(self, number):
            looked.append(number)
            return super().key_of(number)

    counted = Counted("1900-01-01", "2014-01-29")
    assert counted.size == hours.size > 1_000_000
    pipeline = Pipeline("p")

    @pipeline.asset(name="a", partitions=counted, mappings={"a": TimeOffset(hours=-1)})
    def _own(a=None): ...

    view = PartitionView(pipeline.graph, datetime(2026, 1, 1, tzinfo=UTC))
    last, half = (
        encode_partition(hours.key_at(hours.size - 1)),
        encode_partition(hours.key_at(hours.size // 2)),
    )
    for request, total in (
        (RunSpec("materialize_all", "a", keys=(last,), upstream=True), hours.size),
        (RunSpec("backfill", "a", keys=(), span=(half, last), upstream=True), hours.size),
        (RunSpec("backfill", "a", keys=(), span=(half, last)), hours.size - hours.size // 2),
    ):
        looked.clear()
        assert plan_run(view.graph, view, request).total == total
        assert len(looked) < 20
