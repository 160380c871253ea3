"""What a client is answered is what the runtime says: the same records, of a store in memory and of a database."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from flowstone import (
    AlreadyDecided,
    ApprovalNotFound,
    AssetNotFound,
    AutomationNotFound,
    ConfigError,
    DependencyNotReady,
    FeedExpired,
    MaterializationFailed,
    PartitionError,
    PlanOutdated,
    RunCancelled,
    RunFailed,
    RunNotFound,
    SelectionError,
    Status,
    TokenUnknown,
)
from flowstone.errors import ArgumentError, IOManagerError
from tests.client.shops import ReportConfig, store


@pytest.fixture(params=["memory", "postgres"])
def store_url(request) -> str:
    """The URL of a new store: in memory, and a database."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")


async def worked(runtime) -> dict[str, str]:
    """Runs of every kind of end; their ids."""
    found = {}
    await runtime.add_partitions("regions", ["eu", "us"])
    found["backfill"] = (await runtime.backfill("visits")).run_id
    found["total"] = (
        await runtime.materialize_all("total", config={"threshold": 5}, tags={"why": "new"})
    ).run_id
    for asset in ("after_broken", "tolerant"):
        try:
            found[asset] = (await runtime.materialize_all(asset)).run_id
        except RunFailed as error:
            found[asset] = error.result.run_id
    found["nothing"] = (await runtime.materialize("nothing")).run_id
    found["doubled"] = (await runtime.materialize("doubled")).run_id
    run = await runtime.submit("paid")
    async for event in run.events():
        if event.kind == "run.waiting":
            break
    found["paid"] = run.id
    await runtime.pause("nightly", by="ada", reason="holiday")
    return found


ASKED = {
    "assets": lambda ask, _: ask.assets(),
    "assets by selection": lambda ask, _: ask.assets("+total"),
    "select": lambda ask, _: ask.select("tag:team=core,+total"),
    "partition_key": lambda ask, _: ask.partition_key("visits", "2025-01-03"),
    "partition_key of a value": lambda ask, _: ask.partition_key("visits", date(2025, 1, 3)),
    "exists": lambda ask, _: ask.exists("visits", partition="2025-01-03"),
    "exists not": lambda ask, _: ask.exists("visits", partition="2025-01-05"),
    "status": lambda ask, _: ask.status("visits", partition="2025-01-05"),
    "partition_states": lambda ask, _: ask.partition_states("visits", "total"),
    "partition_states of the latest": lambda ask, _: ask.partition_states("visits", latest=2),
    "partition_counts": lambda ask, _: ask.partition_counts(),
    "history": lambda ask, _: ask.history("visits", partition=date(2025, 1, 3)),
    "history of few": lambda ask, _: ask.history("orders", limit=1, offset=1),
    "recent": lambda ask, _: ask.recent("visits", limit=3, offset=1),
    "current": lambda ask, _: ask.current("visits", limit=4),
    "current of one": lambda ask, _: ask.current("visits", partition="2025-01-02"),
    "activity": lambda ask, _: ask.activity("visits", "total"),
    "items": lambda ask, ids: ask.items(ids["doubled"], "doubled"),
    "items that failed": lambda ask, ids: ask.items(ids["doubled"], "doubled", status="failed"),
    "items of few": lambda ask, ids: ask.items(ids["doubled"], "doubled", limit=1, offset=1),
    "steps": lambda ask, ids: ask.steps(ids["backfill"]),
    "steps that failed": lambda ask, ids: ask.steps(ids["backfill"], "failed"),
    "steps of few": lambda ask, ids: ask.steps(ids["backfill"], limit=2, offset=3),
    "step": lambda ask, ids: ask.step(ids["backfill"], "visits", "2025-01-05"),
    "step of none": lambda ask, ids: ask.step(ids["backfill"], "total"),
    "why": lambda ask, _: ask.why("after_broken"),
    "why of a partition": lambda ask, _: ask.why("visits", date(2025, 1, 5)),
    "upstream": lambda ask, _: ask.lineage.upstream("total"),
    "downstream": lambda ask, _: ask.lineage.downstream("orders", depth=1, limit=1),
    "impact": lambda ask, _: ask.lineage.impact("orders"),
    "freshness": lambda ask, _: ask.freshness("orders"),
    "late": lambda ask, _: ask.late(),
    "runs": lambda ask, _: ask.runs(),
    "runs that failed": lambda ask, _: ask.runs(["failed", Status.CANCELLED]),
    "runs of an asset": lambda ask, _: ask.runs(asset="total", tag="why=new"),
    "runs by tags": lambda ask, _: ask.runs(tag={"why": "new"}, limit=1),
    "runs by names of tags": lambda ask, _: ask.runs(tag={"why": None, "none": None}),
    "runs by a name and a value": lambda ask, _: ask.runs(tag={"why": "new", "none": None}),
    "runs before": lambda ask, ids: ask.runs(before=ids["doubled"], limit=2),
    "runs_beginning": lambda ask, ids: ask.runs_beginning(ids["total"][:20]),
    "recorded_events": lambda ask, ids: ask.recorded_events(ids["backfill"], after=3, limit=4),
    "timeline": lambda ask, ids: ask.timeline(ids["backfill"]),
    "approvals": lambda ask, _: ask.approvals(),
    "approvals of all": lambda ask, _: ask.approvals(status=None, asset="paid"),
    "waits": lambda ask, _: ask.waits("paid"),
    "automations": lambda ask, _: ask.automations(),
    "pools": lambda ask, _: ask.pools(),
    "partitions": lambda ask, _: ask.partitions("regions"),
    "tokens": lambda ask, _: ask.tokens(),
    "audit": lambda ask, _: ask.audit(by="ada"),
    "audit of an asset": lambda ask, _: ask.audit("total", limit=2),
}


