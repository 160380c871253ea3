"""The graph in a browser: what is chosen, what it says, and that it changes while it is open."""

from __future__ import annotations

from flowstone import Pipeline, StaticPartitions


def shop() -> Pipeline:
    pipeline = Pipeline("shop")
    regions = StaticPartitions(["eu", "us"])

    @pipeline.asset(partitions=regions, tags={"group": "raw"})
    async def orders() -> int:
        """What was sold in a region."""
        return 1

    @pipeline.asset(partitions=regions, tags={"group": "marts"})
    async def revenue(orders: int) -> int:
        return orders

    @pipeline.asset(tags={"group": "marts"})
    async def report() -> int:
        raise OSError("the printer is on fire")

    return pipeline


async def test_an_asset_is_chosen_in_the_list(site):
    """What it is made from stands beside it, and the address keeps the choice."""
    async with site(shop()) as visited:
        page = await visited.open("/graph")
        await page.get_by_role("link", name="never revenue 0/2").click()
        inspected = page.locator("#inspect")
        await inspected.get_by_role("heading", name="revenue").wait_for()
        assert await inspected.get_by_role("link", name="orders").get_attribute("href") == "/assets/orders"
        assert page.url.endswith("/graph?focus=revenue")
        await page.reload()
        await inspected.get_by_role("heading", name="revenue").wait_for()


async def test_an_asset_is_chosen_in_the_drawing(site):
    """By a click on its card; a click on a group folds it."""
    async with site(shop()) as visited:
        page = await visited.open("/graph")
        await page.wait_for_function("FS.theGraph && FS.timing && FS.timing.nodes > 0")
        place = await page.evaluate("FS.theGraph.place('orders')")
        await page.mouse.click(*place)
        await page.locator("#inspect").get_by_role("heading", name="orders").wait_for()
        await page.locator("#inspect").get_by_text("What was sold in a region.").wait_for()


async def test_it_changes_while_it_is_open(site):
    """A list entry turns as its asset does; what is said of the chosen one follows."""
    async with site(shop()) as visited:
        page = await visited.open("/graph?focus=revenue")
        await visited.runtime.backfill("orders")
        await page.locator('#outline a[data-id="orders"]').get_by_text("2/2").wait_for()
        await visited.runtime.backfill("revenue")
        await page.locator("#inspect").get_by_text("2 of 2").wait_for()
        run = await visited.runtime.submit("report")
        await page.locator('#outline a[data-id="report"] svg.fail').wait_for()
        assert (await run.status()).terminal


async def test_the_list_is_searched(site):
    """Letter by letter; what does not fit is hidden."""
    async with site(shop()) as visited:
        page = await visited.open("/graph")
        await page.keyboard.press("/")
        await page.keyboard.type("rev")
        await page.locator('#outline a[data-id="orders"]').wait_for(state="hidden")
        assert await page.locator('#outline a[data-id="revenue"]').is_visible()


async def test_a_phone_begins_with_the_list(site):
    """Nothing is wider than the screen."""
    async with site(shop()) as visited:
        page = await visited.open("/graph", width=390, height=844)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert await page.locator('#outline a[data-id="orders"]').is_visible()
