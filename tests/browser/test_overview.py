"""The overview in a browser: it changes while it is open."""

from __future__ import annotations

from flowstone import Pipeline


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    @pipeline.asset
    async def broken(orders: int) -> int:
        raise OSError("no such file: /data/orders.csv")

    return pipeline


async def test_what_fails_appears_without_a_reload(site):
    """The sentence, and a line with a link to the run."""
    async with site(shop()) as visited:
        page = await visited.open("/")
        await page.get_by_text("Nothing has been made yet.").wait_for()
        run = await visited.runtime.submit("broken")
        await page.get_by_role("link", name="1 asset failed").wait_for()
        assert await page.locator("#needs .acts a").first.get_attribute("href") == f"/runs/{run.id}"
        await page.locator("#asset-broken").get_by_text("failed").wait_for()


async def test_the_lines_to_begin_with_stay_within_their_frame(site):
    """On a phone as well, where there are no assets yet."""
    async with site(Pipeline("empty")) as visited:
        page = await visited.open("/", width=390, height=844)
        frame = await page.locator(".empty").bounding_box()
        lines = await page.locator(".empty pre").bounding_box()
        assert lines["x"] + lines["width"] <= frame["x"] + frame["width"]