async def answer(asked) -> object:
    """What a call gives, whether it is to be awaited or not."""
    return await asked if asyncio.iscoroutine(asked) else asked


def without_what_is_not_told(found: object) -> str:
    """Records as text, without their epochs, which no client is told."""
    import re

    text = re.sub(r"epoch=\d+", "epoch=…", repr(found))
    return re.sub(r"secret", "***", text)


async def test_a_client_is_answered_what_the_runtime_says(serve, store_url):
    """Each call that reads, with the same arguments."""
    async with serve(store(), store=store_url) as served:
        ids = await worked(served.runtime)
        for name, ask in ASKED.items():
            told = await answer(ask(served.client, ids))
            known = await answer(ask(served.runtime, ids))
            if not isinstance(known, dict):
                known, told = (list(known), list(told)) if isinstance(known, list | tuple) else (known, told)
            assert without_what_is_not_told(told) == without_what_is_not_told(known), name


async def test_runs_are_started_and_waited_for(serve, store_url):
    """With values or text for partitions, and config as fields or as an object."""
    async with serve(store(), store=store_url) as served:
        client = served.client
        record = await client.materialize("visits", partition=date(2025, 1, 3), tags={"why": "test"})
        assert (record.status, record.partition, record.metadata) == (
            "succeeded",
            date(2025, 1, 3),
            {"rows": 3},
        )
        assert record == (await served.runtime.history("visits", partition="2025-01-03"))[0]
        result = await client.materialize_all("total", config=ReportConfig(threshold=9))
        assert [step.name for step in result.succeeded] == ["orders", "total"]
        assert result.record.config == {"total": {"threshold": 9}}
        assert len(result) == 2
        assert [step.asset async for step in result.each("succeeded")] == ["orders", "total"]
        with pytest.raises(IOManagerError, match="stays where its server is"):
            await result.value()
        skipped = await client.materialize("nothing")
        assert (skipped.status, skipped.failure.message) == ("skipped", "no data today")
        with pytest.raises(MaterializationFailed, match=r"broken: OSError: disk .* is full \(") as caught:
            await client.materialize("broken")
        assert caught.value.failure.kind == "error"
        assert "in broken" in caught.value.__notes__[0]


async def test_many_partitions_are_computed_with_progress(serve, store_url):
    """One that fails does not stop the others; what was told of each step is the last time what the result says."""
    seen = []
    async with serve(store(), store=store_url) as served:
        result = await served.client.backfill("visits", on_progress=seen.append)
        assert (result.status, len(result.succeeded), len(result.failed)) == ("failed", 5, 1)
        assert [(each.done, each.total) for each in seen] == [(number, 6) for number in range(1, 7)]
        assert {each.step.partition_key for each in seen} == {f"d:2025-01-0{day}" for day in range(1, 7)}
        with pytest.raises(RunFailed, match=r"(?s)1 of 1 step failed.*the counter was broken") as caught:
            await served.client.backfill("visits", partitions=["2025-01-05"], raise_on_failure=True)
        assert [step.name for step in caught.value.failures] == ["visits[2025-01-05]"]


