"""What a world computes: assets of every kind, and people and programs that ask for them.

`pipeline_of` makes the definitions, the same for each node; their functions call the world, which sees where they
run, and how many at a time. `request` is what a client asks for; `approve` approves what waits for
approval, and sends the signals that steps wait for.
"""

from __future__ import annotations

from functools import partial

from flowstone import Automation, Context, DailyPartitions, Each, Freshness, Pipeline, Retry, RunRequest
from flowstone.errors import FlowstoneError

__all__ = ["GAP", "SLOTS", "TOGETHER", "approve", "pipeline_of", "request"]

SLOTS = 2
GAP = 0.5  # Seconds between two turns of the rate.
AS_NEW = Automation.on_upstream_change() | Automation.on_missing()
TOGETHER = "together"  # An asset that is only asked for with `join=True`.
DAYS = DailyPartitions("2025-01-01", "2025-01-06")
ONCE_MORE = Retry(attempts=6, delay=0.2, max_delay=1.0)


def pipeline_of(world):
    """The definitions, for every node of a world."""
    pipeline = Pipeline("world")
    pipeline.pool("two", slots=SLOTS)
    pipeline.rate("calls", limit=2, per=2 * GAP)
    asset = partial(pipeline.asset, retry=ONCE_MORE)

    @asset()
    async def start(context: Context) -> dict:
        return await world.compute(context)

    @asset()
    async def middle(context: Context, start: dict) -> dict:
        return await world.compute(context, start)

    @asset()
    async def left(context: Context, middle: dict) -> dict:
        return await world.compute(context, middle)

    @asset()
    async def right(context: Context, middle: dict, start: dict) -> dict:
        return await world.compute(context, middle, start)

    @asset(freshness=Freshness(within=2.0, overdue=5.0) if world.automates else None)
    async def end(context: Context, left: dict, right: dict) -> dict:
        return await world.compute(context, left, right)

    @asset(partitions=DAYS)
    async def raw(context: Context) -> dict:
        return await world.compute(context)

    @asset(partitions=DAYS)
    async def clean(context: Context, raw: dict) -> dict:
        return await world.compute(context, raw)

    @asset(partitions=DAYS, pool="two")
    async def scarce(context: Context, raw: dict) -> dict:
        return await world.compute(context, raw, pool="two")

    @asset()
    async def files(context: Context) -> list[int]:
        await world.compute(context)
        return list(range(5))

    @asset(each=Each("files"))
    async def sizes(context: Context, files: int) -> int:
        await world.compute(context)
        return files * 2

    @asset()
    async def asked(context: Context, start: dict) -> dict:
        decision = context.approval("publish", message="?")
        assert decision.by == "ann"
        return await world.compute(context, start)

    @asset()
    async def hurried(context: Context) -> dict:
        context.approval("quick", message="?", timeout=6.0, on_timeout="approve")
        return await world.compute(context)

    @asset()
    async def rested(context: Context) -> dict:
        context.sleep("nap", 3.0)
        return await world.compute(context)

    @asset()
    async def called(context: Context) -> dict:
        world.tokens[context.signal_token("bank")] = None
        payload = context.signal("bank")
        assert payload == {"id": 42}
        done = await context.once("count", world.counted, context.run_id)
        assert done == 1
        return await world.compute(context)

    @asset(partitions=DAYS, rate="calls")
    async def hasty(context: Context) -> dict:
        world.take_turn()
        return await world.compute(context)

    @asset(automation=AS_NEW if world.automates else None)
    async def followed(context: Context, start: dict) -> dict:
        return await world.compute(context, start)

    @asset()
    async def together(context: Context, start: dict) -> dict:
        return await world.compute(context, start)

    if world.automates:
        _automate(pipeline, world)
    return pipeline


def _automate(pipeline, world):
    """A schedule, a sensor that finds one number after another, and a listener."""
    pipeline.schedule("minutely", cron="* * * * *", asset="end", refresh="stale")

    @pipeline.sensor("numbers", every=1.0)
    async def numbers(context):
        for number in range((context.cursor or 0) + 1, world.arrived + 1):
            yield RunRequest("start", upstream=False, key=str(number))
            context.cursor = number

    @pipeline.on("run", name="told")
    async def told(event):
        await world.hear(event)


WHATS = [
    *("submit", "submit", "submit", "backfill", "backfill", "scarce", "scarce", "day", "key", "alone"),
    *("wait", "wait", "days", "invalidate", "slots", "hasty", "hasty", "reload"),
    *("join", "join", "join", "join"),
]
TARGETS = ["end", "end", "sizes", "asked", "hurried", "rested", "called", "middle", "followed"]


def request(world):  # noqa: PLR0911 - one for each kind
    """Something that a client asks for: its name, and what does it, given a runtime."""
    random = world.random
    what = random.choice(WHATS)
    priority, timeout = random.randrange(3), random.choice([None, None, None, 8.0])
    first, last = sorted(random.sample(range(1, 7), 2))
    span = {"start": f"2025-01-0{first}", "end": f"2025-01-0{last}"}
    target = random.choice(TARGETS)
    refresh = random.choice(["all", "missing", "stale"])
    match what:
        case "submit":
            several = f"{target},rested,clean" if priority else target  # What has no days has its one value.
            day = span["start"] if priority else None
            return what, lambda runtime: runtime.submit(
                several, partition=day, priority=priority, timeout=timeout, refresh=refresh
            )
        case "backfill":
            return what, lambda runtime: runtime.submit_backfill(
                "clean,start", upstream=True, max_parallel=1 + priority, refresh=refresh, **span
            )
        case "scarce":
            return what, lambda runtime: runtime.submit_backfill(
                "scarce", upstream=True, max_parallel=5, **span
            )
        case "day":
            return what, lambda runtime: runtime.submit("clean", partition=span["start"], refresh=refresh)
        case "key":
            return what, lambda runtime: runtime.submit("end", key="only one", priority=priority)
        case "wait":
            return what, lambda runtime: _none(
                runtime.materialize_all(target, refresh=refresh, timeout=timeout)
            )
        case "days":
            return what, lambda runtime: _none(
                runtime.backfill("clean", upstream=True, refresh=refresh, **span)
            )
        case "hasty":
            return what, lambda runtime: runtime.submit_backfill("hasty", max_parallel=3, **span)
        case "join":
            if priority:
                return what, lambda runtime: runtime.submit(TOGETHER, join=True)
            return what, lambda runtime: _none(runtime.materialize_all(TOGETHER, join=True, timeout=timeout))
        case "reload":
            return what, lambda runtime: _none(runtime.reload(pipeline_of(world)))
        case "invalidate":
            return what, lambda runtime: _none(runtime.invalidate(target, downstream=True))
        case "slots":
            slots = random.choice([1, None])
            return what, lambda runtime: _none(runtime.set_pool("two", slots=slots))
    return what, lambda runtime: runtime.submit("start", upstream=False)


async def _none(call):
    """What gives no handle of a run."""
    await call


async def approve(world, runtime):
    """People decide, and others send what they were asked for; who is late is told so."""
    try:
        for approval in await runtime.approvals():
            if approval.name == "publish":
                await runtime.approve(approval.id, by="ann")
        for token in list(world.tokens):
            await runtime.signal(token, {"id": 42})
            world.tokens.pop(token, None)
    except FlowstoneError as error:
        world.note(f"{type(error).__name__}: {error}")
        if "token" in type(error).__name__.lower():
            world.tokens.pop(token, None)
