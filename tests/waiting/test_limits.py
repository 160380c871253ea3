"""What is handed to steps that wait may have a megabyte: exactly, on every store, and over a restart."""

from __future__ import annotations

import asyncio
import json

import pytest

from flowstone import Context, MaterializationFailed, Pipeline
from flowstone.assets.json_values import MOST_BYTES
from tests.waiting.test_decisions import parked

CHARACTERS = ["x", "ä", "€", "𝄞", '"', "\n"]
"""One for each number of bytes that UTF-8 has, and such as JSON escapes."""


def payload(character: str, size: int) -> str:
    """A text whose JSON has as many bytes, mostly of one character."""
    each = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    count, rest = divmod(size - 2, each)
    text = character * count + "." * rest
    assert len(json.dumps(text, ensure_ascii=False).encode()) == size
    return text


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
async def test_exactly_a_megabyte_is_kept_and_a_byte_more_refused(place, character):
    """As the data of a decision, as the payload of a signal, and as what was done once."""
    largest, larger = payload(character, MOST_BYTES), payload(character, MOST_BYTES + 1)
    pipeline = Pipeline("large")
    tokens, refused = [], []

    @pipeline.asset
    async def large(context: Context) -> list[bool]:
        try:
            await context.once("more", lambda: larger)
        except ValueError as error:
            refused.append(str(error))
        done = await context.once("done", lambda: largest)
        decided = context.approval("ask", data={"none": None})
        await context.once("token", tokens.append, context.signal_token("bank"))
        return [done == largest, decided.data == largest, context.signal("bank") == largest]

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        run = await runtime.submit("large")
        await parked(runtime)
        (asked,) = await runtime.approvals()
        words = f"is {MOST_BYTES + 1:,} bytes of JSON, more than {MOST_BYTES:,}"
        assert words in refused[0]
        with pytest.raises(ValueError, match=words):
            await runtime.approve(asked.id, by="ada", data=larger)
        await runtime.approve(asked.id, by="ada", data=largest)
        while not tokens:
            await asyncio.sleep(0.005)
        with pytest.raises(ValueError, match=words):
            await runtime.signal(tokens[0], larger)
        await parked(runtime)
        if place.name == "memory":
            await runtime.signal(tokens[0], largest)
            await run.wait()
            assert await runtime.load("large") == [True, True, True]
    if place.name != "memory":
        async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
            await runtime.signal(tokens[0], largest)
            await (await runtime.run(run.id)).wait()
            assert await runtime.load("large") == [True, True, True]


async def test_what_is_too_large_to_ask_is_refused(place):
    """The data of an approval: the step fails, and nobody is asked."""
    pipeline = Pipeline("large")

    @pipeline.asset
    async def exact(context: Context) -> str:
        return context.approval("ask", data=payload("x", MOST_BYTES)).by

    @pipeline.asset
    async def more(context: Context) -> str:
        return context.approval("ask", data=payload("x", MOST_BYTES + 1)).by

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed, match="more than 1,000,000"):
            await runtime.materialize("more")
        assert await runtime.approvals() == []
        await runtime.submit("exact")
        await parked(runtime)
        (asked,) = await runtime.approvals()
        assert asked.data == payload("x", MOST_BYTES)
        await runtime.approve(asked.id, by="ada")
