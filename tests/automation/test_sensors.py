"""Sensors ask for runs: each once, together with where they left off, whatever they are written like."""

from __future__ import annotations

import asyncio
import functools

import pytest

from flowstone import DynamicPartitions, Pipeline, RunRequest, Runtime, Skip
from flowstone.runtime.automation.packs import taken
from flowstone.store import MemoryStore
from tests.automation.looking import fires_of, letters, over, runs_of, settled, status_of


async def keys_of(runtime, name):
    """The tag of each run that a sensor asked for, in order."""
    return [run.request.tags["n"] for run in await runs_of(runtime, name)]


def request(number, **options):
    """A request that is told by its number."""
    return RunRequest("letter", tags={"n": str(number)}, join=False, **options)


async def test_every_item_starts_a_run_and_the_cursor_moves(clock):
    """A look goes on where the last one has left off, and what it gives is on record as one fire."""
    pipeline = letters()

    @pipeline.sensor("post", every=10)
    async def post(context):
        begin = context.cursor or 0
        for number in range(begin, begin + 3):
            yield request(number)
            context.cursor = number + 1

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(11)
        assert await keys_of(runtime, "post") == ["0", "1", "2", "3", "4", "5"]
        assert [len(fire.runs) for fire in await fires_of(runtime, "post")] == [3, 3]
        assert await over(runtime, "post", 6)


async def test_a_look_that_gives_nothing_leaves_no_trace(clock):
    """Whether it yields nothing, returns None or an empty list; but a cursor that moves is kept."""
    pipeline = letters()
    cursors = []

    @pipeline.sensor("quiet", every=1)
    async def quiet(context):
        cursors.append(context.cursor)
        context.cursor = len(cursors)
        return [] if len(cursors) % 2 else None

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(3.5)
        assert await fires_of(runtime, "quiet") == []
        assert cursors == [None, 1, 2, 3]


class Posting:
    """A callable; its method may be given as well."""

    def __call__(self, context):
        yield from self.both(context)

    def both(self, context):
        if context.cursor is None:
            context.cursor = 1
            return [request(1), request(2)]
        return []

    async def slowly(self, context):
        return self.both(context)


class AsyncPosting(Posting):
    """A callable whose call is an asynchronous generator."""

    async def __call__(self, context):
        for each in self.both(context):
            yield each


class AwaitedPosting(Posting):
    """A callable whose call is awaited."""

    async def __call__(self, context):
        return self.both(context)


def with_more(_more, context):
    """A plain function, but for one argument."""
    return Posting().both(context)


async def awaited_with_more(_more, context):
    """As above."""
    return Posting().both(context)


async def yielding_with_more(_more, context):
    """As above."""
    for each in Posting().both(context):
        yield each


def lazily(context):
    """Returns what is neither list nor function."""
    return (each for each in Posting().both(context))


async def lazily_later(context):
    """As above, awaited."""
    return iter(Posting().both(context))


def hands_over(context):
    """A plain function that returns an asynchronous generator."""
    return AsyncPosting()(context)


@functools.wraps(lazily)
def wrapped(context):
    """A decorated one."""
    return lazily(context)


@pytest.mark.parametrize(
    "function",
    [
        Posting(),
        Posting().both,
        Posting().slowly,
        AsyncPosting(),
        AwaitedPosting(),
        functools.partial(with_more, 1),
        functools.partial(awaited_with_more, 1),
        functools.partial(yielding_with_more, 1),
        functools.partial(AsyncPosting()),
        lazily,
        lazily_later,
        hands_over,
        wrapped,
        lambda context: request(1) if context.cursor is None else None,
        lambda context: tuple(Posting().both(context)),
    ],
)
async def test_a_sensor_is_whatever_can_be_called(clock, function):
    """Functions, generators, methods, objects and partials, awaited or not."""
    pipeline = letters()
    pipeline.sensor("post", function, every=1000)
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await settled(clock, lambda: over(runtime, "post", 1))
        assert await keys_of(runtime, "post") in (["1", "2"], ["1"])
        assert (await status_of(runtime, "post")).failures == 0


