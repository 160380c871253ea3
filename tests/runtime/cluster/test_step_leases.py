"""What the owner of a run does with its leases, in the order it does it."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace

from flowstone.runs.commands import StartStep
from flowstone.runs.events import StepRetried
from flowstone.runtime.cluster.step_leases import StepLeases
from tests.store.facts import FAILURE, at

KEY = ("raw", "a")


class Leases:
    """The part of a cluster that StepLeases uses: what is granted, and one end, told at the first look."""

    def __init__(self):
        self.held = {}
        self.ends = [StepRetried(at(1), "run-1", *KEY, 1, FAILURE, 0.0)]
        self.asked = 0

    async def grant(self, leases):
        self.held.update({(lease.asset, lease.partition_key): lease for lease in leases})

    async def settle(self, run_id, keys):
        for key in keys:
            self.held.pop(key, None)

    async def endings(self, run_id, attempts):
        self.asked += 1
        await asyncio.sleep(0)
        ends, self.ends = self.ends, []
        return ends


async def test_a_step_that_is_lent_again_keeps_its_new_lease():
    """Also when there is more to look at before the old lease is deleted: the new one has taken its place."""
    cluster, tasks = Leases(), []
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

    def lend_again(events, steps):
        assert leases.takes(StartStep(0, 2), 0)
        leases._to_look = True  # A notification came in.
        leases.flush()

    leases = StepLeases(
        ctx,
        cluster,
        run,
        start=lambda work: tasks.append(asyncio.create_task(work)),
        ended=lend_again,
        lost=None,
        refused=None,
    )
    leases._may_travel = lambda _: True
    leases._place = lambda *_: "other"
    assert leases.takes(StartStep(0, 1), 0)
    leases._to_look = True
    leases.flush()
    await asyncio.gather(*tasks)
    assert cluster.asked == 2
    assert cluster.held[KEY].attempt == 2
