"""How fresh an asset is and may be, on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flowstone import Freshness, Pipeline, Runtime

DAILY = """
from datetime import timedelta

from flowstone import Freshness, Pipeline, StaticPartitions

pipeline = Pipeline("sales")


@pipeline.asset(freshness=Freshness(within=timedelta(hours=26)))
async def report() -> int:
    return 1


@pipeline.asset(partitions=StaticPartitions(["a", "b"]), freshness=Freshness(within=0.001, overdue=3600))
async def part() -> int:
    return 1


@pipeline.asset
async def other() -> int:
    return 1
"""

AT = ("--store", "file://runs")


@pytest.fixture
def daily(shop):
    """A pipeline whose freshness has been watched once; every asset has a value."""
    Path("daily.py").write_text(DAILY)
    scope = {}
    exec(DAILY, scope)
    pipeline: Pipeline = scope["pipeline"]

    async def live():
        async with (
            Runtime(pipeline, store="file://runs", automate=True) as runtime,
            runtime.subscribe("asset.late") as events,
        ):
            await runtime.materialize("report")
            await runtime.materialize("other")
            await runtime.materialize("part", partition="a")
            await anext(events)

    asyncio.run(live())


@pytest.mark.usefixtures("daily")
def test_status_says_how_fresh_an_asset_is(cli):
    """From the store alone: of the asset, or of one partition; nothing of what nobody watches."""
    lines = cli("status", "report", *AT).stdout.splitlines()
    assert lines[1].startswith("freshness: fresh since ")
    assert lines[1].endswith("(within 26 h, overdue after 52 h)")
    assert "freshness: late since" in cli("status", "part", *AT).stdout
    assert "freshness: late since" in cli("status", "part", "--partition", "a", *AT).stdout
    assert "freshness: unknown (within 0.001 s" in cli("status", "part", "--partition", "b", *AT).stdout
    assert "freshness" not in cli("status", "other", *AT).stdout
    document = cli("status", "report", *AT, "--json").document["freshness"]
    assert (document["status"], document["within"], document["overdue"]) == ("fresh", 93_600, 187_200)
    assert document["since"] == document["materialized_at"]
    assert cli("status", "other", *AT, "--json").document["freshness"] is None


@pytest.mark.usefixtures("daily")
def test_assets_says_how_fresh_they_are_to_be(cli):
    """Where any asset is to be."""
    out = cli("assets", "daily.py").stdout
    assert "within 26 h, overdue after 52 h" in out
    documents = {
        each["name"]: each["freshness"] for each in cli("assets", "daily.py", "--json").document["assets"]
    }
    assert documents["report"] == {"within": 93_600, "overdue": 187_200}
    assert documents["other"] is None
    assert "fresh" not in cli("assets", "shop.py").stdout.splitlines()[0]


@pytest.mark.usefixtures("daily")
def test_what_is_watched_is_an_automation(cli):
    """It is listed, paused and resumed by its name."""
    assert "freshness:report" in cli("automations", *AT).stdout
    assert "paused" in cli("pause", "freshness:report", *AT).stdout
    assert "resumed" in cli("resume", "freshness:report", *AT).stdout


@pytest.mark.usefixtures("daily")
def test_what_is_late_is_listed(cli):
    """From the store alone, also among the automations; what is fresh is not."""
    head, line = cli("status", "--late", *AT).stdout.splitlines()
    assert head.split()[:2] == ["asset", "freshness"]
    assert line.split("  ")[0] == "part"
    assert "late since just now" in line
    assert "within 0.001 s, overdue after 1 h" in line
    (late,) = cli("status", "--late", *AT, "--json").document["late"]
    assert (late["asset"], late["freshness"]["status"]) == ("part", "late")
    lines = {line.split()[0]: line for line in cli("automations", *AT).stdout.splitlines()}
    assert "late since just now" in lines["freshness:part"]
    assert lines["freshness:report"].rstrip().endswith("fresh")
    told = {each["name"]: each for each in cli("automations", *AT, "--json").document["automations"]}
    assert told["freshness:part"]["freshness"]["status"] == "late"


def test_where_nothing_is_late_it_is_said(shop, cli):
    """And where nobody watches, what does."""
    assert "No asset is watched in file://runs" in cli("status", "--late", *AT).stderr
    assert cli("status", "--late", *AT, "--json").document == {"late": []}
    pipeline = Pipeline("sales")

    @pipeline.asset(freshness=Freshness(within=100.0))
    async def report() -> int:
        return 1

    async def live():
        async with Runtime(pipeline, store="file://runs", automate=True) as runtime:
            while not await runtime.automations():
                await asyncio.sleep(0)

    asyncio.run(live())
    assert "None of 1 watched asset is late." in cli("status", "--late", *AT).stderr


@pytest.mark.parametrize("more", [("report",), ("--failed",), ("--missing",)])
def test_what_is_late_is_asked_for_alone(shop, cli, more):
    """It is a list of all assets."""
    assert cli("status", *more, "--late", *AT).status == 2
