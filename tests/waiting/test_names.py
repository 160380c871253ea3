"""A name belongs to one wait of one kind: nothing answers another one, and nothing waits for itself."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Context, MaterializationFailed, Pipeline, Retry, Runtime


def approved(context):
    """Ask for what a token of the same name would answer."""
    context.approval("x")


def slept(context):
    """Wait for what such a token would end."""
    context.sleep("x", 60.0)


async def done_once(context):
    """Do what such a token has the place of."""
    await context.once("x", lambda: 1)


@pytest.mark.parametrize(("call", "kind"), [(approved, "approval"), (slept, "sleep"), (done_once, "once")])
@pytest.mark.parametrize("when", ["same attempt", "next attempt"])
async def test_a_token_answers_nothing_but_its_signal(place, call, kind, when):
    """Who has one could approve; and what is done once would not be kept beside it."""
    pipeline = Pipeline("names")

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0, on=(OSError,)))
    async def asked(context: Context) -> int:
        if context.attempt == 1:
            context.signal_token("x")
            if when == "next attempt":
                raise OSError("away")
        result = call(context)
        if result is not None:
            await result
        return 1

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match=f"names a signal of asked already: give the {kind}"):
            await runtime.materialize("asked")
        assert await runtime.approvals(None) == []


async def test_a_token_is_of_no_name_that_was_done_once(place):
    """Nor of one that is being done: in this attempt, or in a former one."""
    pipeline = Pipeline("names")

    @pipeline.asset
    async def before(context: Context) -> int:
        await context.once("x", lambda: 1)
        context.sleep("nap", 0.0)
        context.signal_token("x")
        return 1

    @pipeline.asset
    async def within(context: Context) -> int:
        return len(await context.once("x", context.signal_token, "x"))

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="names a once of before already: give the signal"):
            await runtime.materialize("before")
        with pytest.raises(MaterializationFailed, match="names a signal of within already: give the once"):
            await runtime.materialize("within")


async def test_a_token_of_a_former_attempt_does_not_answer(place, background):
    """The step asks for the signal again, and waits for it."""
    pipeline = Pipeline("names")
    tokens, attempts = [], []

    @pipeline.asset
    async def paid(context: Context) -> int:
        attempts.append(context.attempt)
        if context.attempt == 1:
            tokens.append(context.signal_token("bank"))
            context.sleep("nap", 0.0)
        return context.signal("bank")

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        waiting = background(runtime.materialize("paid"))
        while len(attempts) < 2:
            await asyncio.sleep(0.005)
        await runtime.signal(tokens[0], 42)
        await waiting
        assert await runtime.load("paid") == 42


async def test_what_is_done_once_is_not_done_within_itself():
    """It would wait for itself for ever, or be kept with one result and return another."""
    pipeline = Pipeline("names")

    @pipeline.asset
    async def awaited(context: Context) -> int:
        async def again():
            return (await asyncio.gather(context.once("x", lambda: 1)))[0] + 1

        return await context.once("x", again)

    @pipeline.asset
    def called(context: Context) -> int:
        return context.once_sync("x", lambda: context.once_sync("x", lambda: 1) + 1)

    @pipeline.asset
    async def nested(context: Context) -> int:
        async def other():
            return await context.once("y", lambda: 1) + 1

        return await context.once("x", other)

    async with asyncio.timeout(200), Runtime(pipeline) as runtime:
        for name in ("awaited", "called"):
            with pytest.raises(MaterializationFailed, match=r"once\('x'\) is called within itself"):
                await runtime.materialize(name)
        await runtime.materialize("nested")
        assert await runtime.load("nested") == 2
