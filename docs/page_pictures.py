"""Draws `docs/images/*.png`, the pages of the shop in `docs/shop.py`: `uv run python docs/page_pictures.py`.

A real runtime computes a year of the shop, and a Chromium looks at each page, light and dark. Tracebacks have the
name of the file alone, so that no picture shows where it was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from playwright.async_api import async_playwright

from flowstone import Pipeline, Runtime
from flowstone.server import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SHOP = Path(__file__).with_name("shop.py")
IMAGES = Path(__file__).with_name("images")
SIZE = {"width": 1440, "height": 900}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def shop() -> Pipeline:
    """The pipeline, from a file without a folder."""
    source = SHOP.read_text(encoding="utf-8")
    linecache.cache[SHOP.name] = (len(source), None, source.splitlines(keepends=True), SHOP.name)
    names: dict[str, Any] = {"__name__": "shop", "__file__": SHOP.name}
    exec(compile(source, SHOP.name, "exec"), names)  # noqa: S102 - our own file, which is beside this one
    pipeline: Pipeline = names["pipeline"]
    return pipeline


@contextlib.asynccontextmanager
async def serving(runtime: Runtime) -> AsyncIterator[str]:
    """Where the pages are."""
    options: dict[str, Any] = {"lifespan": "off", "log_level": "error", "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(create_app(runtime), host="127.0.0.1", port=0, **options))
    answering = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - there is no event of it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await answering


async def a_day_of_it(runtime: Runtime) -> dict[str, str]:
    """What there is to see: a year, two days that failed, a question, a run under way; where each page is."""
    year = await runtime.backfill("monthly", upstream=True, max_parallel=4, by="ada")
    await runtime.submit("newsletter", by="grace")
    await runtime.submit("forecast", upstream=False, by="linus")
    await asyncio.sleep(4)
    again = "partitions=2025-03-10:2025-03-20&upstream=yes&refresh=missing&config.revenue.currency=NOK"
    return {
        "overview": "/",
        "graph": "/graph",
        "assets": "/assets",
        "asset": "/assets/orders",
        "partition": "/assets/orders/2025-03-14",
        "runs": "/runs",
        "run": f"/runs/{year.run_id}",
        "launch": f"/launch?asset=revenue&{again}",
        "waiting": "/waiting",
        "automation": "/automation",
        "system": "/system",
    }


async def main(*wanted: str) -> None:
    """Draw them all, or those that are named."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        sys.exit("There is no Chromium here: `apt-get install chromium` brings one.")
    async with (
        Runtime(shop(), automate=True) as runtime,
        serving(runtime) as url,
        async_playwright() as playwright,
    ):
        pages = await a_day_of_it(runtime)
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for colour in ("light", "dark"):
            context = await browser.new_context(color_scheme=colour, viewport=SIZE, reduced_motion="reduce")
            page = await context.new_page()
            for name in wanted or pages:
                await page.goto(url + pages[name], wait_until="load")
                await asyncio.sleep(1.5)  # Until it is drawn and live.
                await page.screenshot(path=IMAGES / f"{name}-{colour}.png")
            await context.close()
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
