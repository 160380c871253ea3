"""Runs of somebody else that compute what a condition would ask for: they are found, and cheaply."""

from __future__ import annotations

from types import SimpleNamespace

from flowstone import Pipeline
from flowstone.runs.records import RunSpec, Status
from flowstone.runtime.automation.condition_others import OtherRuns
from flowstone.store import MemoryStore
from tests.store.facts import over, run


class CountingStore:
    """A store that counts how often runs were read."""

    def __init__(self, store):
        self.store = store
        self.questions = 0

    async def run(self, run_id):
        self.questions += 1
        return await self.store.run(run_id)

    async def runs(self, **options):
        self.questions += 1
        return await self.store.runs(**options)


async def others(*, finished, under_way):
    """Of a pipeline in which a report is computed from a."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    def a() -> int:
        return 1

    @pipeline.asset
    def report(a: int) -> int:
        return a

    whole = RunSpec(kind="materialize_all", asset="report", upstream=True)
    store = MemoryStore()
    await store.open()
    for run_id in (*finished, *under_way):
        await store.create_run(run(run_id, request=whole))
    for run_id in finished:
        await store.write(over(run_id, Status.SUCCEEDED))
    counting = CountingStore(store)
    snapshot = SimpleNamespace(graph=pipeline.graph)
    return OtherRuns(SimpleNamespace(store=counting, snapshot=snapshot)), counting


async def test_a_run_that_goes_on_to_compute_it_is_found():
    """One that is over does not, nor one that is forgotten."""
    asked, store = await others(finished=["run-1"], under_way=["run-2"])
    assert await asked.computing("report", ["run-1", "gone"]) is None
    assert await asked.computing("report", ["run-1", "gone", "run-2"]) == "run-2"
    assert await asked.computing("report", ["run-2"]) == "run-2"
    assert store.questions == 3


async def test_of_very_many_runs_those_under_way_are_read_at_once():
    """As where each of 365 days was computed by a run of its own."""
    finished = [f"run-{number:03}" for number in range(365)]
    asked, store = await others(finished=finished, under_way=["run-x"])
    assert await asked.computing("report", finished) is None
    assert await asked.computing("report", [*finished, "run-x"]) == "run-x"
    assert store.questions == 1