class TestMany:
    """One look may ask for more than it starts."""

    @staticmethod
    def before(count):
        """Moves its cursor first."""

        async def sensor(context):
            begin, context.cursor = context.cursor or 0, count
            for number in range(begin, count):
                yield request(number)

        return sensor

    @staticmethod
    def after(count):
        """Moves its cursor last."""

        async def sensor(context):
            for number in range(context.cursor or 0, count):
                yield request(number)
            context.cursor = count

        return sensor

    @staticmethod
    def between(count):
        """Moves its cursor after each item."""

        def sensor(context):
            for number in range(context.cursor or 0, count):
                yield request(number)
                context.cursor = number + 1

        return sensor

    @staticmethod
    def at_each(count):
        """Moves its cursor before each item, in place."""

        def sensor(context):
            if context.cursor is None:
                context.cursor = {"next": 0}
            while context.cursor["next"] < count:
                context.cursor["next"] += 1
                yield request(context.cursor["next"] - 1)

        return sensor

    @pytest.mark.parametrize("style", ["before", "after", "between", "at_each"])
    async def test_the_rest_starts_with_the_next_looks(self, clock, style):
        """A limit at a time, nothing lost and nothing twice, however the cursor is set."""
        pipeline = letters()
        pipeline.sensor("post", getattr(self, style)(25), every=10, limit=10)
        async with Runtime(pipeline, clock=clock, automate=True) as runtime:
            await settled(clock, lambda: over(runtime, "post", 10))
            await clock.advance(15)
            await settled(clock, lambda: over(runtime, "post", 20))
            await clock.advance(50)
            await settled(clock, lambda: over(runtime, "post", 25))
            assert [len(fire.runs) for fire in await fires_of(runtime, "post")] == [10, 10, 5]
            assert await keys_of(runtime, "post") == [str(number) for number in range(25)]

    async def test_the_rest_survives_a_restart_with_another_limit(self, clock):
        """It is on record together with the cursor."""
        store = MemoryStore()
        for limit in (4, 3, 100, 100):
            pipeline = letters()
            pipeline.sensor("post", self.before(10), every=1000, limit=limit)
            async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
                await clock.advance(1)
                fires = await fires_of(runtime, "post")
        assert [len(fire.runs) for fire in fires] == [4, 3, 1, 2]
        async with Runtime(letters(), store=store, clock=clock) as runtime:
            assert await keys_of(runtime, "post") == [str(number) for number in range(10)]

    @pytest.mark.parametrize("count", [2_500, pytest.param(100_000, marks=pytest.mark.long)])
    async def test_what_waits_takes_little_room(self, clock, count):
        """In memory and in the sensor's record; nothing of it is lost, and nothing there twice."""
        pipeline = letters()
        pipeline.sensor("post", self.after(count), every=10, paused=True)
        store = MemoryStore()
        async with Runtime(pipeline, store=store, clock=clock) as runtime:
            runs = await runtime.fire("post")
            record = await store.automations.record(("post", "post"))
            assert (len(runs), record.cursor) == (1000, count)
            assert sum(map(len, record.pending)) < 150 * count
            asked, pending = [run.id for run in runs], record.pending
            while pending:
                found, pending = taken(pending, 1000)
                asked += [run.record.id for run in found]
            assert len(set(asked)) == len(asked) == count

    async def test_more_than_that_is_refused_as_a_whole(self, clock):
        """With what to do instead; the cursor stays."""
        pipeline = letters()

        @pipeline.sensor("post", every=10)
        async def post(context):
            context.cursor = "far"
            while True:
                yield request(0)

        async with Runtime(pipeline, clock=clock, automate=True) as runtime:
            await settled(clock, lambda: fires_of(runtime, "post"))
            (fire,) = await fires_of(runtime, "post")
            assert fire.status == "failed"
            assert "more than 100,000 requests at once" in fire.reason
            assert await runs_of(runtime, "post") == []


