"""The rows that `j` and `k` walk: one sees which is selected, and keys are about that one and no other."""

from __future__ import annotations

from flowstone import Context, DailyPartitions, Pipeline, StaticPartitions
from tests.browser.test_accessibility import addresses, worked

ROW = "[data-rows] .sel"
BEFORE = "#inbox li:has(a[aria-current])"


def several() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=StaticPartitions(["a", "b", "c"]))
    async def model(context: Context) -> int:
        context.approval("publish", message=f"Publish {context.partition_key}?")
        return 1

    return pipeline


async def asked(runtime, *keys):
    """A run for each key that waits for an answer; their approvals in this order."""
    for key in keys:
        run = await runtime.submit("model", partition=key)
        async for event in run.events():
            if event.kind == "run.waiting":
                break
    return sorted(await runtime.approvals(), key=lambda each: each.requested_at)


async def test_what_is_selected_is_seen_on_every_page_that_has_a_list(site):
    """The row looks otherwise than before; a page that has rows without a link to open has none to select."""
    async with worked(site, "light") as (visited, places):
        unseen, walked = [], []
        for path in (*addresses(places), "/assets/revenue?view=table"):
            page = await visited.open(path)
            rows = page.locator(":is([data-rows], [data-rows]>tbody, [data-rows]>details[open])").locator(
                ":scope > :is(li, tr, a):not(.empty):not(.gh)"
            )
            if await rows.count():
                await page.locator("#stream").evaluate("stream => stream.remove()")
                await page.keyboard.press("j")
                row = await page.locator(ROW).element_handle()
                with_it = await row.screenshot()
                await row.evaluate("row => row.classList.remove('sel')")
                if with_it == await row.screenshot():
                    unseen.append(path)
                walked.append(path)
            await page.close()
        assert unseen == []
        assert len(walked) >= 9


async def test_what_is_pressed_is_about_what_is_selected(site):
    """`j`, `a`, Enter approves the second of two though the first is shown."""
    async with site(several()) as visited:
        first, second = await asked(visited.runtime, "a", "b")
        page = await visited.open("/waiting")
        await page.locator(BEFORE, has_text="Publish a?").wait_for()
        await page.keyboard.press("j")
        await page.locator(ROW, has_text="Publish b?").wait_for()
        await page.keyboard.press("a")
        await page.wait_for_url(f"**/waiting/{second.id}")
        await page.locator("button:focus", has_text="Approve").wait_for()
        assert len(await visited.runtime.approvals()) == 2
        await page.keyboard.press("Enter")
        await page.locator("#what", has_text="local approved").wait_for()
        assert [each.id for each in await visited.runtime.approvals()] == [first.id]


async def test_a_selection_stays_with_what_was_selected(site):
    """Also when the list changes above it; when it is gone itself, keys say so and are about nothing else."""
    async with site(several()) as visited:
        first, second, third = await asked(visited.runtime, "a", "b", "c")
        page = await visited.open(f"/waiting/{third.id}")
        await page.keyboard.press("k")
        await page.locator(ROW, has_text="Publish b?").wait_for()
        await visited.runtime.approve(first.id, by="grace")
        await page.locator("#inbox li", has_text="Publish a?").wait_for(state="detached")
        await page.locator(ROW, has_text="Publish b?").wait_for()
        await visited.runtime.approve(second.id, by="grace")
        await page.locator("#inbox li", has_text="Publish b?").wait_for(state="detached")
        assert await page.locator(ROW).count() == 0
        await page.keyboard.press("a")
        await page.locator("#say", has_text="is not in the list any more").wait_for()
        assert await page.evaluate("document.activeElement.value") is None
        await page.keyboard.press("a")
        assert await page.evaluate("document.activeElement.value") == "approve"


async def test_rows_are_ticked_and_taken_to_launch(site):
    """`x` ticks the selected row, `l` plans what is ticked."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-09"))
    async def orders() -> int:
        return 1

    async with site(pipeline) as visited:
        page = await visited.open("/assets/orders?view=table")
        for key in "jjxjx":
            await page.keyboard.press(key)
        await page.locator("#picked", has_text="2 days selected").wait_for()
        await page.keyboard.press("l")
        await page.wait_for_url("**/launch?asset=orders&partitions=2025-01-08*2025-01-07*")


async def test_letters_stay_switched_off(site):
    """On the next page as well."""
    async with site(several()) as visited:
        page = await visited.open("/")
        await page.keyboard.press("?")
        await page.locator("#single").uncheck()
        await page.goto(f"{visited.url}/assets")
        await page.keyboard.press("j")
        assert await page.locator(ROW).count() == 0
