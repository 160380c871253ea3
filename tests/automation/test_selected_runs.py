"""Schedules, functions and listeners about several assets: one run of them at each tick."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from flowstone import Automation, Context, DailyPartitions, Pipeline, RunRequest, Status
from flowstone.errors import ArgumentError, DefinitionError
from flowstone.testing import Simulation

START = datetime(2025, 1, 14, 12, tzinfo=UTC)


@pytest.fixture
def pipeline():
    """Raw -> clean by day, and a report of all days."""
    pipeline = Pipeline("sales")
    days = DailyPartitions("2025-01-14")

    @pipeline.asset(partitions=days, tags={"team": "core"})
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=days, tags={"team": "core"})
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset
    async def report(clean: dict[date, int]) -> int:
        return len(clean)

    return pipeline


async def test_a_schedule_of_a_selection_starts_one_run_of_all(pipeline):
    """The latest day of those that have days, and the report once."""
    pipeline.schedule(
        "nightly", cron="0 6 * * *", asset="raw+", partition="latest", upstream=False, refresh="all"
    )
    async with Simulation(pipeline, start=START) as sim:
        await sim.run(days=2)
        assert [run.request.keys for run in sim.runs] == [("d:2025-01-14",), ("d:2025-01-15",)]
        assert {run.assets for run in sim.runs} == {("raw", "clean", "report")}
        assert {(run.status, run.total) for run in sim.runs} == {(Status.SUCCEEDED, 3)}
        assert await sim.runtime.load("report") == 2


async def test_what_a_tag_means_is_known_at_the_tick(pipeline):
    """An asset that is defined later has it as well."""
    pipeline.schedule("nightly", cron="@daily", asset="tag:team=core", partition="latest")

    @pipeline.asset(tags={"team": "core"})
    async def notes() -> int:
        return 1

    async with Simulation(pipeline, start=START) as sim:
        await sim.run(days=1)
        (run,) = sim.runs
        assert set(run.assets) == {"raw", "clean", "notes"}


async def test_a_function_asks_for_several(pipeline):
    """By a selection, or by a list, with partitions or one of them."""

    @pipeline.schedule("nightly", cron="@daily")
    async def nightly(tick):
        return [
            RunRequest("raw,clean", partition="2025-01-14"),
            RunRequest([pipeline.assets["raw"], "report"], partitions=["2025-01-14"], upstream=False),
        ]

    async with Simulation(pipeline, start=START) as sim:
        await sim.run(days=1)
        assert [(run.assets, run.kind, run.request.keys) for run in sim.runs] == [
            (("raw", "clean"), "materialize_all", ("d:2025-01-14",)),
            (("raw", "report"), "backfill", ("d:2025-01-14",)),
        ]


async def test_a_listener_of_an_asset_hears_of_runs_of_it_and_others(pipeline):
    """And one of an asset that is none of theirs does not."""
    heard = []

    @pipeline.on("run.succeeded", asset="raw")
    async def of_raw(event):
        heard.append(("raw", event.run_id))

    @pipeline.on("run.succeeded", asset="report")
    async def of_report(event):
        heard.append(("report", event.run_id))

    pipeline.schedule("nightly", cron="@daily", asset="raw,clean", partition="latest")
    async with Simulation(pipeline, start=START) as sim:
        await sim.run(days=1)
        assert heard == [("raw", sim.runs[0].id)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"asset": "rw+"},
            r"There is no asset 'rw'\. Did you mean 'raw'\?\n  rw\+\n  \^\nDefine the schedule after",
        ),
        ({"asset": "raw,,clean"}, "A comma stands between two assets"),
        ({"asset": "tag:team=web"}, "No asset has the tag 'team=web'"),
        ({"asset": "raw+", "refresh": "yes"}, "refresh='yes' is unknown"),
        ({"asset": "raw+", "upstream": 1}, "upstream=1 takes True or False"),
        ({"asset": "raw+", "partition": 1.5}, "schedule"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused_where_it_is_written(pipeline, options, told):
    """With the line of the schedule, and the place in the selection."""
    with pytest.raises(DefinitionError, match=told) as refused:
        pipeline.schedule("nightly", **{"cron": "@daily", "partition": "latest", **options})
    assert "test_selected_runs.py:" in str(refused.value)
    assert not pipeline.automations


@pytest.mark.parametrize("asset", [[], ["raw", 3], (None,), 3])
def test_a_request_takes_assets(asset):
    """One or several, and nothing else."""
    with pytest.raises(ArgumentError, match=r"takes an asset: .* or several"):
        RunRequest(asset)


@pytest.mark.parametrize(("asked", "runs"), [("raw,clean", 1), ("raw,other", 2)])
async def test_a_condition_leaves_an_asset_to_the_run_that_computes_it_as_well(asked, runs):
    """Also without upstream; after any other run it has a run of its own."""
    pipeline = Pipeline("followed")

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def clean(raw: int, context: Context) -> int:
        context.sleep("nap", 60.0)
        return raw

    @pipeline.asset
    async def other() -> int:
        return 1

    async with Simulation(pipeline, start=START) as sim:
        await sim.runtime.submit(asked, upstream=False)
        await sim.run(minutes=10)
        assert len(sim.runs) == runs
        assert {run.status for run in sim.runs} == {Status.SUCCEEDED}
        assert await sim.runtime.load("clean") == 1
