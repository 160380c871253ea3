"""Two nodes of one database answer the same step in the same moment: one of them is heard, and one goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

from flowstone import (
    AlreadyDecided,
    Context,
    Pipeline,
    RunCancelled,
    RunFailed,
    Runtime,
    StaticPartitions,
    TokenExpired,
    TokenUsed,
)

ROUNDS = 24
PARTS = StaticPartitions([f"p{number}" for number in range(ROUNDS)])


def asking():
    """A pipeline whose steps wait for an approval, or a signal; what they went on with, and where."""
    pipeline = Pipeline("asking")
    pipeline.went_on, pipeline.tokens = Counter(), {}

    @pipeline.asset(partitions=PARTS)
    async def published(context: Context) -> str:
        decision = context.approval("publish")
        pipeline.went_on[context.partition] += 1
        return decision.by

    @pipeline.asset(partitions=PARTS)
    async def paid(context: Context) -> str:
        token = context.signal_token("bank")
        await context.once("ask", pipeline.tokens.__setitem__, context.partition, token)
        payload = context.signal("bank")
        pipeline.went_on[context.partition] += 1
        return payload

    return pipeline


@asynccontextmanager
async def two_nodes(database, pipeline):
    async with asyncio.timeout(200), AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Runtime(pipeline, store=database, shutdown_timeout=0.5))
            for _ in range(2)
        ]


async def won(call):
    """Whether a call was the one that counted."""
    try:
        await call
    except (AlreadyDecided, TokenUsed, TokenExpired):
        return False
    return True


async def waiting(node, asset):
    """One run for each partition, once all are parked."""
    runs = {part: await node.submit(asset, partition=part) for part in PARTS}
    while len(await node.runs(status="waiting")) < ROUNDS:
        await asyncio.sleep(0.01)
    return runs


async def test_of_those_who_decide_one_is_heard(database):
    """Two approve, two reject and one cancels, each on a node of its own, in another order each time."""
    pipeline = asking()
    async with two_nodes(database, pipeline) as (one, other):
        runs = await waiting(one, "published")
        asked = {each.partition: each.id for each in await other.approvals()}

        async def decided(number, part):
            calls = [
                one.approve(asked[part], by="one"),
                other.approve(asked[part], by="other"),
                one.reject(asked[part], by="one"),
                other.reject(asked[part], by="other"),
            ]
            turned = calls[number % 4 :] + calls[: number % 4]
            stopped = [(await other.run(runs[part].id)).cancel()] if number % 3 == 0 else []
            heard = await asyncio.gather(*map(won, turned), *stopped)
            return [heard[:4][(at - number) % 4] for at in range(4)]

        for number, part in enumerate(PARTS):
            heard = await decided(number, part)
            assert sum(heard) <= 1
            try:
                value, failed = await (await runs[part].wait()).value(), None
            except RunFailed as error:
                value, failed = None, error.failures[0].failure
            except RunCancelled:
                assert number % 3 == 0
                continue
            assert sum(heard) == 1
            if heard.index(True) < 2:
                assert value == ("one", "other")[heard.index(True)]
            else:
                assert failed.kind == "rejected"
                assert ("rejected by one", "rejected by other")[heard.index(True) - 2] in failed.message
    assert set(pipeline.went_on.values()) <= {1}


async def test_of_two_signals_one_is_heard(database):
    """Its payload is what the step goes on with; a token that was used is used on every node."""
    pipeline = asking()
    async with two_nodes(database, pipeline) as (one, other):
        runs = await waiting(one, "paid")
        for number, part in enumerate(PARTS):
            nodes = (one, other) if number % 2 else (other, one)
            token = pipeline.tokens[part]
            heard = await asyncio.gather(
                *(won(node.signal(token, name)) for name, node in zip("ab", nodes, strict=True))
            )
            assert sum(heard) == 1
            assert await (await runs[part].wait()).value() == "ab"[heard.index(True)]
            assert not await won(other.signal(token, "late"))
    assert set(pipeline.went_on.values()) == {1}