async def test_a_failure_that_is_tolerated_is_told_as_the_runtime_tells_it(serve, store_url):
    """By which assets need which, and not by what failed."""
    async with serve(store(), store=store_url) as served:
        tolerated = await served.client.materialize_all("tolerant")
        assert (tolerated.status, len(tolerated.failed)) == ("succeeded", 1)
        errors = []
        for asks in (served.client, served.runtime):
            with pytest.raises(RunFailed) as caught:
                await asks.materialize_all("after_broken")
            errors.append(str(caught.value).replace(caught.value.result.run_id, "ID"))
        assert errors[0] == errors[1].replace("secret", "***")


async def test_a_handle_is_that_of_the_runtime(serve, store_url):
    """It waits, tells, stops and is equal to another one of the same run."""
    async with serve(store(), store=store_url) as served:
        run = await served.client.submit("total", key="nightly", priority=3)
        assert run.submitted
        result = await run.wait(60)
        assert (await run.status(), result.status) == ("succeeded", "succeeded")
        record = await run.record()
        assert (record.key, record.priority, record.asset) == ("nightly", 3, "total")
        kinds = [event.kind async for event in run.events()]
        assert (kinds[0], kinds[-1]) == ("run.queued", "run.finished")
        assert kinds == [event.kind async for event in (await served.runtime.run(run.id)).events()]
        again = await served.client.run(run.id)
        assert (again, again.submitted) == (run, False)
        endless = await served.client.submit("endless")
        with pytest.raises(TimeoutError, match="has not ended within"):
            await endless.wait(0.01)
        await endless.cancel()
        with pytest.raises(RunCancelled):
            await endless.wait()
        with pytest.raises(RunNotFound):
            await served.client.run("no-such-run")


async def test_events_of_a_run_come_while_it_runs(serve, store_url):
    """Whoever follows a run from its start has all of them, the last of which says how it ended."""
    async with serve(store(), store=store_url) as served:
        run = await served.client.submit("endless")
        kinds = []
        async for event in run.events():
            kinds.append(event.kind)
            if event.kind == "step.started":
                await (await served.runtime.run(run.id)).cancel()
        assert kinds[-3:] == ["run.cancel_requested", "step.cancelled", "run.finished"]


async def test_the_call_that_is_cancelled_stops_its_run(serve):
    """As the runtime's does."""
    async with serve(store()) as served:
        call = asyncio.get_running_loop().create_task(served.client.materialize("endless"))
        async with served.runtime.subscribe("step.started") as events:
            await anext(events)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert [run.status for run in await served.runtime.runs()] == ["cancelled"]


async def test_a_run_whose_time_is_over_is_told_of_by_a_timeout(serve):
    """As the runtime tells it."""
    async with serve(store()) as served:
        with pytest.raises(TimeoutError, match=r"took longer than its timeout of 0\.05 s"):
            await served.client.materialize("endless", timeout=0.05)


async def test_what_failed_is_computed_again(serve, store_url):
    """By the run's id; nothing else is."""
    async with serve(store(), store=store_url) as served:
        first = await served.client.backfill("visits")
        again = await served.client.retry(first.run_id)
        assert again.submitted
        with pytest.raises(RunFailed):
            await again.wait()
        assert (await again.record()).request.retry_of == first.run_id
        assert [step.name for step in (await again.result()).failed] == ["visits[2025-01-05]"]


async def test_a_plan_is_that_of_the_runtime(serve, store_url):
    """Step by step, of one partition, of some, of a range, and with a config."""
    async with serve(store(), store=store_url) as served:
        await worked(served.runtime)
        for asset, more in (
            ("total", {}),
            ("total", {"config": {"threshold": 7}, "refresh": "stale"}),
            ("visits", {"partition": "2025-01-03"}),
            ("visits", {"partitions": [date(2025, 1, 3), "2025-01-05"], "max_parallel": 2}),
            ("visits", {"start": "2025-01-02", "end": date(2025, 1, 5)}),
            ("visits", {"refresh": "missing"}),
        ):
            told = await served.client.plan(asset, **more)
            known = await served.runtime.plan(asset, **more)
            assert list(told) == list(known)
            assert (len(told), told.to_run, told.to_reuse) == (len(known), known.to_run, known.to_reuse)
            assert (told.by_reason, told.refresh, told.parallel) == (
                known.by_reason,
                known.refresh,
                known.parallel,
            )
            assert list(told.outdated()) == list(known.outdated())
            assert told[0] == known[0]
            assert told[:2] == known[:2]


