"""Rates: steps of all runs, and what functions do, one after another at even intervals."""

from __future__ import annotations

import asyncio
import pickle
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import Context, DefinitionError, Each, FileIO, MemoryIO, Pipeline, Runtime, StaticPartitions
from flowstone.runtime.execution.subprocess_main import _refuse_turn
from flowstone.runtime.services.rates import Rates
from flowstone.testing.clock import VirtualClock


@pytest.fixture(params=["memory", "file"])
def place(request, tmp_path):
    """The options of a runtime, for one store after the other."""
    if request.param == "memory":
        return {"store": "memory://"}
    return {"store": f"file://{tmp_path / 'store'}", "io": {"default": FileIO(tmp_path / "values")}}


async def finished(clock, *tasks):
    """The results of tasks, while the clock goes on."""
    while not all(task.done() for task in tasks):
        await clock.advance(0.05)
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks)


def calls(clock, **options):
    """An asset of five partitions that says when each began; and where."""
    begun = []
    pipeline = Pipeline("calls")
    pipeline.rate("api", limit=2, per=1.0)

    @pipeline.asset(partitions=StaticPartitions(list("abcde")), **options)
    async def call(context: Context) -> str:
        if not options:
            async with context.limit("api"):
                begun.append(clock.monotonic())
        else:
            begun.append(clock.monotonic())
        return context.partition

    return pipeline, begun


@pytest.mark.parametrize("options", [{"rate": "api"}, {}], ids=["asset", "function"])
async def test_a_rate_is_kept_by_all_runs_together(place, background, options):
    """Two a second are half a second apart, whichever run they belong to."""
    clock = VirtualClock()
    pipeline, begun = calls(clock, **options)
    async with Runtime(pipeline, clock=clock, **place) as runtime:
        runs = [background(runtime.materialize("call", partition=key)) for key in "abc"]
        await finished(clock, *runs, background(runtime.backfill("call", partitions=["d", "e"])))
        if options:  # The function begins when its start is on record; what has its turn is the step.
            records = [(await runtime.history("call", partition=key))[0] for key in "abcde"]
            begun = sorted(record.started_at.timestamp() for record in records)
    assert len(begun) == 5
    assert all(later - earlier >= 0.45 for earlier, later in pairwise(begun))
    if place["store"] == "memory://":  # What is written to disk takes real time, in which the clock goes on.
        assert begun[-1] - begun[0] <= 2.1


async def test_items_keep_to_the_rate_one_by_one(background):
    """Not the step that goes through them."""
    clock = VirtualClock()
    begun = []
    pipeline = Pipeline("calls")
    pipeline.rate("api", limit=10, per=1.0)

    @pipeline.asset
    async def numbers() -> list[int]:
        return list(range(5))

    @pipeline.asset(each=Each("numbers", max_parallel=8), rate="api")
    async def page(numbers: int) -> int:
        begun.append(clock.monotonic())
        return numbers

    async with Runtime(pipeline, clock=clock, io={"default": MemoryIO()}) as runtime:
        await finished(clock, background(runtime.materialize_all("page")))
    assert len(begun) == 5
    assert begun[-1] - begun[0] >= 0.4 - 0.021


async def test_a_run_that_is_cancelled_while_it_waits_for_its_turn_takes_none(place, background):
    """The next one has it."""
    clock = VirtualClock()
    pipeline, begun = calls(clock, rate="api")
    async with Runtime(pipeline, clock=clock, **place) as runtime:
        first, *cancelled, last = [await runtime.submit("call", partition=key) for key in "abcd"]
        for run in cancelled:
            await run.cancel()
        await finished(clock, background(first.wait()), background(last.wait()))
    assert len(begun) == 2