async def test_the_same_key_starts_one_run(clock):
    """In one look, in later ones and after a restart."""
    pipeline = letters()
    store = MemoryStore()

    @pipeline.sensor("post", every=10)
    async def post(_context):
        yield request(1, key="a")
        yield request(2, key="a")
        yield request(3)

    for _ in range(2):
        async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
            await clock.advance(11)
            keys = await keys_of(runtime, "post")
    assert keys == ["1", "3", "3", "3", "3"]


async def test_a_sensor_may_skip_a_look(clock, caplog):
    """With a reason, which is told once and is no failure; its cursor is kept."""
    pipeline = letters()
    seen = []

    @pipeline.sensor("post", every=10)
    async def post(context):
        seen.append(context.cursor)
        context.cursor = len(seen)
        if len(seen) < 4:
            raise Skip("no post on Sundays")

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await clock.advance(45)
        assert await fires_of(runtime, "post") == []
        assert (await status_of(runtime, "post")).failures == 0
    assert seen == [None, 1, 2, 3, 4]
    told = [each.message for each in caplog.records if "sensor post (skips)" in each.message]
    assert told == ["sensor post (skips): no post on Sundays", "sensor post (skips): it looks again"]


async def test_a_cursor_that_is_changed_in_place_is_kept_or_not_as_a_whole(clock):
    """A look that fails changes nothing, not even what it was given."""
    pipeline = letters()
    seen = []

    @pipeline.sensor("post", every=10)
    async def post(context):
        if context.cursor is None:
            context.cursor = {"seen": []}
        seen.append(list(context.cursor["seen"]))
        context.cursor["seen"].append(len(seen))
        if len(seen) == 3:
            raise OSError("no post")

    async with Runtime(pipeline, clock=clock, automate=True):
        await clock.advance(55)
    assert seen[:5] == [[], [1], [1, 2], [1, 2], [1, 2, 4]]


async def test_keys_of_a_dynamic_set_are_added_by_a_look(clock):
    """Before the runs that need them are looked at."""
    pipeline = letters(DynamicPartitions("towns"))

    @pipeline.sensor("post", every=1000)
    def post(context):
        assert context.partitions_of("letter").name == "towns"
        context.add_partitions("towns", ["Oslo", "Bergen", "Oslo"])
        return RunRequest("letter", partition="Bergen")

    store = MemoryStore()
    async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
        await settled(clock, lambda: over(runtime, "post", 1))
        assert list(await store.partitions("towns")) == ["Oslo", "Bergen"]


async def test_by_hand_and_by_itself_at_the_same_time(clock):
    """One of the two finds what there is; neither finds it twice."""
    pipeline = letters()
    both = asyncio.Barrier(2)

    @pipeline.sensor("post", every=1000)
    async def post(context):
        begin = context.cursor or 0
        if begin == 0:
            await both.wait()
        context.cursor = 2
        for number in range(begin, 2):
            yield request(number)

    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        await asyncio.sleep(0)
        await runtime.fire("post", by="ada")
        await clock.advance(1)
        assert await keys_of(runtime, "post") == ["0", "1"]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_what_was_yielded_before_a_skip_is_started(clock, kind):
    """The rest is for another look: the cursor is where the function left it."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def item() -> int:
        return 1

    def numbers(context):
        for number in range((context.cursor or 0) + 1, 6):
            if number == 4 and context.now.second < 3:
                raise Skip("4 is not complete yet")
            yield RunRequest("item", partition=str(number), refresh="all", join=False)
            context.cursor = number

    async def numbers_on_loop(context):
        for request in numbers(context):
            yield request

    pipeline.sensor("items", numbers if kind == "sync" else numbers_on_loop, every=1.0)
    async with Runtime(pipeline, clock=clock, automate=True) as runtime:
        async with asyncio.timeout(20):
            while len(await runtime.runs()) < 5:
                await clock.advance(1)
                await asyncio.sleep(0.001)
        assert sorted(run.request.keys[0] for run in await runtime.runs()) == list("12345")
