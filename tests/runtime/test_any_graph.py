"""Any graph, any partition sets, any failures: what a run gives, compared with what it must give."""

from __future__ import annotations

import asyncio
import inspect

from hypothesis import given
from hypothesis import strategies as st

from flowstone import Context, Pipeline, Runtime
from flowstone.assets.partition_keys import encode_partition
from flowstone.testing.clock import VirtualClock
from tests.runs.graphs import NOW, Scene, scenes, step_keys, upstream_by_hand


class World:
    """The assets of a scene, with parameters for their dependencies, that note what they are given.

    Attributes:
        failing: The steps whose function raises.
        given: What each step's function received, by step.
        ran: The steps in the order in which their functions were called.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.failing: set[tuple[str, str | None]] = set()
        self.given: dict[tuple[str, str | None], dict] = {}
        self.ran: list[tuple[str, str | None]] = []
        self.pipeline = Pipeline("world")
        for name, asset in scene.view.graph.assets.items():
            self.pipeline.asset(name=name, partitions=asset.partitions, mappings=dict(asset.mappings))(
                self._function([dependency.asset for dependency in asset.dependencies])
            )

    def _function(self, dependencies):
        async def compute(**given):
            context = given.pop("context")
            step = (context.asset, context.partition_key)
            self.ran.append(step)
            self.given[step] = given
            await asyncio.sleep(0)
            if step in self.failing:
                raise ValueError(step)
            return [*step, len(self.ran)]

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(name, kind) for name in dependencies]
        parameters.append(inspect.Parameter("context", kind, annotation=Context))
        compute.__signature__ = inspect.Signature(parameters)
        return compute

    def needed(self):
        """The steps of a run for the scene's keys, with upstream."""
        return step_keys(self.scene.view, self.scene.target, self.scene.keys)

    def upstream(self, step):
        asset, _ = step
        return upstream_by_hand(self.scene.view, asset, self.values[step])

    @property
    def values(self):
        """The partition value of each step that may be needed."""
        view = self.scene.view
        found = {}
        for name in view.graph.assets:
            for value in (*view.keys(name), None, "eu", "2025-02-05", *self.scene.keys):
                found[name, None if value is None else encode_partition(value)] = value
        return found


def expected(world, needed):
    """Status by step: failed where it fails, skipped below a failure, succeeded elsewhere."""
    statuses = {}

    def status(step):
        if step not in statuses:
            above = {status(up) for up in world.upstream(step)}
            lacking = _lacking(world, step)
            if above & {"failed", "skipped"}:
                statuses[step] = "skipped"
            else:
                statuses[step] = "failed" if lacking or step in world.failing else "succeeded"
        return statuses[step]

    return {step: status(step) for step in needed}


def _lacking(world, step):
    """Whether a mapping leads the step to no key of an upstream asset that it wants one value of."""
    view = world.scene.view
    asset, value = step[0], world.values[step]
    found = [view.upstream_keys(asset, d.asset, value) for d in view.graph[asset].dependencies]
    return any(not keys.many and not len(keys.keys) for keys in found)


def outcome(result):
    """Status by step, as the result has it."""
    groups = ("succeeded", "failed", "skipped", "reused", "cancelled")
    return {
        (record.asset, record.partition_key): status
        for status in groups
        for record in getattr(result, status)
    }


@given(st.data(), scenes(most=5), st.integers(1, 5))
def test_a_run_over_any_graph(data, scene, max_parallel):
    """Each step runs once, after its inputs, which are just those the mapping says; failures skip what follows."""
    world = World(scene)
    needed = world.needed()
    world.failing = set(data.draw(st.lists(st.sampled_from(sorted(needed, key=str)), max_size=2)))

    async def run():
        clock = VirtualClock(NOW)
        async with Runtime(world.pipeline, clock=clock) as runtime:
            result = await runtime.backfill(
                scene.target, partitions=scene.keys, upstream=True, refresh="all", max_parallel=max_parallel
            )
            wanted = expected(world, needed)
            assert outcome(result) == wanted
            assert len(result) == len(needed)
            assert sorted(world.ran, key=str) == sorted(set(world.ran), key=str)
            place = {step: number for number, step in enumerate(world.ran)}
            for step in world.ran:
                upstream = world.upstream(step)
                assert all(place[up] < place[step] for up in upstream)
                loaded = {
                    (value[0], value[1])
                    for given_value in world.given[step].values()
                    for value in (given_value.values() if isinstance(given_value, dict) else [given_value])
                }
                assert loaded == upstream
            await _again(runtime, world, wanted)

    asyncio.run(run())


async def _again(runtime, world, wanted):
    """What succeeded is reused, what failed runs again and now succeeds, and a third time all is fresh."""
    scene = world.scene
    world.failing = set()
    succeeded = {step for step, status in wanted.items() if status == "succeeded"}
    options = {"partitions": scene.keys, "upstream": True}
    plan = await runtime.plan(scene.target, refresh="missing", **options)
    assert {(s.asset, s.partition_key) for s in plan if s.action == "reuse"} == succeeded
    result = await runtime.backfill(scene.target, refresh="missing", **options)
    second = outcome(result)
    assert {step for step, status in second.items() if status == "reused"} == succeeded
    good = {step for step, status in second.items() if status in ("succeeded", "reused")}
    third = outcome(await runtime.backfill(scene.target, refresh="stale", **options))
    assert {step for step, status in third.items() if status == "reused"} == good
    for step in good:
        assert await runtime.exists(step[0], partition=world.values[step])
        record = (await runtime.history(step[0], partition=world.values[step]))[-1]
        assert {(i.asset, i.partition_key) for i in record.inputs} in (set(), world.upstream(step))