async def test_a_plan_is_run_as_it_was_looked_at(serve, store_url):
    """Or not at all; by whoever is named."""
    async with serve(store(), store=store_url) as served:
        plan = await served.client.plan("+total", refresh="missing", config={"total": {"threshold": 7}})
        run = await served.client.run_plan(plan, by="ada", tags={"why": "test"})
        result = await run.wait()
        assert [step.asset for step in result.succeeded] == ["orders", "total"]
        assert (result.record.request.by, result.record.tags) == ("ada", {"why": "test"})
        with pytest.raises(PlanOutdated, match="would run"):
            await served.client.run_plan(plan)


async def test_several_assets_are_computed(serve, store_url):
    """By a selection or a list, which gives a result as the runtime's does."""
    async with serve(store(), store=store_url) as served:
        for asset in ("orders,total", ["orders", "total"]):
            result = await served.client.materialize(asset, by="ada")
            assert [step.asset for step in result.succeeded] == ["orders", "total"]
            known = await (await served.runtime.run(result.run_id)).record()
            assert without_what_is_not_told(result.record) == without_what_is_not_told(known)


async def test_logs_are_read_and_followed(serve, store_url):
    """All lines, those of a partition, a few, and until the run has ended."""
    async with serve(store(), store=store_url) as served:
        result = await served.client.backfill("visits", refresh="all", max_parallel=1)
        known = [line async for line in served.runtime.logs(result.run_id, follow=True)]
        assert len(known) == 6
        assert [line async for line in served.client.logs(result.run_id)] == known
        some = served.client.logs(result.run_id, "visits", date(2025, 1, 3))
        assert [line.fields["day"] async for line in some] == ["2025-01-03"]
        few = served.client.logs(result.run_id, after=known[1].number, limit=2)
        assert [line async for line in few] == known[2:4]
        run = await served.client.submit_backfill("visits", refresh="all", max_parallel=1)
        followed = [line.fields["day"] async for line in await served.client.logs(run.id, follow=True)]
        assert followed == [f"2025-01-0{day}" for day in range(1, 7)]
        with pytest.raises(RunNotFound):
            await served.client.logs("no-such-run")


async def test_the_feed_is_that_of_the_runtime(serve, store_url):
    """The same events with the same ids, of some kinds and of one run, and from an id on."""
    async with serve(store(), store=store_url) as served:
        async with served.client.feed() as told, served.runtime.feed() as known:
            await served.runtime.materialize_all("total")
            events = [await anext(known) for _ in range(7)]
            found = [await anext(told) for _ in range(7)]
        assert [each.id for each in found] == [each.id for each in events]
        assert [repr(each.event) for each in found] == [repr(each.event) for each in events]
        async with served.client.feed("step", after=events[0].id, asset="total") as some:
            assert [(await anext(some)).kind for _ in range(2)] == ["step.started", "step.succeeded"]
            assert some.position == events[5].id
        with pytest.raises(FeedExpired):
            async with served.client.feed(after=10**9):
                pass


async def test_whoever_watches_is_called(serve):
    """When something was recorded."""
    called = asyncio.Event()
    async with serve(store()) as served, served.client.watch(called.set):
        await served.runtime.materialize("orders")
        await asyncio.wait([asyncio.get_running_loop().create_task(called.wait())], timeout=60)
        assert called.is_set()


