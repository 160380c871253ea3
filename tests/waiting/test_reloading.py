"""The definitions of a pipeline change while its steps wait: what becomes of the waits that are open."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from flowstone import (
    AlreadyDecided,
    Context,
    Pipeline,
    RunFailed,
    StaticPartitions,
    TokenExpired,
    TokenUsed,
)
from tests.waiting.test_decisions import parked


def asking(name="published", wait="publish", call="approval", partitions=None):
    """A pipeline with one asset, which waits for one thing; and what its attempts saw."""
    pipeline = Pipeline("changing")
    pipeline.seen = []
    pipeline.tokens = []

    @pipeline.asset(name=name, partitions=partitions)
    async def waits(context: Context) -> str:
        pipeline.seen.append(context.attempt)
        match call:
            case "approval":
                return context.approval(wait).by
            case "sleep":
                context.sleep(wait, 0.01)
                return "slept"
            case "signal":
                pipeline.tokens.append(context.signal_token(wait))
                return context.signal(wait)
            case _:
                return "nothing to wait for"

    return pipeline


async def approved(runtime):
    """Approve what is pending, once it is."""
    await parked(runtime)
    (asked,) = await runtime.approvals()
    return await runtime.approve(asked.id, by="ada")


@asynccontextmanager
async def changed(place, how, before, after, **request):
    """A runtime and a run of a pipeline that waited, and was changed then: by a reload, or over a restart."""
    async with asyncio.timeout(200), AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(place.runtime(before))
        run = await runtime.submit(next(iter(before.assets)), **request)
        await parked(runtime)
        if how == "reload":
            await runtime.reload(after)
        else:
            await stack.aclose()
            runtime = await stack.enter_async_context(place.runtime(after))
        yield runtime, await runtime.run(run.id)


either = pytest.mark.parametrize("how", ["reload", "restart"])


@either
async def test_an_asset_that_is_gone_fails_its_run_when_it_is_woken(place, how):
    """No other asset is run instead. In a database the run waits for a node that has the asset."""
    before, after = asking(), asking("released")
    async with changed(place, how, before, after) as (runtime, run):
        assert (await approved(runtime)).status == "approved"
        if place.name == "postgres":
            assert not (await run.status()).terminal
            await runtime.reload(before)
            assert await (await run.wait()).value() == "ada"
        else:
            with pytest.raises(RunFailed, match="no asset 'published' any more"):
                await run.wait()
        assert await runtime.approvals() == []
        assert after.seen == []


@either
@pytest.mark.parametrize("approve", [True, False])
async def test_a_wait_that_has_another_name_is_asked_anew(place, how, approve):
    """What was decided under the former name wakes the step, or fails it, and is asked for no more."""
    after = asking(wait="release")
    async with changed(place, how, asking(), after) as (runtime, run):
        (asked,) = await runtime.approvals()
        if not approve:
            await runtime.reject(asked.id, by="ada")
            with pytest.raises(RunFailed, match="approval 'publish': rejected by ada"):
                await run.wait()
            assert after.seen == []
            return
        await runtime.approve(asked.id, by="ada")
        while not (found := await runtime.approvals()):
            await asyncio.sleep(0.005)
        assert [each.name for each in found] == ["release"]
        with pytest.raises(AlreadyDecided):
            await runtime.reject(asked.id, by="bob")
        await runtime.approve(found[0].id, by="bob")
        assert await (await run.wait()).value() == "bob"


@either
@pytest.mark.parametrize("call", ["sleep", "signal"])
async def test_a_name_that_is_of_another_kind_now_is_refused(place, how, call):
    """The answer of one kind is never taken for that of another."""
    after = asking(call=call)
    async with changed(place, how, asking(), after) as (runtime, run):
        await approved(runtime)
        with pytest.raises(RunFailed, match="'publish'") as caught:
            await run.wait()
        assert "approval" in caught.value.failures[0].failure.message
        for token in after.tokens:
            with pytest.raises(TokenExpired):
                await runtime.signal(token, 1)


@either
async def test_an_asset_that_waits_no_more_goes_on(place, how):
    """As soon as it is woken."""
    after = asking(call="nothing")
    async with changed(place, how, asking(), after) as (runtime, run):
        await approved(runtime)
        assert await (await run.wait()).value() == "nothing to wait for"
        assert after.seen == [2]


@either
async def test_a_token_that_was_handed_out_before_is_good_after(place, how):
    """By whatever attempt."""
    before, after = asking(call="signal"), asking(call="signal")
    async with changed(place, how, before, after) as (runtime, run):
        await runtime.signal(before.tokens[0], "paid")
        assert await (await run.wait()).value() == "paid"
        with pytest.raises(TokenUsed):
            await runtime.signal(after.tokens[0], "again")


@either
async def test_a_partition_that_is_gone_ends_with_its_run(place, how):
    """Or its asset has no partitions any more: nothing is computed for a key that there is not."""
    before = asking(partitions=StaticPartitions(["a", "b"]))
    after = asking(partitions=StaticPartitions(["b"]))
    async with changed(place, how, before, after, partition="a") as (runtime, run):
        await approved(runtime)
        with pytest.raises(RunFailed, match="has no a any more"):
            await run.wait()
        assert after.seen == []
