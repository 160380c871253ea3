"""Who shows something is told once that something has happened, until it has looked again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from flowstone import Pipeline, Runtime, StoreUnavailable
from flowstone.server.changes import Changes


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    return pipeline


async def test_all_who_looked_before_are_told():
    """Of many events, too; what happens while one looks is not missed."""
    async with Runtime(shop()) as runtime, AsyncExitStack() as stack:
        changes = Changes(runtime)
        ears = [await stack.enter_async_context(changes.heard()) for _ in range(50)]
        for ear in ears:
            ear.look()
        await runtime.materialize("orders")
        await asyncio.gather(*(ear.wait() for ear in ears))
        ears[0].look()
        waiting = asyncio.create_task(ears[0].wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        await runtime.materialize("orders")
        await waiting
        assert not ears[0].ended


async def test_nothing_is_kept_for_who_does_not_look():
    """However much happens meanwhile, it looks at what is on record then."""
    async with Runtime(shop()) as runtime:
        changes = Changes(runtime)
        async with changes.heard() as ear:
            for _ in range(3):
                await runtime.materialize("orders")
            ear.look()
            assert len(changes._events) == 0
            for _ in range(3):
                ear.look()
                await runtime.materialize("orders")
            await ear.wait()


async def test_one_subscription_is_for_all_and_for_as_long_as_somebody_looks():
    """Whoever comes later finds a new one."""
    async with Runtime(shop()) as runtime:
        changes = Changes(runtime)
        for _ in range(2):
            async with changes.heard(), changes.heard():
                assert (changes.listening, runtime._ctx.stream.statistics().subscribers) == (2, 1)
            assert (changes.listening, runtime._ctx.stream.statistics().subscribers) == (0, 0)


async def test_the_end_of_the_runtime_is_told():
    """Also to who looks only afterwards."""
    async with AsyncExitStack() as stack:
        async with Runtime(shop()) as runtime:
            changes = Changes(runtime)
            ears = [await stack.enter_async_context(changes.heard()) for _ in range(2)]
            ears[0].look()
            waiting = asyncio.create_task(ears[0].wait())
        await waiting
        assert ears[0].ended
        ears[1].look()
        assert ears[1].ended


async def test_who_comes_after_one_that_could_not_listen_hears_all(monkeypatch):
    """A store that does not answer for a moment leaves no half of it."""
    async with Runtime(shop()) as runtime:
        changes = Changes(runtime)

        def refused(changed):
            raise StoreUnavailable("it is away")

        with monkeypatch.context() as patched:
            patched.setattr(runtime, "watch", refused)
            with pytest.raises(StoreUnavailable):
                async with changes.heard():
                    pass
        assert runtime._ctx.stream.statistics().subscribers == 0
        async with changes.heard() as ear:
            ear.look()
            await runtime.materialize("orders")
            await ear.wait()
