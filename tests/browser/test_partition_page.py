"""The page of a partition in a browser: found by any key, it changes while open, and its value is invalidated."""

from __future__ import annotations

import pytest

from flowstone import DailyPartitions, Pipeline, StaticPartitions

DAYS = DailyPartitions("2026-01-01", "2026-01-05")
ODD = ["a/b", "..", "größe", "<b>&x=1</b>", "50%?#", "\\", "x/../y"]


def flights() -> Pipeline:
    pipeline = Pipeline("flights")

    @pipeline.asset(partitions=DAYS)
    async def raw(context) -> int:
        return context.partition.day

    @pipeline.asset(partitions=DAYS)
    async def delays(raw: int) -> int:
        return raw

    @pipeline.asset(partitions=StaticPartitions(ODD))
    async def odd() -> int:
        return 1

    return pipeline


async def test_its_value_is_invalidated_after_being_asked_once(site):
    """In place, with the word that proves that the page asked; the page says what became of it."""
    async with site(flights()) as visited:
        await visited.runtime.backfill("delays", upstream=True)
        page = await visited.open("/assets/raw/2026-01-03")
        await page.get_by_text("Its value is current").wait_for()
        await page.get_by_text("Invalidate…").click()
        await page.get_by_text("and what was made of it").click()
        await page.get_by_role("button", name="Invalidate").click()
        await page.get_by_text("Its value is invalidated").wait_for()
        assert not await visited.runtime.exists("delays", partition="2026-01-03")
        assert await visited.runtime.exists("delays", partition="2026-01-02")
        assert page.url == f"{visited.url}/assets/raw/2026-01-03"


async def test_it_changes_while_it_is_open(site):
    """The sentence, the lineage and the history."""
    async with site(flights()) as visited:
        page = await visited.open("/assets/delays/2026-01-03")
        await page.get_by_text("It was never computed").wait_for()
        await visited.runtime.materialize_all("delays", partition="2026-01-03")
        await page.get_by_text("Its value is current").wait_for()
        await page.get_by_role("link", name="raw[2026-01-03]").click()
        await page.get_by_role("link", name="delays[2026-01-03]").wait_for()


@pytest.mark.parametrize("key", ODD)
async def test_a_browser_finds_the_page_of_any_key(site, key):
    """As browsers read addresses, from the list and by what is selected there."""
    async with site(flights()) as visited:
        await visited.runtime.backfill("odd")
        page = await visited.open("/assets/odd")
        row = page.locator("tr").filter(has=page.get_by_role("link", name=key, exact=True))
        await row.locator("[data-pick]").check()
        await page.locator("#open-one").click()
        await page.get_by_text("Its value is current").wait_for()
        await page.goto(f"{visited.url}/assets/odd")
        await page.get_by_role("link", name=key, exact=True).first.click()
        await page.get_by_text("Its value is current").wait_for()
        assert await page.evaluate("document.title.startsWith('odd[')")
