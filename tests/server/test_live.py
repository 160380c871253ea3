"""An open page stays as it would be if it were loaded again."""

from __future__ import annotations

import asyncio
import re

import pytest

from flowstone import Pipeline, Runtime
from flowstone.server.live import Renderings, fragments


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    return pipeline


def partials(message: str) -> dict[str, str]:
    """The blocks in a message."""
    assert message.endswith("\n\n")
    return dict(
        re.findall(r'<hx-partial hx-target="#(\w+)" hx-swap="innerMorph">(.*?)</hx-partial>', message)
    )


async def test_only_what_changed_is_sent():
    """At first everything, then the blocks that differ."""
    values = {"one": "1", "two": "2"}

    async def render():
        return dict(values)

    async with Runtime(shop()) as runtime:
        stream = fragments(Renderings(runtime), "/", render)
        assert partials(await anext(stream)) == {"one": "1", "two": "2"}
        values["two"] = "3"
        await runtime.materialize("orders")
        assert partials(await anext(stream)) == {"two": "3"}
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
        assert (rendered, [partials(each) for each in first]) == (1, [{"one": "1"}] * 50)
        assert len({id(each) for each in first}) == 1
        for stream in streams:
            await stream.aclose()
        assert renderings.watched == {}


async def test_what_is_sent_goes_on_from_what_this_browser_has_seen():
    """One that was slow has missed a rendering, and gets what that one changed as well."""
    values = {"one": "1", "two": "1", "three": "1"}

    async def render():
        return dict(values)

    async with Runtime(shop()) as runtime:
        renderings = Renderings(runtime)
        quick, slow = (fragments(renderings, "/", render) for _ in range(2))
        await anext(quick), await anext(slow)
        values["one"] = "2"
        await runtime.materialize("orders")
        assert partials(await anext(quick)) == {"one": "2"}
        values["two"] = "2"
        await runtime.materialize("orders")
        assert partials(await anext(quick)) == {"two": "2"}
        assert partials(await anext(slow)) == {"one": "2", "two": "2"}
        for stream in (quick, slow):
            await stream.aclose()


@pytest.mark.parametrize(
    ("takes", "many", "pace"),
    [
        (0.0, 1, 0.1),
        (0.003, 1, 0.1),
        (0.008, 1, 0.205),
        (0.008, 20, 0.3),
        (0.0, 50, 0.25),
        (0.0, 500, 0.4),
        (3, 1, 0.4),
    ],
)
async def test_what_takes_long_or_many_look_at_is_sent_less_often(takes, many, pace):
    """So that pages take one part in 25 of the time; but never more than 0.4 seconds apart."""
    loop = asyncio.get_running_loop()

    async def render():
        now = loop.time() + takes
        loop.time = lambda: now  # type: ignore[method-assign] # for this one look
        return {}

    async with Runtime(shop()) as runtime:
        renderings = Renderings(runtime)
        for _ in range(many):
            renderings.enter("/")
        try:
            await renderings.since("/", loop.time(), render)
        finally:
            del loop.time
        assert renderings.pace("/", 0.1) == pytest.approx(pace, abs=0.002)
        assert renderings.pace("/", 0.5) == 0.5


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
