"""What the owner of a run does with its leases, in the order it does it."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace

from flowstone.runs.commands import StartStep
from flowstone.runs.events import StepRetried
from flowstone.runtime.cluster.step_leases import StepLeases
from tests.store.facts import FAILURE, at, end

KEY = ("raw", "a")


class Leases:
    """The part of a cluster that StepLeases uses: what is granted, and one end, told at the first look."""

    def __init__(self):
        self.held = {}
        self.ends = [StepRetried(at(1), "run-1", *KEY, 1, FAILURE, 0.0)]
        self.asked = 0

    async def grant(self, leases):
        self.held.update({(lease.asset, lease.partition_key): lease for lease in leases})

    async def delete_leases(self, run_id, keys):
        for key in keys:
            self.held.pop(key, None)

    async def endings(self, run_id, attempts):
        self.asked += 1
        await asyncio.sleep(0)
        ends, self.ends = self.ends, []
        return ends


def lending(cluster, tasks, ended):
    """The leases of a run of one step, which goes to another node whenever it can."""
    run = SimpleNamespace(
        record=SimpleNamespace(id="run-1", epoch=0, pipeline="p", request=SimpleNamespace(kind="backfill")),
        plan=SimpleNamespace(step=lambda _: (KEY[0], None, KEY[1])),
    )
    ctx = SimpleNamespace(
        node="me",
        settings=SimpleNamespace(max_concurrency=0, cancel_timeout=1),
        peers=SimpleNamespace(all_alive=list, gone=lambda _: False, alone=lambda _: False),
        notifications=SimpleNamespace(on=lambda *_: nullcontext()),
        learn=lambda _events: None,
        clock=SimpleNamespace(monotonic=lambda: 0.0),
    )
    leases = StepLeases(
        ctx,
        cluster,
        run,
        start=lambda work: tasks.append(asyncio.create_task(work)),
        ended=ended,
        lost=None,
        refused=None,
    )
    leases._may_travel = lambda _: True
    leases._place = lambda *_: "other"
    return leases


async def test_a_step_that_is_lent_again_keeps_its_new_lease():
    """Also when there is more to look at before the old lease is deleted: the new one has taken its place."""
    cluster, tasks = Leases(), []

    def lend_again(events, steps):
        assert leases.takes(StartStep(0, 2), 0)
        leases._to_look = True  # A notification came in.
        leases.flush()

    leases = lending(cluster, tasks, lend_again)
    assert leases.takes(StartStep(0, 1), 0)
    leases._to_look = True
    leases.flush()
    await asyncio.gather(*tasks)
    assert cluster.asked == 2
    assert cluster.held[KEY].attempt == 2


async def test_the_record_of_an_attempt_before_ends_the_one_that_is_lent():
    """It was taken for lost and recorded its success before the next one began, which can record nothing now."""
    cluster, tasks, ended = Leases(), [], []
    cluster.ends = [end(*KEY)]
    leases = lending(cluster, tasks, lambda events, steps: ended.append((events[0], steps)))
    assert leases.takes(StartStep(0, 2), 0)
    leases._to_look = True
    leases.flush()
    await asyncio.gather(*tasks)
    ((event, steps),) = ended
    assert (event.attempt, event.materialization, steps) == (2, end(*KEY).materialization, [0])
