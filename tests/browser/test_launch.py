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


async def test_a_plan_that_went_stale_says_so_and_is_made_again(site):
    """While it is open, without anything being pressed; what is launched is what is shown then."""
    async with site(shop()) as visited:
        page = await visited.open("/launch?asset=visits&partitions=2025-01-01")
        await page.get_by_text("2 steps run, 0 values are reused").first.wait_for()
        note = page.locator("#outdated")
        assert await note.is_hidden()
        await visited.runtime.materialize("raw", partition="2025-01-01")
        await note.get_by_text("now 1 step runs, 1 value is reused").wait_for()
        await note.get_by_role("button", name="Plan again").click()
        await note.wait_for(state="hidden")
        await page.get_by_role("button", name="Launch 1 step").wait_for()
        # It goes on to look at what is chosen meanwhile.
        await page.locator("#range").fill("2025-01-02")
        await page.locator("#summary").get_by_text("2 steps run").wait_for()
        await visited.runtime.materialize("raw", partition="2025-01-02")
        await note.get_by_text("now 1 step runs").wait_for()


async def test_what_no_address_holds_is_planned_and_launched(site):
    """A text of many thousand characters; one that is no partition is said beside the field."""
    async with site(shop()) as visited:
        page = await visited.open("/launch?asset=raw")
        many = ",".join(["2025-01-01"] * 800)
        await page.locator("#range").fill(f"{many},2025-01-03")
        await page.get_by_role("button", name="Launch 2 steps").wait_for()
        assert "partitions" not in page.url
        await page.locator("#range").fill("2025-02-30")
        await page.locator("#unread").get_by_text("is not a valid day").wait_for()
        assert await page.locator("#range").get_attribute("aria-invalid") == "true"
        await page.locator("#range").fill(f"{many},2025-01-04")
        await page.get_by_role("button", name="Launch 2 steps").click()
        await page.wait_for_url("**/runs/*")


async def test_it_fits_a_phone(site):
    async with site(shop()) as visited:
        page = await visited.open(
            "/launch?asset=visits&partitions=2025-01-01:2025-01-09", width=390, height=844
        )
        await page.get_by_text("18 steps run").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
