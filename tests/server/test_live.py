"""An open page stays as it would be if it were loaded again."""

from __future__ import annotations

import asyncio

from flowstone import Pipeline, Runtime
from flowstone.server.live import Renderings, fragments


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    return pipeline


async def test_only_what_changed_is_sent():
    """At first everything, then the blocks that differ."""
    values = {"one": "1", "two": "2"}

    async def render():
        return dict(values)

    async with Runtime(shop()) as runtime:
        stream = fragments(Renderings(runtime), "/", render)
        assert await anext(stream) == {"one": "1", "two": "2"}
        values["two"] = "3"
        await runtime.materialize("orders")
        assert await anext(stream) == {"two": "3"}
        await stream.aclose()


async def test_those_who_look_at_the_same_share_one_rendering():
    """Fifty browsers on one page cost what one costs."""
    rendered = 0

    async def render():
        nonlocal rendered
        rendered += 1
        await asyncio.sleep(0)
        return {"one": str(rendered)}

    async with Runtime(shop()) as runtime:
        renderings = Renderings(runtime)
        streams = [fragments(renderings, "/", render) for _ in range(50)]
        first = await asyncio.gather(*(anext(stream) for stream in streams))
        assert (rendered, first) == (1, [{"one": "1"}] * 50)
        for stream in streams:
            await stream.aclose()
        assert renderings.watched == {}


async def test_a_stream_ends_with_its_runtime():
    """A page that is open does not hold up whoever stops the node."""

    async def render():
        return {}

    async with Runtime(shop()) as runtime:
        stream = fragments(Renderings(runtime), "/", render)
        await anext(stream)
        rest = asyncio.create_task(collected(stream))
        await asyncio.sleep(0)
    await rest


async def collected(stream):
    return [each async for each in stream]
