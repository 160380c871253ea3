"""Schedules, sensors and listeners as they are written: what cannot work is refused, with a remedy."""

from __future__ import annotations

import re

import pytest

from flowstone import (
    DailyPartitions,
    DynamicPartitions,
    MultiPartitions,
    Pipeline,
    RunRequest,
    Runtime,
    StaticPartitions,
)
from flowstone.errors import DefinitionError


@pytest.fixture
def pipeline():
    """A pipeline with an asset of each kind of partitions."""
    pipeline = Pipeline("sales")
    sets = {
        "report": None,
        "daily": DailyPartitions("2025-01-01"),
        "regional": StaticPartitions(["north", "south"]),
        "uploads": DynamicPartitions("uploads"),
        "both": MultiPartitions(day=DailyPartitions("2025-01-01"), upload=DynamicPartitions("uploads")),
    }
    for name, partitions in sets.items():

        @pipeline.asset(name=name, partitions=partitions)
        def computed() -> int:
            return 1

    return pipeline


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cron": "0 0 6 * * *"}, "has 6 of the five fields .* counts no seconds: leave that field out"),
        ({"cron": "0 0 30 2 *"}, "never fires: .* Choose a day that there is"),
        ({"cron": "@dayly"}, "Did you mean '@daily'"),
        ({"timezone": "Europe/Olso"}, "no time zone 'Europe/Olso'. Did you mean 'Europe/Oslo'"),
        ({"asset": "reprot"}, "no asset 'reprot' yet. Did you mean 'report'.* Define the schedule after"),
        ({"asset": 3}, "asset=3 is no asset, nor the name of one"),
        ({"overlap": "never"}, "overlap='never' is unknown: use 'skip', 'queue', 'allow'"),
        ({"catch_up": "some"}, "catch_up='some' is unknown: use 'last', 'skip', 'all'"),
        ({"refresh": "yes"}, "refresh='yes' is unknown: use 'all', 'missing', 'stale'"),
        ({"paused": "no"}, "paused='no' takes True or False"),
        ({"upstream": 0}, "upstream=0 takes True or False"),
        ({"partition": 1.5}, "partition"),
        ({"partition": "latest"}, "has no partitions: leave out partition="),
        ({"asset": "daily"}, 'say which partition: partition="latest"'),
        ({"asset": "daily", "partition": "monday"}, "write it as YYYY-MM-DD"),
        ({"asset": "daily", "partition": "2024-12-31"}, "'2024-12-31' is not in"),
        ({"asset": "regional", "partition": "east"}, "'east' is not in"),
        ({"asset": None, "partition": "latest"}, r"return RunRequest\(asset, partition=…\)"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(pipeline, options, told):
    """Where it is defined, with its line and name, and nothing is defined."""
    with pytest.raises(DefinitionError, match=told) as refused:
        pipeline.schedule("nightly", **{"cron": "@daily", "asset": "report", **options})
    assert re.match(r"\S*test_definitions.py:\d+: schedule\('nightly'\)", str(refused.value))
    assert not pipeline.automations


@pytest.mark.parametrize(
    ("asset", "partition"),
    [
        ("daily", "latest"),
        ("daily", "2099-01-01"),
        ("regional", "north"),
        ("uploads", "whatever"),
        ("both", {"day": "2025-01-01", "upload": "a"}),
    ],
)
def test_a_partition_may_be_one_that_is_to_come(pipeline, asset, partition):
    """Of an open-ended set, or of one whose keys only a store knows."""
    pipeline.schedule("nightly", cron="@daily", asset=asset, partition=partition)
    assert pipeline.automations["nightly"].request.partition == partition


def test_an_asset_is_passed_as_itself_or_by_name(pipeline):
    """An asset of another pipeline is not one of the same name here."""
    pipeline.schedule("one", cron="@daily", asset=pipeline.assets["report"])
    assert pipeline.automations["one"].request.asset == "report"
    other = Pipeline("other")

    @other.asset
    def report(): ...

    @other.asset
    def forecast(): ...

    def plain(): ...

    with pytest.raises(DefinitionError, match=r"that of this pipeline is of .* Pass that one, or its name"):
        pipeline.schedule("two", cron="@daily", asset=report)
    for unknown in (forecast, plain):
        with pytest.raises(DefinitionError, match="Define the schedule after the asset"):
            pipeline.schedule("two", cron="@daily", asset=unknown)


def test_a_function_takes_the_one_argument_that_it_is_given(pipeline):
    """The tick, the context or the event; and it is a function."""
    decorators = [
        (pipeline.schedule("nightly", cron="@daily"), "the tick"),
        (pipeline.sensor("inbox"), "the context"),
        (pipeline.on("run.failed", name="alert"), "the event"),
    ]
    for decorator, argument in decorators:
        with pytest.raises(DefinitionError, match=f"is called with one argument, {argument}"):
            decorator(lambda: None)
        with pytest.raises(DefinitionError, match="function"):
            decorator(3)
    assert not pipeline.automations


def test_a_decorator_without_its_name_is_noticed(pipeline):
    """Instead of defining nothing."""
    with pytest.raises(DefinitionError, match="takes a name"):

        @pipeline.sensor
        def inbox(_context): ...

    with pytest.raises(DefinitionError, match=r'write `@pipeline.on\("run.failed"\)`'):

        @pipeline.on
        def alert(_event): ...


def test_two_of_one_name_are_told_with_both_lines(pipeline):
    """Of one pipeline, of one that is included, and of two in one runtime."""
    pipeline.schedule("nightly", cron="@daily", asset="report")
    twice = (
        r"'nightly' is the name of a schedule at \S+:\d+ and of a sensor at \S+:\d+: give one of them another"
    )

    other = Pipeline("other")
    other.sensor("nightly", lambda _context: RunRequest("report"))
    with pytest.raises(DefinitionError, match=twice):
        pipeline.sensor("nightly", lambda _context: None)
    with pytest.raises(DefinitionError, match=twice):
        pipeline.include(other)
    with pytest.raises(DefinitionError, match=twice):
        Runtime([pipeline, other])
    pipeline.include(pipeline)
