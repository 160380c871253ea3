"""A page that is left open: what changes on it replaces what was there, and nothing piles up in the browser."""

from __future__ import annotations

import pytest

from flowstone import Context, DailyPartitions, Pipeline

ROUNDS = 15
MORE = """before => new Promise(done => {
  const look = () => window.swapped > before ? done() : setTimeout(look, 20);
  look();
})"""
COUNT = "window.swapped = 0; document.addEventListener('htmx:after:swap', () => { window.swapped += 1 })"
DAYS = DailyPartitions("2025-01-01", "2025-01-31")


def shop() -> Pipeline:
    """Half of its days fail, so that every list changes in each round."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DAYS)
    async def orders(context: Context) -> int:
        if context.partition.day % 2 == 0:
            raise ValueError(f"no file, said {context.run_id}")
        return 1

    return pipeline


async def held(session) -> dict[str, float]:
    """What the browser keeps for the page, after its garbage was collected."""
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
    found = (await session.send("Performance.getMetrics"))["metrics"]
    return {each["name"]: each["value"] for each in found}


@pytest.mark.parametrize("path", ["/", "/runs", "/assets/orders"])
async def test_hours_of_changes_leave_nothing_behind(site, path):
    """After twice as many changes there are no more elements, listeners or bytes than after as many."""
    async with site(shop()) as visited:
        for _ in range(60):  # As long as its lists become.
            await visited.runtime.materialize("orders", partition="2025-01-31")
        page = await visited.open(path)
        await page.evaluate(COUNT)
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable")

        async def live(rounds: int) -> dict[str, float]:
            for number in range(rounds):
                swapped = await page.evaluate("window.swapped")
                day = f"2025-01-{number % 28 + 1:02}"
                await visited.runtime.backfill("orders", partitions=[day], refresh="all")
                await page.evaluate(MORE, swapped)
            return await held(session)

        await live(ROUNDS)
        before = await live(ROUNDS)
        after = await live(ROUNDS)
        assert after["JSEventListeners"] <= before["JSEventListeners"] + 5
        assert after["Nodes"] <= before["Nodes"] * 1.1 + 50
        assert after["JSHeapUsedSize"] <= before["JSHeapUsedSize"] * 1.1 + 200_000
