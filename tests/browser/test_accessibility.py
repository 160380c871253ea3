"""Every page by the rules of axe (WCAG 2.2 AA, best practices), light and dark, wide and on a phone."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import axe_playwright_python
import pytest

from flowstone import DailyPartitions, Pipeline
from flowstone.server.pages import PAGES

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DAYS = DailyPartitions("2025-01-01", "2025-03-31")
SIZES = {"wide": (1440, 900), "phone": (390, 844)}


def shop() -> Pipeline:
    """Something of every kind of state."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DAYS, tags={"group": "raw"})
    async def orders(context) -> int:
        """What was sold on a day."""
        if context.partition.isoformat() == "2025-02-09":
            raise OSError("no such column: amount")
        return 1

    @pipeline.asset(partitions=DAYS, tags={"group": "marts"})
    async def revenue(context, orders: int) -> int:
        context.log.info("summed", rows=12)
        return orders

    @pipeline.asset(tags={"group": "ml"})
    async def model(context) -> int:
        context.approval("publish", message="Publish the model?", data={"error": 0.12})
        return 1

    @pipeline.asset(tags={"group": "ml"})
    async def training(context) -> int:
        context.progress(0.4, "epoch 4 of 10")
        await asyncio.Event().wait()
        return 1

    pipeline.schedule("nightly", cron="0 6 * * *", asset="revenue", partition="latest")
    return pipeline


@contextlib.asynccontextmanager
async def worked(site, colour):
    """The shop with work that has been done, failed, waits and runs; and what there is an example of by name."""
    async with site(shop(), automate=True, shutdown_timeout=0, colour=colour) as visited:
        runtime = visited.runtime
        result = await runtime.backfill("revenue", upstream=True, max_parallel=16)
        model = await runtime.submit("model")
        async for event in model.events():
            if event.kind == "run.waiting":
                break
        await runtime.submit("training")
        (approval,) = await runtime.approvals()
        yield (
            visited,
            {
                "run_id": result.run_id,
                "id": result.run_id,
                "asset": "revenue",
                "name": "revenue",
                "key": "2025-02-09",
                "approval": approval.id,
                "node": runtime.node,
            },
        )


def addresses(places, asset="revenue", automation="nightly"):
    """An address of each page; of a page with parameters one that there is."""
    special = {
        "/waiting/{id}": f"/waiting/{places['approval']}",
        "/automation/{name:path}": f"/automation/{automation}",
        "/graph": f"/graph?focus={asset}",
        "/launch": f"/launch?asset={asset}&partitions={places['key']}",
    }
    for page in PAGES:
        path = special.get(page.path, page.path)
        for name, value in places.items():
            path = path.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
        assert "{" not in path, f"say where an example of {page.path} is"
        yield path


@pytest.mark.parametrize("colour", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_no_page_breaks_a_rule(site, colour, size):
    """Nor is it wider than the screen."""
    width, height = SIZES[size]
    async with worked(site, colour) as (visited, places):
        found = []
        for path in addresses(places):
            page = await visited.open(path, width=width, height=height)
            found += [f"{path}: {each}" async for each in broken(page)]
            wide = await page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                found.append(f"{path}: {wide} pixels wide on a screen of {width}")
            await page.close()
        assert found == []


async def broken(page):
    """The rules that a page breaks, each with the first element that does."""
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    answer = await page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", TAGS)
    for each in answer["violations"]:
        (first, *_) = each["nodes"]
        yield f"{each['id']}: {first['html'][:300]} {first['failureSummary'][:300]}"
