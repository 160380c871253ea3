"""Where time stands still for a look, a sensor of files looks on the loop's own thread: a month has many."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from flowstone import FileSensor, Pipeline, RunRequest
from flowstone.sensors.files import FileSensor as Sensor
from flowstone.testing import Simulation

START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("own", [False, True])
async def test_what_calls_nothing_of_the_users_looks_on_the_loop(tmp_path, monkeypatch, own):
    """A function that a user has written may be as slow as it likes, and is called on a thread as ever."""
    threads = set()
    look = Sensor._look

    def noted(self):
        threads.add(threading.get_ident())
        return look(self)

    monkeypatch.setattr(Sensor, "_look", noted)
    pipeline = Pipeline("inbox")

    @pipeline.asset
    async def report() -> int:
        return 1

    told = {"request": lambda _: RunRequest("report", refresh="all")} if own else {"asset": "report"}
    pipeline.add(FileSensor(tmp_path / "*.csv", every=30.0, settle=0, name="files", **told))
    async with Simulation(pipeline, start=START) as simulation:
        await simulation.run(minutes=2)
        (tmp_path / "a.csv").write_text("1")
        await simulation.run(minutes=2)
        assert [run.request.asset for run in simulation.runs] == ["report"]
    assert (threading.get_ident() in threads) is not own
