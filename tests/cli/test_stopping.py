"""Which node stops a cancelled run, and how the command ends one that nobody is left to stop."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowstone.cli.stopping import Stopping
from flowstone.runs.events import StepStarted
from flowstone.runs.records import RunRecord, RunSpec, Status
from flowstone.store import MemoryStore
from flowstone.store.cluster import Beats, Node, WatchedNode
from flowstone.store.protocol import StaleWrite
from flowstone.testing import VirtualClock

NOW = datetime(2025, 1, 1, tzinfo=UTC)
LEASE = 15.0


class Nodes:
    """What nodes share, as far as the command looks at it: nodes that beat, or do not."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.counts: dict[str, int] = {}
        self.pipelines: dict[str, tuple[str, ...]] = {}
        self.beat_at: dict[str, float] = {}

    def beat(self, name: str, *pipelines: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        self.pipelines[name] = pipelines
        self.beat_at[name] = self._clock.monotonic()

    def _age(self, name: str) -> float:
        return self._clock.monotonic() - self.beat_at[name]

    async def nodes(self, *, trees: bool) -> list[WatchedNode]:
        return [
            WatchedNode(
                Node(name, "host", 1, "1", self.pipelines[name], 4, LEASE),
                NOW,
                NOW,
                self._age(name),
                gone=False,
                runs=0,
                clock_skew=0,
            )
            for name in self.counts
        ]

    async def beats(self, pipelines) -> list[Beats]:
        return [Beats(name, n, LEASE, False, self._age(name), 1) for name, n in self.counts.items()]


class World:
    """A run of `gone.py`, of which one step has begun on the node `n`."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.nodes = Nodes(self.clock)
        self.store = MemoryStore()
        self.stopping = Stopping(self.store, self.nodes, self.clock, LEASE)

    async def begin(self) -> None:
        self.nodes.beat("n", "gone")
        run = RunRecord("01", "gone", RunSpec("materialize", "a"), Status.QUEUED, NOW, total=1)
        await self.store.create_run(run)
        claimed = await self.store.claim("01", "n", epoch=run.epoch)
        self.epoch = claimed.epoch
        await self.store.write(self.started("a"), self.epoch)

    def started(self, asset: str) -> StepStarted:
        return StepStarted(NOW, "01", asset, None, 1)

    async def look(self) -> str:
        return await self.stopping.look(await self.run())

    async def run(self) -> RunRecord:
        found = await self.store.run("01")
        assert found is not None
        return found


@pytest.fixture
async def world():
    made = World()
    await made.store.open()
    await made.begin()
    yield made
    await made.store.close()


async def test_a_run_that_nobody_is_left_to_stop_is_ended_when_the_lease_of_its_node_is_over(world):
    """Not before, by the command's own clock; then what had begun is cancelled, and a zombie records nothing."""
    assert "Waiting for the node n to stop run 01" in await world.look()
    await world.clock.advance(LEASE - 1)
    assert "The node n sends no heartbeats: if none comes for 15 s" in await world.look()
    assert not (await world.run()).status.terminal
    await world.clock.advance(1)
    assert await world.look() == "Its node n is gone, and no living node holds 'gone': the run is ended here."
    ended = await world.run()
    assert (ended.status, ended.counts) == (Status.CANCELLED, {"cancelled": 1})
    with pytest.raises(StaleWrite):
        await world.store.write(world.started("b"), world.epoch)


async def test_a_node_that_beats_again_stops_its_run_itself(world):
    """It was only slow; so does another one that holds the pipeline, for as long as it lives."""
    await world.look()
    await world.clock.advance(LEASE - 1)
    world.nodes.beat("n", "gone")
    await world.look()
    await world.clock.advance(1)
    assert "Waiting for the node n to stop" in await world.look()
    world.nodes.beat("m", "gone")
    await world.look()
    await world.clock.advance(LEASE - 1)
    world.nodes.beat("m", "gone")
    await world.look()
    await world.clock.advance(1)
    assert "Waiting for a node to take run 01 (materialize a) over and stop it." in await world.look()
    assert not (await world.run()).status.terminal


async def test_nodes_of_other_pipelines_and_programs_stop_nothing_of_others(world):
    """They live, and would never take the run over."""
    await world.look()
    for _ in range(3):
        await world.clock.advance(LEASE / 2)
        world.nodes.beat("m", "other")
        world.nodes.beat("program")
        await world.look()
    assert (await world.run()).status is Status.CANCELLED


async def test_a_run_that_somebody_takes_over_meanwhile_is_left_to_him(world):
    """The command read its record before: whoever raises the epoch first has it."""
    await world.look()
    before = await world.run()
    await world.clock.advance(LEASE)
    await world.store.claim("01", "m", epoch=before.epoch)
    await world.stopping.look(before)
    taken = await world.run()
    assert (taken.owner, taken.epoch, taken.status.terminal) == ("m", before.epoch + 1, False)
