"""What is around every page: keys, the finder, the theme, and the word that says whether it is live."""

from __future__ import annotations

from flowstone import Pipeline


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    return pipeline


async def test_keys_lead_everywhere(site):
    """`g` and a letter; `?` lists them."""
    async with site(shop()) as visited:
        page = await visited.open("/")
        await page.keyboard.press("g")
        await page.keyboard.press("g")
        await page.wait_for_url("**/graph")
        await page.keyboard.press("?")
        await page.get_by_role("dialog", name="Keys").get_by_text("Light or dark").wait_for()


async def test_things_are_found_by_their_letters(site):
    """Control and K opens it, letters choose, Enter goes."""
    async with site(shop()) as visited:
        page = await visited.open("/")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("grph")
        await page.get_by_role("option", name="Graph page").wait_for()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/graph")


async def test_the_theme_is_kept(site):
    """By its key, over pages; without one it is the system's."""
    async with site(shop(), colour="dark") as visited:
        page = await visited.open("/")
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        await page.keyboard.press("t")
        await page.goto(f"{visited.url}/graph")
        assert await page.evaluate("document.documentElement.dataset.theme") == "light"


async def test_a_page_says_whether_it_is_live(site):
    """How far behind it is; and since when it is not, once nothing has been heard for four seconds."""
    async with site(shop()) as visited:
        page = await visited.open("/")
        await page.locator("[data-lag]", has_text="s behind").wait_for()
        assert await page.locator("[data-live]").text_content() == "Live"
        await page.evaluate("document.querySelector('#stream').remove()")
        await page.locator("[data-live]", has_text="Not live").wait_for()
        await page.locator("[data-lag]", has_text="since ").wait_for()


async def test_a_page_is_live_however_late_its_scripts_come(site):
    """Its stream is asked for once all of them are there, though one comes long after the others."""
    async with site(Pipeline("empty")) as visited:
        page = await visited.open("/")

        async def late(route):
            if await page.evaluate("typeof htmx") != "undefined":
                await page.evaluate("() => new Promise(done => setTimeout(done, 100))")
            await route.continue_()

        await page.route("**/hx-sse.min.js*", late)
        async with page.expect_request("**/live/"):
            await page.reload()
