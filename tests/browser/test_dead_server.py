"""A server that is gone: the page says so, keeps what was written, and goes on when the server is back."""

from __future__ import annotations

import contextlib

from flowstone import Context, Pipeline
from tests.browser.conftest import Server


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def model(context: Context) -> int:
        context.approval("publish", message="Publish v42?")
        return 42

    return pipeline


@contextlib.asynccontextmanager
async def opened(visited, path, **viewport):
    """A page of such a server, live."""
    server = Server(visited.app)
    await server.start()
    try:
        page = await visited.open("/", **viewport)
        await page.goto(f"{server.url}{path}")
        await page.locator("[data-lag]", has_text="s behind").wait_for(state="attached")
        # Time stands still for the page: it does not find out by silence.
        await page.evaluate("() => { const now = Date.now(); Date.now = () => now; }")
        yield server, page
        await page.close()
    finally:
        await server.stop()
        gone = ("net::ERR_", "htmx:sse:error")
        visited.problems[:] = [each for each in visited.problems if not any(word in each for word in gone)]


async def test_a_page_says_that_the_server_is_gone(site):
    """As soon as its stream is refused; and takes it back once the server is there."""
    async with site(shop()) as visited, opened(visited, "/") as (server, page):
        await server.stop()
        await page.locator("[data-live]", has_text="Not live").wait_for()
        await page.locator("#dead", has_text="Not live since").wait_for()
        await server.start()
        await page.locator("[data-live]", has_text="Live").wait_for()
        await page.locator("#dead").wait_for(state="hidden")


async def test_a_form_is_kept_until_the_server_takes_it(site):
    """What was written is still there, and is sent by the next click."""
    async with site(shop()) as visited:
        run = await visited.runtime.submit("model")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        async with opened(visited, "/waiting") as (server, page):
            await page.get_by_role("textbox").fill("as good as v41")
            await server.stop()
            await page.get_by_role("button", name="Approve").click()
            await page.locator("#dead", has_text="nothing was sent").wait_for()
            assert await page.get_by_role("textbox").input_value() == "as good as v41"
            await server.start()
            await page.locator("#dead").wait_for(state="hidden")
            await page.get_by_role("button", name="Approve").click()
            await page.get_by_text("local approved").wait_for()
            (decided,) = await visited.runtime.approvals("approved")
            assert decided.reason == "as good as v41"


async def test_it_is_said_on_a_phone(site):
    """Where there is no word for it in the navigation."""
    async with site(shop()) as visited, opened(visited, "/", width=390, height=844) as (server, page):
        await server.stop()
        await page.locator("#dead", has_text="Not live since").wait_for()
        assert await page.locator("#dead").is_visible()


async def test_a_page_without_a_stream_does_not_say_that_it_is_live(site):
    """What is not kept as it is on record is not called so."""
    async with site(shop()) as visited:
        page = await visited.open("/nothing/here")
        await page.get_by_role("heading", name="Not found").wait_for()
        assert not await page.locator("[data-live]").is_visible()
        visited.problems.clear()  # 404
