"""A plain call of the context that is awaited is refused when it is made, not when the wait is over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowstone import Context
from flowstone.errors import Waiting

AT = datetime(2025, 1, 15, tzinfo=UTC)


async def sleeps(context):
    """As many write it."""
    await context.sleep("nap", 60.0)


async def sleeps_until(context):
    """With the arguments by name."""
    await context.sleep_until(name="nap", instant=AT)


async def approved(context):
    """Within an expression."""
    return (await context.approval("nap", message="May I?")).by


async def signalled(context):
    """With arguments that are unpacked."""
    arguments, options = ["nap"], {"timeout": 5.0}
    return [await context.signal(*arguments, **options)]


async def token(context):
    """The one that waits for nothing."""
    return await context.signal_token("nap")


@pytest.mark.parametrize(
    ("function", "call"),
    [
        (sleeps, "sleep"),
        (sleeps_until, "sleep_until"),
        (approved, "approval"),
        (signalled, "signal"),
        (token, "signal_token"),
    ],
)
async def test_an_awaited_call_is_refused_at_once(function, call):
    """However often the code has run: a hot one has other instructions inside."""
    for _ in range(100):
        with pytest.raises(TypeError) as refusal:
            await function(Context("asset"))
    assert str(refusal.value) == (
        f"context.{call}('nap', …) is a plain call, in async assets as well: leave out the `await` before it."
    )


async def test_it_is_refused_when_the_answer_is_there_as_well():
    """Python's own words for it would not say what to do."""
    with pytest.raises(TypeError, match="leave out the `await`"):
        await sleeps(Context("asset", answers={"nap": ("sleep", None)}))


async def test_a_plain_call_waits_whatever_else_is_awaited_in_its_line():
    """Its own result is what counts."""
    context = Context("asset")

    async def same(value):
        return value

    for _ in range(100):
        with pytest.raises(Waiting):
            await same(context.sleep("nap", 60.0))
        with pytest.raises(Waiting):
            _ = [context.signal("nap") for _ in await same([1])]
        with pytest.raises(Waiting):
            context.approval("nap") or await same(1)
