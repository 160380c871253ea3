"""`materialize --join`: sharing a run that is under way, and why a run was cancelled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from flowstone import Pipeline, Runtime
from flowstone.cli.cancel_reason import cancel_words
from flowstone.runs.events import RunCancelRequested


def test_a_command_joins(shop, cli):
    """Where nobody computes it, the command does."""
    assert "succeeded" in cli("materialize", "shop.py", "orders", "--join").stdout
    told = cli("materialize", "shop.py", "total", "--upstream", "--join", "--json").document
    assert told["counts"] == {"succeeded": 2}


def test_what_is_under_way_is_not_submitted_again(shop, cli, database):
    """The run is named that is; with a key, the run that has the key."""
    asked = ("materialize", "shop.py", "total", "--upstream", "--submit", "--join", "--store", database)
    first = cli(*asked, "--json").document
    assert first["submitted"]
    second = cli(*asked)
    assert second.stdout.startswith(f"run {first['run_id']} is under way for the same request: nothing was")
    assert cli(*asked, "--json").document == {**first, "submitted": False}


@pytest.mark.parametrize(
    ("reason", "words"),
    [("asked", "somebody asked for it"), ("unwanted", "all who waited for it had left"), ("x\ny", "x y")],
)
def test_reasons_are_told_in_words(reason, words):
    """Those that are not ours as they are, in one line."""
    event = RunCancelRequested(datetime.now(UTC), "1", "total", reason)
    assert cancel_words(event).replace("\\n", " ") == words


def test_a_cancelled_run_says_why(tmp_path, monkeypatch, cli):
    """In words, and as it is on record in the document."""
    monkeypatch.chdir(tmp_path)
    store = f"file://{tmp_path / 'runs'}"

    async def leave() -> str:
        pipeline, began = Pipeline("slow"), asyncio.Event()

        @pipeline.asset
        async def page() -> int:
            began.set()
            await asyncio.Event().wait()
            return 1

        async with Runtime(pipeline, store=store, cancel_timeout=0.2) as runtime:
            calls = [
                asyncio.create_task(runtime.materialize("page", join=True, cancel_when_unwanted=True))
                for _ in range(2)
            ]
            await began.wait()
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            return (await runtime.runs())[0].id

    run_id = asyncio.run(leave())
    assert "because   all who waited for it had left" in cli("run", run_id, "--store", store).stdout
    assert cli("run", run_id, "--store", store, "--json").document["cancel_reason"] == "unwanted"
