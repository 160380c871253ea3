"""Listeners where several nodes share a store: one node calls each, another one takes over, nothing is lost."""

from __future__ import annotations

import asyncio

from flowstone import Pipeline, Runtime
from flowstone.runs.events import RunFinished
from flowstone.store.cluster import Notification
from flowstone.store.postgres import PostgresStore
from tests.automation import listening_process
from tests.automation.listening import Ear, reports
from tests.forks import Fork
from tests.runtime.cluster.scene import LEASE, Town

OPTIONS = {"automate": True, "lease": 2.0, "shutdown_timeout": 0.5, "cancel_timeout": 0.5}


def listening(ear, *kinds):
    """The pipeline with a listener."""
    pipeline = reports()
    pipeline.on(*kinds or ("run.finished",), name="alert")(ear.hear)
    return pipeline


async def test_postgres_tells_every_event_in_order(database):
    """As soon as it is recorded, by a notification."""
    ear = Ear()
    async with Runtime(listening(ear, "run", "step"), store=database, **OPTIONS) as runtime:
        run = await runtime.submit("report")
        await run.result()
        async with asyncio.timeout(20):
            await ear.has(5)
        assert ear.heard == [event async for event in run.events()]


async def test_one_node_calls_a_listener_and_another_one_takes_over(database):
    """Each event is told once where nobody dies."""
    ears = Ear(), Ear()
    async with Runtime(listening(ears[0]), store=database, **OPTIONS) as first:
        async with Runtime(listening(ears[1]), store=database, **OPTIONS) as second:
            for runtime in (first, second):
                await runtime.materialize("report")
            async with asyncio.timeout(20):
                while len(ears[0].heard) + len(ears[1].heard) < 2:
                    await asyncio.sleep(0.01)
            told = [len(ear.heard) for ear in ears]
            assert sorted(told) == [0, 2]
        await first.materialize("report")
        async with asyncio.timeout(20):
            await ears[0].has(told[0] + 1)


async def test_nobody_asks_for_what_is_not_there(database):
    """With nothing pending there is one question a look for all listeners of a node, and none of each."""
    asked = []

    class Counting(PostgresStore):
        async def open(self):
            await super().open()
            fetch = self._database.fetch

            async def counted(name, *arguments):
                asked.append(name)
                return await fetch(name, *arguments)

            self._database.fetch = counted

    pipeline, ear = reports(), Ear()
    for number in range(5):
        pipeline.on("run.finished", name=f"alert-{number}")(ear.hear)
    async with Runtime(pipeline, store=Counting(database), **OPTIONS) as runtime:
        await runtime.materialize("report")
        async with asyncio.timeout(20):
            await ear.has(5)
            while (await runtime.automations())[0].pending:
                await asyncio.sleep(0.01)
            known = -1
            while known != len(asked):  # They still look whether there is more.
                known = len(asked)
                await asyncio.sleep(0.05)
        asked.clear()
        for _ in range(3):
            runtime._ctx.notifications.heard(Notification("look"))
            before = asked.count("followers_waiting")
            async with asyncio.timeout(20):
                while asked.count("followers_waiting") == before:
                    await asyncio.sleep(0.01)
        assert not {"pending_deliveries", "delivered", "automations"} & set(asked)


async def test_a_process_that_is_killed_between_call_and_record_tells_again(database, tmp_path):
    """At least once: another one calls it for the same event."""
    told = tmp_path / "told"
    with Fork(listening_process.main, database, str(told)) as process:
        assert await asyncio.to_thread(process.wait, 60) == 9
    (run_id,) = told.read_text().split()
    ear = Ear()
    async with Runtime(listening(ear), store=database, **OPTIONS):
        async with asyncio.timeout(30):
            (event,) = await ear.has(1)
        assert isinstance(event, RunFinished)
        assert event.run_id == run_id


async def test_a_node_that_is_cut_off_is_followed_by_another(clock):
    """Within its lease; until then what happens waits."""
    ears = {"a": Ear(), "b": Ear()}

    def pipeline(name):
        made = Pipeline("town")

        @made.asset
        async def one() -> int:
            return 1

        made.on("run.finished", name="alert")(ears[name].hear)
        return made

    async with Town(clock) as town:
        first = await town.node("a", pipeline("a"), automate=True)
        await town.outcome(first.materialize("one"))
        await town.until(lambda: len(ears["a"].heard) == 1)
        second = await town.node("b", pipeline("b"), automate=True)
        await town.outcome(second.materialize("one"))
        await town.until(lambda: len(ears["a"].heard) == 2)
        await town.die("a")
        await town.outcome(second.materialize("one"))
        await town.until(lambda: len(ears["b"].heard) >= 1, seconds=3 * LEASE)
        assert ears["b"].heard[-1].run_id not in {event.run_id for event in ears["a"].heard}
