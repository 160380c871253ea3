"""The example of a night shift, over days that pass in a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowstone import Status, WebhookAlert
from flowstone.testing import Simulation

BEGIN = datetime(2025, 1, 16, 4, tzinfo=UTC)


@pytest.fixture
def told(monkeypatch):
    """What the webhook is told: kinds of events."""
    posted = []

    async def post(_alert, event):
        posted.append(event.exact_kind)

    monkeypatch.setattr(WebhookAlert, "post", post)
    return posted


@pytest.fixture
def shop(example, told, tmp_path, monkeypatch):
    """The example, in a folder of its own where files may land."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "landing").mkdir()
    return example("nightly")


def land(day):
    """Let the till's file of a day land."""
    Path(f"landing/{day}.csv").write_text("tea,4.50\ncoffee,3.00\n")


async def test_a_file_lands_and_is_reported_at_six(shop, told):
    """The sensor has it read at once, and the report reuses that."""
    async with Simulation(shop.pipeline, start=BEGIN) as sim:
        await sim.run(minutes=1)
        land("2025-01-15")
        await sim.run(minutes=1)
        (run,) = sim.runs
        assert (run.request.asset, run.request.keys, run.status) == (
            "sales",
            ("d:2025-01-15",),
            Status.SUCCEEDED,
        )
        assert await sim.runtime.status("report", partition="2025-01-15") == "never"
        await sim.run(hours=2)
        report = await sim.runtime.history("report", partition="2025-01-15", limit=1)
        assert (report[0].run_id, report[0].status) == (sim.runs[-1].id, Status.SUCCEEDED)
        assert sim.runs[-1].created_at == BEGIN + timedelta(hours=2)
        assert await sim.runtime.load("report", partition="2025-01-15") == "2 kinds sold, 7.50 in all"
    assert told == []


async def test_a_file_that_does_not_come_is_told(shop, told):
    """Each morning, and once when there was no report for two days."""
    async with Simulation(shop.pipeline, start=BEGIN) as sim:
        await sim.runtime.pause("landing/*.csv")  # It would look 60,000 times.
        await sim.run(days=4)
        assert [(run.request.asset, run.status) for run in sim.runs] == [("report", Status.FAILED)] * 4
    assert told == ["run.failed"] * 3 + ["asset.overdue", "run.failed"]
