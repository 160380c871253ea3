"""The page of what waits in a browser: answered by clicking, by keys, and meanwhile by somebody else."""

from __future__ import annotations

from flowstone import Context, Pipeline


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def model(context: Context) -> int:
        context.approval("publish", message="Publish v42?", data={"version": 42})
        return 42

    @pipeline.asset
    async def forecast(model: int) -> int:
        return model

    return pipeline


async def asked(runtime):
    """A run that waits for an answer."""
    run = await runtime.submit("forecast")
    async for event in run.events():
        if event.kind == "run.waiting":
            break
    return run


async def test_it_is_approved_by_clicking(site):
    """With a reason; the step goes on, and the run succeeds."""
    async with site(shop()) as visited:
        page = await visited.open("/waiting")
        await page.get_by_text("Nothing waits for you").wait_for()
        run = await asked(visited.runtime)
        await page.get_by_role("link", name="Open Publish v42?").click()
        await page.get_by_role("textbox").fill("better than v41")
        await page.get_by_role("button", name="Approve").click()
        await page.get_by_text("local approved").wait_for()
        assert (await run.wait()).run_id == run.id
        (decided,) = await visited.runtime.approvals("approved")
        assert (decided.by, decided.reason) == ("local", "better than v41")


async def test_keys_bring_the_buttons_into_focus_and_decide_nothing(site):
    """`r`, then enter, rejects; what was typed stays while the page changes around it."""
    async with site(shop()) as visited:
        await asked(visited.runtime)
        page = await visited.open("/waiting")
        await page.keyboard.press("a")
        assert await page.evaluate("document.activeElement.value") == "approve"
        await page.get_by_role("textbox").fill("not yet")
        await asked(visited.runtime)
        await page.get_by_role("link", name="Open 2").wait_for()
        await page.get_by_role("textbox").blur()
        await page.keyboard.press("r")
        assert await page.evaluate("document.activeElement.value") == "reject"
        assert len(await visited.runtime.approvals()) == 2
        await page.keyboard.press("Enter")
        await page.locator("#what", has_text="local rejected").wait_for()
        (decided,) = await visited.runtime.approvals("rejected")
        assert decided.reason == "not yet"


async def test_what_somebody_else_answers_loses_its_buttons(site):
    """And says who did, without a reload."""
    async with site(shop()) as visited:
        await asked(visited.runtime)
        page = await visited.open("/waiting")
        await page.get_by_role("button", name="Approve").wait_for()
        (pending,) = await visited.runtime.approvals()
        await visited.runtime.approve(pending.id, by="grace")
        await page.get_by_text("grace approved").wait_for()
        assert await page.get_by_role("button", name="Approve").count() == 0
        assert not await page.locator("textarea").is_visible()


async def test_it_fits_a_phone(site):
    """The list on one page, what is asked on another."""
    async with site(shop()) as visited:
        await asked(visited.runtime)
        (pending,) = await visited.runtime.approvals()
        for path in ("/waiting", f"/waiting/{pending.id}", "/waiting?show=decided"):
            page = await visited.open(path, width=390, height=844)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.locator("#inbox").is_visible()
