"""What a first visit to each page sends, and when something is first seen: a Chromium with nothing in its cache."""

from __future__ import annotations

import shutil
import statistics
from datetime import date, timedelta
from typing import Any

from benchmarks.figure import Figure
from benchmarks.pages.serving import serving
from flowstone import Context, DailyPartitions, Pipeline, Runtime

DAYS = DailyPartitions(date(2025, 1, 1), date(2025, 1, 1) + timedelta(364))
PAINT = """() => new Promise(done => new PerformanceObserver(list => {
  const first = list.getEntriesByName("first-contentful-paint")[0];
  if (first) done(first.startTime);
}).observe({type: "paint", buffered: true}))"""


def computed(context: Context) -> int:
    """One day of one asset fails."""
    if context.asset == "asset_07" and context.partition == date(2025, 3, 1):
        raise ValueError("no file for this day")
    return 1


def shop() -> Pipeline:
    """Thirty daily assets in a row of groups; one day of one fails."""
    pipeline = Pipeline("shop")
    above: list[str] = []
    for number in range(30):
        name = f"asset_{number:02}"
        deps = above[-2:] if number % 5 else []
        pipeline.asset(name=name, partitions=DAYS, deps=deps, tags={"group": f"g{number // 5}"})(computed)
        above.append(name)
    pipeline.schedule("nightly", cron="0 6 * * *", asset="asset_29", partition="latest")
    return pipeline


async def visited(browser: Any, url: str) -> tuple[float, float]:
    """Kilobytes as they were sent, and milliseconds until something was seen."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    await session.send("Network.enable")
    sent: list[float] = []
    session.on("Network.loadingFinished", lambda each: sent.append(each["encodedDataLength"]))
    await page.goto(url, wait_until="load")
    paint = await page.evaluate(PAINT)
    await context.close()
    return sum(sent) / 1_000, paint


async def measure(*, quick: bool) -> list[Figure]:
    """Figures of each page."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - the other benchmarks do without a browser

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("There is no Chromium here: `apt-get install chromium` brings one.")
    rounds = 1 if quick else 7
    figures = []
    async with Runtime(shop()) as runtime, serving(runtime) as (_, port), async_playwright() as playwright:
        result = await runtime.backfill("asset_29", upstream=True, max_parallel=64)
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pages = {
            "Overview": "/",
            "Graph": "/graph",
            "Assets": "/assets",
            "Asset": "/assets/asset_07",
            "Partition": "/assets/asset_07/2025-03-01",
            "Runs": "/runs",
            "Run": f"/runs/{result.run_id}",
            "Launch": "/launch?asset=asset_29&partitions=2025-01-01:2025-12-31",
            "Waiting": "/waiting",
            "Automation": "/automation",
            "System": "/system",
        }
        for name, path in pages.items():
            found = [await visited(browser, f"http://127.0.0.1:{port}{path}") for _ in range(rounds)]
            weight = max(kilobytes for kilobytes, _ in found)
            paint = statistics.median(milliseconds for _, milliseconds in found)
            figures.append(Figure(f"{name}: sent on a first visit", "kB", weight, at_most=80))
            figures.append(Figure(f"{name}: until something is seen", "ms", paint, at_most=300))
        await browser.close()
    return figures
