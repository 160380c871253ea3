"""Whatever is done to the clock, and however often the runtime is restarted: no tick fires twice."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone import Pipeline, RunRequest, Runtime
from flowstone.store import MemoryStore
from flowstone.testing.clock import VirtualClock

MINUTE = 60.0

moves = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.sampled_from([20.0, MINUTE, 7 * MINUTE, 40 * MINUTE])),
        st.tuples(
            st.just("step"), st.sampled_from([-3, -1, 1, 3, 30, -30, 300, -300]).map(lambda n: n * MINUTE)
        ),
        st.tuples(st.sampled_from(["restart", "hold", "let go"]), st.just(0.0)),
    ),
    max_size=14,
)


@given(
    moves,
    st.sampled_from(["skip", "queue", "allow"]),
    st.sampled_from(["last", "skip", "all"]),
)
@settings(max_examples=10, deadline=None)
def test_no_tick_fires_twice(taken, overlap, catch_up):
    """And when the clock goes right for long enough, ticks fire again."""
    fired = Counter()

    async def live():
        clock, store, gate = VirtualClock(), MemoryStore(), asyncio.Event()
        gate.set()

        def pipeline():
            made = Pipeline("p")

            @made.asset
            async def report() -> int:
                await gate.wait()
                return 1

            @made.schedule("minutely", cron="* * * * *", overlap=overlap, catch_up=catch_up)
            async def minutely(tick):
                fired[tick.scheduled_at] += 1
                return RunRequest("report", refresh="all", join=False)

            return made

        async def begin():
            return await Runtime(pipeline(), store=store, clock=clock, automate=True).__aenter__()

        runtime = await begin()
        for what, seconds in taken:
            if what == "advance":
                await clock.advance(seconds)
            elif what == "step":
                clock.step(seconds)
            elif what == "hold":
                gate.clear()
            elif what == "let go":
                gate.set()
            else:
                gate.set()
                await clock.advance(1)
                await runtime.__aexit__(None, None, None)
                runtime = await begin()
        gate.set()
        await clock.advance(500 * MINUTE)
        before = sum(fired.values())
        await clock.advance(10 * MINUTE)
        assert sum(fired.values()) >= before + 9
        await runtime.__aexit__(None, None, None)

    asyncio.run(live())
    assert [tick for tick, count in fired.items() if count > 1] == []