async def test_what_waits_is_answered(serve, store_url):
    """An approval once; whose name is given is recorded, as nobody has a token here."""
    async with serve(store(), store=store_url) as served:
        ids = await worked(served.runtime)
        (asked,) = await served.client.approvals()
        assert asked == await served.client.approval(asked.id)
        assert (asked.name, asked.message, asked.data) == ("pay", "3 rows", {"rows": 3})
        decided = await served.client.approve(asked.id, by="ada", reason="fine")
        assert (decided.status, decided.by, decided.reason) == ("approved", "ada", "fine")
        with pytest.raises(AlreadyDecided) as caught:
            await served.client.reject(asked.id, by="bob")
        assert caught.value.approval == decided
        run = await served.client.run(ids["paid"])
        assert (await run.wait()).status == "succeeded"
        with pytest.raises(ApprovalNotFound):
            await served.client.approval("0" * 20)
        with pytest.raises(TokenUnknown):
            await served.client.signal("fss_unknown", {"id": 1})


async def test_what_happens_by_itself_is_paused_and_fired(serve, store_url):
    """By its name."""
    async with serve(store(), store=store_url) as served:
        paused = await served.client.pause("nightly", by="ada", reason="holiday")
        assert (paused.paused, paused.paused_by, paused.paused_because) == (True, "ada", "holiday")
        assert not (await served.client.resume("nightly", by="ada")).paused
        (run,) = await served.client.fire("nightly", by="ada")
        assert (await run.wait()).status == "succeeded"
        (fires,) = [each.last_fires for each in await served.client.automations() if each.name == "nightly"]
        assert (fires[0].by, [each.id for each in fires[0].runs]) == ("ada", [run.id])
        with pytest.raises(AutomationNotFound, match="nightly"):
            await served.client.fire("nighly")


async def test_values_sets_pools_and_tokens_are_changed(serve, store_url):
    """As an admin, whom the loopback is."""
    async with serve(store(), store=store_url) as served:
        client = served.client
        assert await client.add_partitions("regions", ["eu", "us", "2025-01-01"]) == 3
        assert await client.add_partitions("regions", ["eu"]) == 0
        assert await client.remove_partitions("regions", ["us"]) == 1
        assert await client.partitions("regions") == await served.runtime.partitions("regions")
        await client.materialize("sales", partition="eu")
        assert await client.invalidate("sales", partition="eu") == 1
        assert not await client.exists("sales", partition="eu")
        assert (await client.set_pool("warehouse", slots=7)).slots == 7
        assert [pool.slots for pool in await client.pools()] == [7]
        token = await client.create_token("ci", "read", by="ada")
        assert (await served.runtime.identify(token)).name == "ci"
        (known,) = await client.tokens()
        assert (known.name, known.role, known.created_by) == ("ci", "read", "ada")
        assert (await client.revoke_token("ci")).revoked_at is not None


async def test_processes_are_shown(serve, store_url):
    """Of the node that answers, and of all."""
    async with serve(store(), store=store_url) as served:
        tree = await served.client.tree()
        assert [child.name for child in tree.children] == [
            child.name for child in served.runtime.tree().children
        ]
        assert await served.client.health() == await served.runtime.health()
        (node,) = await served.client.nodes(trees=True)
        (known,) = await served.runtime.nodes(trees=True)
        assert (node.id, node.pid, node.pipelines) == (known.id, known.pid, known.pipelines)


async def test_errors_are_those_of_the_runtime(serve, store_url):
    """The same class, the same words, and what they carry."""
    calls = {
        AssetNotFound: lambda ask: ask.materialize("totl"),
        PartitionError: lambda ask: ask.materialize("visits", partition="2025-13-01"),
        ConfigError: lambda ask: ask.materialize_all("total", config={"threshol": 3}),
        DependencyNotReady: lambda ask: ask.materialize("total"),
        SelectionError: lambda ask: ask.select("+total *"),
        ArgumentError: lambda ask: ask.runs("broken"),
        RunNotFound: lambda ask: ask.steps("no-such-run"),
    }
    async with serve(store(), store=store_url) as served:
        for kind, call in calls.items():
            told, known = [], []
            for asks, found in ((served.client, told), (served.runtime, known)):
                try:
                    await answer(call(asks))
                except kind as error:
                    found.append(error)
            if kind is SelectionError:  # Its mark is below the place, on a line of its own.
                assert told[0].position == known[0].position if known else True
                continue
            assert [type(each) for each in told] == [type(each) for each in known] == [kind]
            if kind is not ArgumentError:
                assert str(told[0]) == str(known[0])
            for name in ("asset", "field", "missing"):
                assert getattr(told[0], name, None) == getattr(known[0], name, None)
