"""Assets that do not stop: each says when it has begun, and then does what it can to go on.

Fresh ones for each test, on a `Stage` that tells when one has begun and lets what is left of it end.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context

import anyio
import anyio.lowlevel
import anyio.to_thread

from flowstone import Pipeline

__all__ = ["ASSETS", "LEAVE_TASKS", "LEAVE_THREADS", "Stage"]


class Stage:
    """Where a misbehaving asset performs.

    Attributes:
        begun: Set when it is past the point where stopping it would be easy.
        over: Set at the end of the test; whatever still runs ends then.
        steps: Counted up by assets that go on and on.
        late: What assets did after they had been told to stop.
        own: Tasks of the stage itself.
    """

    def __init__(self):
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self.thread_over = threading.Event()
        self.steps = 0
        self.late = []
        self.own = set()
        self.loop = asyncio.get_running_loop()

    def begin(self):
        """From the loop or a thread: it has begun."""
        self.loop.call_soon_threadsafe(self.begun.set)

    def end(self):
        """Let everything end."""
        self.over.set()
        self.thread_over.set()

    async def stubborn(self):
        """Never stop, whatever is raised here, until the test is over."""
        while not self.over.is_set():
            try:
                await self.over.wait()
            except BaseException:
                self.steps += 1

    def pipeline(self, **options):
        """All of them, and one that behaves. `options` are those of the misbehaving ones."""
        made = Pipeline("misbehaving")
        for name, function in ASSETS.items():
            made.asset(_bound(name, function, self), name=name, **options)

        @made.asset
        async def healthy():
            return "well"

        return made


def _bound(name, function, stage):
    if asyncio.iscoroutinefunction(function):

        async def asset():
            return await function(stage)

    else:

        def asset():
            return function(stage)

    asset.__name__ = name
    return asset


async def waits(stage):
    """The polite one."""
    stage.begin()
    await asyncio.Event().wait()


async def swallows(stage):
    """Swallows every exception, for ever."""
    stage.begin()
    await stage.stubborn()
    return "late"


async def spins(stage):
    """The same without ever waiting for long."""
    stage.begin()
    while not stage.over.is_set():
        try:
            await asyncio.sleep(0)
        except BaseException:
            stage.steps += 1
    return "late"


async def swallows_once(stage):
    """Takes the cancel for a hint and returns a value."""
    stage.begin()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "late"


async def loops_in_finally(stage):
    """Begins to clean up, and never ends."""
    try:
        stage.begin()
        await asyncio.Event().wait()
    finally:
        await stage.stubborn()


async def cleans_up_slowly(stage):
    """Waits in `finally`, and would obey a second cancel."""
    try:
        stage.begin()
        await asyncio.Event().wait()
    finally:
        await asyncio.Event().wait()


async def raises_in_finally(stage):
    """Ends the cancel in another exception."""
    try:
        stage.begin()
        await asyncio.Event().wait()
    finally:
        raise SystemExit("instead")


async def shields(stage):
    """Waits behind a shield for something that never stops."""
    stage.begin()
    await asyncio.shield(asyncio.create_task(stage.stubborn()))


async def shields_again(stage):
    """Waits behind a shield, again and again."""
    inner = asyncio.create_task(stage.stubborn())
    stage.begin()
    while not inner.done():
        try:
            await asyncio.shield(inner)
        except asyncio.CancelledError:
            stage.steps += 1


async def shields_by_anyio(stage):
    """Waits in anyio's shielded scope."""
    with anyio.CancelScope(shield=True):
        stage.begin()
        await stage.stubborn()


async def spawns(stage):
    """Starts tasks that have tasks, and waits for none of them."""

    async def family(depth):
        if depth:
            asyncio.create_task(family(depth - 1))  # noqa: RUF006 - that is what is wrong with it
            asyncio.create_task(family(depth - 1))  # noqa: RUF006 - as above
        await asyncio.Event().wait()

    await asyncio.sleep(0)
    asyncio.create_task(family(3))  # noqa: RUF006 - as above
    for _ in range(6):
        await asyncio.sleep(0)
    stage.begin()
    await asyncio.Event().wait()


