"""The page of automations in a browser: paused with a reason, resumed, and run now, by clicking."""

from __future__ import annotations

from flowstone import Pipeline


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    pipeline.schedule("nightly/orders", cron="0 6 * * *", asset="orders")
    return pipeline


async def test_it_is_paused_with_a_reason_and_resumed(site):
    """The switch asks why; whoever finds it paused reads that."""
    async with site(shop()) as visited:
        page = await visited.open("/automation")
        await page.get_by_role("switch", name="nightly/orders on").click()
        await page.locator("input[name=reason]:focus").wait_for()
        await page.keyboard.type("the warehouse moves")
        await page.get_by_role("button", name="Pause").click()
        await page.get_by_text("by local: the warehouse moves").wait_for()
        (status,) = await visited.runtime.automations()
        assert (status.paused, status.paused_because) == (True, "the warehouse moves")
        await page.get_by_role("switch", name="nightly/orders on").click()
        await page.locator("[role=switch][aria-checked=true]").wait_for()
        (status,) = await visited.runtime.automations()
        assert not status.paused


async def test_run_now_starts_a_run_and_shows_it(site):
    """And its page shows the fire while it is open."""
    async with site(shop()) as visited:
        detail = await visited.open("/automation/nightly/orders")
        page = await visited.open("/automation", width=1440, height=900)
        await page.get_by_role("button", name="Run nightly/orders now").click()
        await page.locator(".lastc", has_text="succeeded").wait_for()
        (run,) = await visited.runtime.runs()
        assert await page.locator(".lastc a").get_attribute("href") == f"/runs/{run.id}"
        await detail.locator(f"#fires a[href='/runs/{run.id}']").wait_for()


async def test_it_fits_a_phone(site):
    """Nothing is wider than the screen."""
    async with site(shop()) as visited:
        for path in ("/automation", "/automation?pause=nightly/orders", "/automation/nightly/orders"):
            page = await visited.open(path, width=390, height=844)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
