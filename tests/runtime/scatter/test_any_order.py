"""Items that end in any order, fail, are tried again, skip, or are cancelled in between: what becomes of each."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from flowstone import Each, Pipeline, Retry, RunCancelled, RunFailed, Runtime, Skip
from flowstone.testing import VirtualClock

# What each attempt of an item comes to, the last one for good.
ENDS = st.sampled_from([("ok",), ("fail",), ("skip",), ("again", "ok"), ("again", "fail"), ("again", "skip")])


class Scene:
    """One run over items that end when they are told to."""

    def __init__(self, ends, tolerate, parallel, reads):
        self.ends = ends
        self.tolerate = tolerate
        self.live = {}
        self.most = 0
        self.called = []
        self.pipeline = pipeline = Pipeline("any order")
        numbers = range(len(ends))

        if reads:

            @pipeline.asset(name="source")
            async def reader():
                for number in numbers:
                    yield number
        else:

            @pipeline.asset
            async def source():
                return list(numbers)

        retry = Retry(attempts=2, delay=0.0, on=LookupError)

        @pipeline.asset(each=Each("source", max_parallel=parallel, tolerate=tolerate, retry=retry))
        async def item(source, context):
            self.called.append((source, context.attempt))
            gate = self.live[source] = asyncio.Event()
            self.most = max(self.most, len(self.live))
            try:
                await gate.wait()
            finally:
                del self.live[source]
            match self.ends[source][context.attempt - 1]:
                case "again":
                    raise LookupError(source)
                case "fail":
                    raise ValueError(source)
                case "skip":
                    raise Skip("nothing")
            return source

    def expected(self, number):
        return {"ok": "succeeded", "fail": "failed", "skip": "skipped"}[self.ends[number][-1]]


async def ended(clock, scene, task, order, cancel_after, cancel):
    """End items in this order, and cancel the run after so many of them."""
    told = 0
    while True:
        await clock.settle()
        if task.done():
            return
        if told == cancel_after:
            cancelling = asyncio.create_task(cancel())
            await clock.settle()
            await clock.advance(1)
            await cancelling
            return
        if not scene.live:
            await clock.advance(0.01)
            continue
        waiting = sorted(scene.live)
        scene.live[waiting[order[told] % len(waiting)]].set()
        told += 1


@given(data=st.data())
def test_what_becomes_of_items_does_not_depend_on_their_order(data):
    """Against a small model: which rows there are, how the step ends, and that no more run than may."""
    ends = data.draw(st.lists(ENDS, max_size=8), label="ends")
    tolerate = data.draw(st.integers(0, 3), label="tolerate")
    parallel = data.draw(st.integers(1, 4), label="max_parallel")
    reads = data.draw(st.booleans(), label="reads")
    cancel_after = data.draw(st.none() | st.integers(0, 8), label="cancel after")
    # All at once: an example that is given up in between would leave a run under way.
    order = data.draw(st.lists(st.integers(0, parallel - 1), min_size=16, max_size=16), label="order")
    scene = Scene(ends, tolerate, parallel, reads)

    async def run():
        clock = VirtualClock()
        async with Runtime(scene.pipeline, clock=clock) as runtime:
            handle = await runtime.submit("item")
            task = asyncio.create_task(handle.wait())
            await ended(clock, scene, task, order, cancel_after, handle.cancel)
            try:
                result = await task
                outcome, value = "succeeded", list(await result.value("item"))
            except RunFailed:
                outcome, value = "failed", None
            except RunCancelled:
                outcome, value = "cancelled", None
            return outcome, value, await runtime.items(handle.id, "item", limit=100)

    outcome, value, items = asyncio.run(run())
    found = {item.position: str(item.status) for item in items}
    failing = [number for number in range(len(ends)) if scene.expected(number) == "failed"]
    assert scene.most <= parallel
    assert len(scene.called) == len(set(scene.called))
    assert all(status == scene.expected(number) for number, status in found.items())
    if outcome == "succeeded":
        assert len(found) == len(ends)
        assert len(failing) <= tolerate
        assert value == [number for number in range(len(ends)) if scene.expected(number) == "succeeded"]
    elif outcome == "failed":
        assert sum(status == "failed" for status in found.values()) == tolerate + 1
    else:
        assert cancel_after is not None