async def spawns_stubborn(stage):
    """Starts a task that never stops, and waits politely."""
    child = asyncio.create_task(stage.stubborn(), name="stubborn child")
    await asyncio.sleep(0)
    stage.begin()
    await asyncio.Event().wait()
    return child


async def hydra(stage):
    """For each task that is cancelled, another one is started."""

    async def head():
        try:
            await stage.over.wait()
        finally:
            if not stage.over.is_set():
                stage.steps += 1
                asyncio.create_task(head(), name="head")  # noqa: RUF006 - as above

    asyncio.create_task(head(), name="head")  # noqa: RUF006 - as above
    await asyncio.sleep(0)
    stage.begin()
    await asyncio.Event().wait()


async def task_group(stage):
    """A group of tasks, one of which swallows its cancel."""
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.Event().wait())
        group.create_task(stage.stubborn(), name="stubborn child")
        await asyncio.sleep(0)
        stage.begin()


async def polite_task_group(stage):
    """A group of tasks that would stop."""
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.Event().wait())
        group.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        stage.begin()


async def anyio_group(stage):
    """A group of anyio's, which cancels again and again."""
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        group.start_soon(anyio.sleep_forever)
        await anyio.lowlevel.checkpoint()
        stage.begin()


async def generator_half_way(stage):
    """Hangs in the `finally` of an async generator that it has not finished."""

    async def numbers():
        try:
            while True:
                yield 1
        finally:
            await stage.stubborn()

    async for _ in numbers():
        stage.begin()
        await asyncio.Event().wait()


class Deaf(asyncio.Future):
    """A future that says it was cancelled and was not."""

    def cancel(self, msg=None):
        return True


async def awaits_a_liar(stage):
    """Waits for a future that cannot be cancelled."""
    future = Deaf()
    stage.own.add(stage.loop.create_task(_later(stage.over, future), context=Context()))
    stage.begin()
    await future


async def _later(event, future):
    await event.wait()
    future.set_result(None)


class Sticky:
    """An awaitable that survives whatever is thrown into it."""

    def __init__(self, stage):
        self.stage = stage

    def __await__(self):
        while not self.stage.over.is_set():
            try:
                yield
            except BaseException:
                self.stage.steps += 1


async def awaits_something_sticky(stage):
    """Waits for an awaitable of its own making."""
    stage.begin()
    await Sticky(stage)


async def cancels_itself_and_stays(stage):
    """Cancels itself, and swallows that."""
    asyncio.current_task().cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        asyncio.current_task().cancel()
        stage.begin()
    await stage.stubborn()


async def borrows_a_thread(stage):
    """Waits for a thread of anyio's, which does not let go of it."""
    stage.begin()
    await anyio.to_thread.run_sync(stage.thread_over.wait)


def blocks(stage):
    """Blocks its thread."""
    stage.begin()
    stage.thread_over.wait()
    return "late"


def blocks_and_raises(stage):
    """Blocks its thread and raises when it is too late."""
    stage.begin()
    stage.thread_over.wait()
    raise SystemExit("late")


def blocks_with_a_loop(stage):
    """Runs an event loop of its own in its thread."""

    async def inside():
        stage.begin()
        while not stage.thread_over.is_set():
            await asyncio.sleep(0.001)

    asyncio.run(inside())
    return "late"


ASSETS = {
    function.__name__: function
    for function in (
        waits,
        swallows,
        spins,
        swallows_once,
        loops_in_finally,
        cleans_up_slowly,
        raises_in_finally,
        shields,
        shields_again,
        shields_by_anyio,
        spawns,
        spawns_stubborn,
        hydra,
        task_group,
        polite_task_group,
        anyio_group,
        generator_half_way,
        awaits_a_liar,
        awaits_something_sticky,
        cancels_itself_and_stays,
        borrows_a_thread,
        blocks,
        blocks_and_raises,
        blocks_with_a_loop,
    )
}

LEAVE_TASKS = {"awaits_a_liar"}
"""Those of which something is left on the loop that nothing can end."""

LEAVE_THREADS = {"blocks", "blocks_and_raises", "blocks_with_a_loop"}
"""Those that leave one of the runtime's threads behind."""
