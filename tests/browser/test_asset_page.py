"""The page of an asset in a browser: days are selected and taken to where they are planned."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from flowstone import DailyPartitions, Pipeline, StaticPartitions

DAYS = DailyPartitions("2026-01-01", "2026-03-31")
ODD = ["a/b", "..", "größe", "<b>&x=1</b>", "50%?#"]


def flights() -> Pipeline:
    pipeline = Pipeline("flights")

    @pipeline.asset(partitions=DAYS)
    async def delays(context) -> int:
        return context.partition.day

    @pipeline.asset(partitions=StaticPartitions(ODD))
    async def odd() -> int:
        return 1

    return pipeline


async def place_of(page, day: int) -> tuple[float, float]:
    """Where a day of the calendar is: weeks are columns, the days of January begin at a Thursday."""
    box = await page.locator("#cells-canvas").bounding_box()
    week, weekday = divmod(3 + day - 1, 7)
    return box["x"] + 26 + week * 17 + 7, box["y"] + 20 + weekday * 17 + 7


async def test_days_are_selected_by_dragging_and_taken_to_the_launch_page(site):
    """The bar says how many, the text is what the command line takes, and the address keeps it."""
    async with site(flights()) as visited:
        page = await visited.open("/assets/delays")
        await page.mouse.move(*await place_of(page, 5))
        await page.mouse.down()
        await page.mouse.move(*await place_of(page, 8))
        await page.mouse.move(*await place_of(page, 16))
        await page.mouse.up()
        await page.get_by_text("12 days selected").wait_for()
        assert await page.locator("#range").input_value() == "2026-01-05:2026-01-16"
        assert parse_qs(urlsplit(page.url).query)["select"] == ["2026-01-05:2026-01-16"]
        await page.route("**/launch?*", lambda route: route.fulfill(body="planned"))
        async with page.expect_request("**/launch?*") as asked:
            await page.locator("#plan-picked").click(no_wait_after=True)
        query = parse_qs(urlsplit((await asked.value).url).query)
        assert query == {"asset": ["delays"], "partitions": ["2026-01-05:2026-01-16"]}


async def test_days_are_selected_by_the_keyboard_and_by_text(site):
    """Arrows and shift select; a text selects what it says; what is in the address is selected at first."""
    async with site(flights()) as visited:
        page = await visited.open("/assets/delays?select=2026-02-05:2026-02-14")
        await page.get_by_text("10 days selected").wait_for()
        await page.locator("#range").fill("2026-03-01,2026-03-03")
        await page.get_by_text("2 days selected").wait_for()
        await page.locator("#cells-canvas").focus()
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("Shift+ArrowUp")
        await page.keyboard.press("Shift+ArrowUp")
        await page.get_by_text("3 days selected").wait_for()
        assert await page.locator("#range").input_value() == "2026-03-29:2026-03-31"


async def test_cells_change_while_the_page_is_open_and_the_selection_is_kept(site):
    """A day that is computed elsewhere is current without a reload."""
    async with site(flights()) as visited:
        page = await visited.open("/assets/delays?select=2026-01-05:2026-01-06")
        await page.get_by_text("90 never").wait_for()
        await visited.runtime.backfill("delays")
        await page.get_by_text("90 current").wait_for()
        await page.get_by_text("2 days selected").wait_for()
        drawn = await page.evaluate("JSON.parse(document.getElementById('cells-data').textContent).spans")
        assert drawn == [["ok", 90]]


async def test_partitions_are_selected_in_the_table(site):
    """Shift selects a stretch; texts of any kind arrive."""
    async with site(flights()) as visited:
        page = await visited.open("/assets/odd")
        boxes = page.locator("[data-pick]")
        await boxes.first.check()
        await boxes.nth(2).click(modifiers=["Shift"])
        await page.get_by_text("3 partitions selected").wait_for()
        assert await page.locator("#range").input_value() == "50%?#,<b>&x=1</b>,größe"


async def test_nothing_is_wider_than_a_phone(site):
    """At 390 px."""
    async with site(flights()) as visited:
        await visited.runtime.backfill("delays")
        for path in ("/", "/assets", "/assets/delays", "/assets/delays?view=table", "/assets/odd"):
            page = await visited.open(path, width=390, height=844)
            wider = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, path
            await page.close()
