"""A phone, 390 pixels wide: all that there is can be reached, and lists say what matters."""

from __future__ import annotations

import pytest

from flowstone import Pipeline
from flowstone.server import ServerOptions
from flowstone.server.pages.shell import NAVIGATION

PHONE = {"width": 390, "height": 844}


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    return pipeline


async def seen(page, element):
    """Whether all of it is on the screen."""
    box = await element.bounding_box()
    return (
        box is not None
        and box["x"] >= 0
        and box["x"] + box["width"] <= 390
        and box["y"] + box["height"] <= 844
    )


@pytest.mark.parametrize("entry", NAVIGATION, ids=lambda entry: entry.page)
async def test_every_page_is_reached(site, entry):
    """By the bar, or by what *More* opens above it."""
    async with site(shop()) as visited:
        page = await visited.open("/system" if entry.page == "overview" else "/", **PHONE)
        bar = page.get_by_role("navigation", name="Main, small screens")
        link = bar.get_by_role("link", name=entry.title)
        if not await link.is_visible():
            await bar.get_by_text("More").click()
        assert await seen(page, link)
        await link.click()
        await page.wait_for_url(f"**{entry.path}")
        await page.get_by_role("heading", name=entry.title, exact=True).first.wait_for()


async def test_the_finder_the_theme_and_the_way_out(site):
    """All three are behind *More*; who logs out is led to the login."""
    async with site(shop(), options=ServerOptions(open_on_loopback=False)) as visited:
        token = await visited.runtime.create_token("ada", "read")
        page = await visited.open("/login", **PHONE)
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Log in").click()
        bar = page.get_by_role("navigation", name="Main, small screens")
        for name in ("Find or do", "Light or dark", "Log out"):
            await bar.get_by_text("More").click()
            button = bar.get_by_role("button", name=name)
            assert await seen(page, button)
            await button.click()
            if name == "Find or do":
                await page.get_by_role("dialog", name="Find or do").get_by_role("combobox").fill("orders")
                await page.get_by_role("option", name="orders").first.wait_for()
                await page.keyboard.press("Escape")
            if name == "Light or dark":
                assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        await page.wait_for_url("**/login")


async def test_a_list_of_runs_says_what_matters(site):
    """State, asset and when, within the screen."""
    async with site(shop()) as visited:
        await visited.runtime.materialize("orders")
        page = await visited.open("/runs", **PHONE)
        row = page.locator(".runs tbody tr").first
        assert await seen(page, row.get_by_role("img", name="succeeded"))
        assert await seen(page, row.get_by_role("link", name="orders"))
        assert await seen(page, row.locator("time"))
