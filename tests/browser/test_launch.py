"""The Launch page in a browser: choose, see what would happen, start it, and be led to the run."""

from __future__ import annotations

from flowstone import DailyPartitions, Pipeline


def shop() -> Pipeline:
    pipeline = Pipeline("shop")
    days = DailyPartitions("2025-01-01", "2025-03-31")

    @pipeline.asset(partitions=days)
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=days)
    async def visits(raw: int) -> int:
        return raw

    return pipeline


async def test_choose_see_the_plan_and_start_it(site):
    async with site(shop()) as visited:
        await visited.runtime.backfill("visits", start="2025-01-01", end="2025-01-05", upstream=True)
        page = await visited.open("/launch")
        await page.locator("#asset").select_option("visits")
        await page.wait_for_url("**/launch?asset=visits")
        await page.locator("#range").fill("2025-01-04:2025-01-07")
        await page.get_by_text("4 steps run, 4 values are reused").wait_for()
        assert "partitions=2025-01-04" in page.url
        await page.get_by_text("Everything", exact=True).click()
        await page.get_by_text("8 steps run, 0 values are reused").wait_for()
        await page.get_by_role("button", name="Launch 8 steps").click()
        await page.wait_for_url("**/runs/*")
        (run, _) = await visited.runtime.runs()
        assert page.url.endswith(f"/runs/{run.id}")
        result = await (await visited.runtime.run(run.id)).wait()
        assert len(result.succeeded) == 8
        await page.locator("main").get_by_text("succeeded").first.wait_for()


async def test_days_are_chosen_on_the_calendar_and_all_at_once(site):
    async with site(shop()) as visited:
        page = await visited.open("/launch?asset=raw")
        await page.get_by_role("button", name="Missing 90").click()
        await page.get_by_text("90 steps run, 0 values are reused").wait_for()
        assert await page.locator("#range").input_value() == "2025-01-01:2025-03-31"
        box = await page.locator("#pick").bounding_box()
        assert box is not None
        await page.mouse.click(box["x"] + 26 + 5, box["y"] + 20 + 2 * 17 + 5)
        await page.get_by_text("1 step runs, 0 values are reused").wait_for()
        assert await page.locator("#range").input_value() == "2025-01-01"


async def test_it_fits_a_phone(site):
    async with site(shop()) as visited:
        page = await visited.open(
            "/launch?asset=visits&partitions=2025-01-01:2025-01-09", width=390, height=844
        )
        await page.get_by_text("18 steps run").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
