"""Who starts the flights example for the first time gets from what failed to all is well by clicking."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.programs import started

EXAMPLE = Path(__file__).parents[2] / "examples" / "nyc_flights.py"


@pytest.fixture
async def page(chromium, tmp_path):
    """A browser at the address that `flowstone serve` printed; it may not complain of anything."""
    from playwright.async_api import async_playwright

    problems = []
    with started(tmp_path, "serve", str(EXAMPLE), "--port", "0") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(chromium)
            context = await browser.new_context(viewport={"width": 1440, "height": 900})
            page = await context.new_page()
            page.set_default_timeout(90_000)  # Of a hang: a machine may be as busy as it likes.
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
            await page.goto(address)
            yield page
            await context.close()
            await browser.close()
    assert problems == []


async def click(page, role: str, name: str) -> None:
    await page.get_by_role(role, name=name).first.click()


async def ended(page, status: str) -> None:
    """Wait for the end of the run that the page shows."""
    await page.locator("#prog", has_text=re.compile(rf"{status}\s+after")).wait_for()


async def test_from_what_failed_to_all_is_well(page):
    """Nothing is typed but the number that the failure speaks of."""
    await click(page, "link", "Launch")
    await page.locator("#asset").select_option("report")
    await click(page, "button", "Launch 379 steps")
    await ended(page, "failed")

    await click(page, "link", "Overview")
    await page.get_by_text("2 partitions failed").first.wait_for()
    await page.get_by_text("delays[2013-02-08] failed").wait_for()

    await click(page, "link", "Why")
    failure = page.locator("#failure")
    await failure.get_by_text("more than most_cancelled=0.5").first.wait_for()
    await failure.get_by_text("monthly[2013-02-01]").wait_for()  # What it kept from being computed.

    await click(page, "link", "Launch with changes")
    await page.get_by_text("4 steps run, 375 values are reused").wait_for()
    await page.get_by_label("most_cancelled").fill("0.6")
    await page.get_by_text("config: most_cancelled was 0.5 and is 0.6").wait_for()
    await click(page, "button", "Launch 367 steps")
    await ended(page, "succeeded")

    await click(page, "link", "Overview")
    await page.get_by_text("All is well").first.wait_for()
    row = page.get_by_role("row", name="delays")
    await row.get_by_text("365/365").wait_for()
    await row.get_by_text("current").wait_for()
    await page.get_by_role("row", name="report").get_by_text("current").wait_for()