def test_what_cannot_be_kept_is_refused_at_definition():
    """With the line and the remedy."""
    pipeline = Pipeline()
    for limit in (0, -1, 1.5, True, None):
        with pytest.raises(DefinitionError, match="takes a whole number, at least 1"):
            pipeline.rate("api", limit=limit)
    for per in (0, -1, float("nan"), float("inf"), "1", None, True):
        with pytest.raises(DefinitionError, match="takes seconds, at most a year"):
            pipeline.rate("api", limit=1, per=per)
    with pytest.raises(DefinitionError, match="takes a name"):
        pipeline.rate("", limit=1)
    pipeline.rate("api", limit=10)
    pipeline.rate("api", limit=10, per=1)
    with pytest.raises(DefinitionError, match="give it one"):
        pipeline.rate("api", limit=11)
    with pytest.raises(DefinitionError, match=r"there is no rate 'apo'.*'api'.*pipeline.rate"):

        @pipeline.asset(rate="apo")
        async def asset():
            pass


async def test_a_function_that_asks_for_no_rate_is_told():
    """What there is, and how it is made."""
    pipeline = Pipeline()
    pipeline.rate("api", limit=10)
    told = []

    @pipeline.asset
    async def wrong(context: Context) -> int:
        with pytest.raises(ValueError, match=r"There is no rate 'apo'.*'api'.*pipeline.rate") as caught:
            async with context.limit("apo"):
                pass
        told.append(caught)
        return 1

    @pipeline.asset
    def synchronous(context: Context) -> int:
        with pytest.raises(ValueError, match="make the function async") as caught:
            context.limit("api")
        told.append(caught)
        return 1

    async with Runtime(pipeline) as runtime:
        await runtime.materialize("wrong")
        await runtime.materialize("synchronous")
    assert len(told) == 2
    with pytest.raises(ValueError, match="in another process"):
        pickle.loads(pickle.dumps(_refuse_turn))("api")
    async with Context("alone").limit("api"):  # In a test of the function nothing waits.
        pass


class LateClock(VirtualClock):
    """A clock whose timers ring late, each by as much as chance has it."""

    def __init__(self, random, most):
        super().__init__()
        self._random, self._most = random, most

    def call_later(self, seconds, callback):
        return super().call_later(seconds + self._random.uniform(0.0, self._most), callback)


@pytest.mark.parametrize("late", [0.0, 0.001, 0.009])
async def test_a_minute_has_its_turns_and_no_second_more_than_its_limit(late):
    """However late the loop is each time: 100 a second are reached within 2 %, and never exceeded."""
    clock = LateClock(Random(1), late)
    rates = Rates(clock)
    rates.define([("api", 100, 1.0)])
    turns = []

    def ask():
        who = object()
        rates.ask("api", who, 0, lambda: go(who))

    def go(who):
        turns.append(clock.monotonic())
        ask()
        rates.started("api", who)

    ask()
    await clock.advance(60)
    assert 6_001 * 0.98 <= len(turns) <= 6_001
    assert all(last - first >= 1.0 - 1e-6 for first, last in zip(turns, turns[100:], strict=False))


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2), st.booleans()), max_size=30),
    st.integers(1, 10),
)
def test_no_period_has_more_turns_than_its_limit_and_none_is_lost(arrivals, limit):
    """Whoever comes when; those who give up have none, and nobody overtakes a higher priority."""

    async def try_it():
        clock = VirtualClock()
        rates = Rates(clock)
        rates.define([("api", limit, 1.0)])
        turns = []

        def go(who):
            turns.append((clock.monotonic(), who))
            rates.started("api", who)

        stay = 0
        for number, (wait, priority, gives_up) in enumerate(arrivals):
            await clock.advance(wait / 10)
            rates.ask("api", number, priority, lambda number=number: go(number))
            if gives_up and number not in [who for _, who in turns]:
                rates.withdraw("api", number)
            else:
                stay += 1
        await clock.advance(40)
        assert len(turns) == len({who for _, who in turns}) == stay
        instants = [at for at, _ in turns]
        for first, last in zip(instants, instants[limit:], strict=False):
            assert last - first >= 1.0 - 1e-6

    asyncio.run(try_it())
