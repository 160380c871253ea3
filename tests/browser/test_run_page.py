"""A run in a browser: its failure is read, retried, cancelled by clicking; and a stream that is cut catches up."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

from flowstone import Context, Pipeline, Runtime, StaticPartitions
from flowstone.server import site as site_module


class World:
    def __init__(self) -> None:
        self.broken = True
        self.held = asyncio.Event()
        self.lines: asyncio.Queue[str] = asyncio.Queue()


def shop(world: World) -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def raw(context: Context) -> int:
        context.log.warning("reads the file")
        if world.broken:
            raise OSError("no such file: /data/orders.csv")
        return 1

    @pipeline.asset
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset
    async def talks() -> int:
        while (line := await world.lines.get()) != "end":
            print(line)
        return 1

    @pipeline.asset(partitions=StaticPartitions(["a", "b", "c", "d"]))
    async def many(context: Context) -> int:
        if context.partition_key != "a":
            await world.held.wait()
        return 1

    return pipeline


async def test_what_failed_is_read_retried_and_seen_to_succeed(site):
    """The traceback and the log are there; one click computes it again."""
    world = World()
    async with site(shop(world)) as visited:
        run = await visited.runtime.submit("clean")
        async for _ in run.events():
            pass
        page = await visited.open("/runs")
        await page.get_by_role("link", name="clean", exact=True).click()
        await page.locator("#failure h2", has_text="raw failed").wait_for()
        await page.locator("#failure .tb", has_text="in raw").first.wait_for()
        await page.locator(".logs", has_text="reads the file").wait_for()
        await page.locator("[data-attempts]", has_text="1 attempt").wait_for()
        assert await page.locator("[data-attempts]").text_content() == "1 attempt"
        await page.get_by_role("link", name="raw", exact=True).first.click()
        await page.wait_for_url("**?step=raw")
        world.broken = False
        await page.get_by_role("button", name="Retry failed").click()
        await page.wait_for_url(lambda url: run.id not in url)
        await page.locator("#prog .st.ok").wait_for()
        await page.locator("#prog", has_text=f"retry of {run.id}").wait_for()


async def test_a_run_is_cancelled_after_it_has_said_how_much(site):
    """It asks once, in place, and names the number, which changes meanwhile."""
    world = World()
    async with site(shop(world)) as visited:
        run = await visited.runtime.submit_backfill("many", max_parallel=2)
        page = await visited.open(f"/runs/{run.id}")
        await page.locator("#do-cancel").click()
        await page.get_by_role("button", name="Cancel 3 steps?").click()
        await page.locator("#prog .st.cancel").wait_for()
        assert await run.status() == "cancelled"


async def test_a_log_goes_on_where_its_stream_was_cut(site, monkeypatch):
    """Each line once, in order, whatever is lost on the way."""
    whole = site_module.fragments
    cuts = 0

    async def cut(*arguments, **options):
        nonlocal cuts
        left = 3
        async for blocks in whole(*arguments, **options):
            yield blocks
            left -= 1
            if left == 0 and cuts < 3:
                cuts += 1
                return

    monkeypatch.setattr(site_module, "fragments", cut)
    world = World()
    async with site(shop(world)) as visited:
        run = await visited.runtime.submit("talks")
        page = await visited.open(f"/runs/{run.id}?step=talks")
        for number in range(40):
            world.lines.put_nowait(f"line {number}.")
            await page.wait_for_timeout(25)
        world.lines.put_nowait("end")
        await page.locator("#prog .st.ok").wait_for()
        await page.locator(".logs", has_text="line 39.").wait_for()
        said = await page.locator(".logs > div > span").all_text_contents()
        assert said == [f"line {number}." for number in range(40)]
        assert cuts > 0


async def test_a_filter_finds_lines_that_are_not_loaded(site):
    """Of thousands some are shown, and all are searched; without the filter the newest are there again."""
    pipeline = Pipeline("billing")

    @pipeline.asset
    async def invoices(context: Context) -> int:
        for number in range(6_000):
            if number % 1_000 == 7:
                context.log.error("caught", number=number)
            else:
                context.log.info("read", number=number)
        return 1

    async with site(pipeline) as visited:
        run = await visited.runtime.submit("invoices")
        await run.wait()
        page = await visited.open(f"/runs/{run.id}?log=run")
        await page.locator(".logs", has_text="number=5999").wait_for()
        await page.locator(".lvl").select_option("error")
        await page.locator("[data-found]", has_text="6 lines").wait_for()
        said = await page.locator(".logs > div > span").all_text_contents()
        assert said == [f"invoices  caught number={number}" for number in range(7, 6_000, 1_000)]
        await page.locator(".flt").fill("number=1007")
        await page.locator("[data-found]", has_text=re.compile("^1 line$")).wait_for()
        await page.locator(".flt").fill("nothing like it")
        await page.locator("[data-nolog]", has_text="No line is like that.").wait_for()
        await page.locator(".flt").fill("")
        await page.locator(".lvl").select_option("")
        await page.locator(".logs", has_text="number=5999").wait_for()


async def test_a_bar_leads_to_its_step(site):
    """The timeline is what one clicks; the address says what is looked at."""
    world = World()
    async with site(shop(world)) as visited:
        run = await visited.runtime.submit_backfill("many", max_parallel=2)
        page = await visited.open(f"/runs/{run.id}?log=run")
        await page.locator("[data-attempts]", has_text="3 attempts").wait_for()
        box = await page.locator("#gantt").bounding_box()
        await page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + 33)
        await page.wait_for_url("**step=many**")
        await page.locator("#failure h2", has_text="running").wait_for()
        await page.go_back()
        await page.wait_for_url("**log=run")
        await run.cancel()


async def test_bands_are_of_assets_or_of_nodes(site, monkeypatch):
    """Where several nodes ran its attempts; the address says which, and a step that is looked at keeps that."""
    whole = Runtime.timeline

    async def spread(runtime, *arguments, **options):
        told = await whole(runtime, *arguments, **options)
        found = [replace(each, node=f"<b>{ord(each.partition_key[-1]) % 2}") for each in told.attempts]
        return replace(told, attempts=found)

    monkeypatch.setattr(Runtime, "timeline", spread)
    world = World()
    async with site(shop(world)) as visited:
        run = await visited.runtime.submit_backfill("many", max_parallel=2)
        page = await visited.open(f"/runs/{run.id}")
        bands = page.locator(".lanes > div")
        await page.locator("[data-bands] button", has_text="Node").click()
        await page.locator(".lanes", has_text="<b>1").wait_for()
        await page.wait_for_url("**by=node")
        assert sorted(await bands.locator(".m").all_text_contents()) == ["<b>0", "<b>1"]
        box = await page.locator("#gantt").bounding_box()
        await page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + 33)
        await page.wait_for_url("**step=many**by=node")
        await page.reload()
        await page.locator(".lanes", has_text="<b>1").wait_for()
        await page.locator("[data-bands] button", has_text="Asset").click()
        await page.locator(".lanes", has_text="1 of 4").wait_for()
        assert "by=" not in page.url
        await run.cancel()


async def test_they_fit_on_a_phone(site):
    """Nothing is wider than the screen."""
    world = World()
    async with site(shop(world)) as visited:
        run = await visited.runtime.submit("clean")
        async for _ in run.events():
            pass
        for path in ("/runs", f"/runs/{run.id}"):
            page = await visited.open(path, width=390, height=844)
            await page.wait_for_timeout(300)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390
