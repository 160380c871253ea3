"""Texts of any length: no page gets wider by them, and what stands beside them stays in sight.

A text that cannot be broken is as long as a name, a path or a key may be; one of 5,000 characters has spaces.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from flowstone import Config, Context, Output, Pipeline, RunFailed, SensorContext, StaticPartitions
from tests.browser.test_accessibility import SIZES, addresses

SOLID = "x" * 300
PROSE = "words " * 830 + SOLID
NAME = "a" * 199
KEYS = (f"k{SOLID}", PROSE[:900], "short")

MEASURE = """() => {
  for (const each of document.querySelectorAll("main details")) each.open = true;
  const wide = document.documentElement.scrollWidth, found = [];
  if (wide > innerWidth) found.push(`the page has ${wide} pixels`);
  const clips = element => element && element !== document.body &&
    (getComputedStyle(element).overflowX !== "visible" || clips(element.parentElement));
  const said = element => `<${element.tagName} id="${element.id}" class="${element.getAttribute("class")}">`;
  for (const element of document.querySelectorAll("main *")) {
    const box = element.getBoundingClientRect(), above = element.parentElement;
    if (!box.width || element.closest("svg, .vh") || clips(above)) continue;
    const over = box.right - above.closest(".pane, .side > section, .head, main").getBoundingClientRect().right;
    if (over > 1) { found.push(`${said(element)} ends ${Math.round(over)} pixels beside its frame`); break; }
  }
  if (innerWidth > 1000) for (const each of document.querySelectorAll(".scroll-x"))
    if (each.scrollWidth > each.clientWidth + 1)
      found.push(`${said(each)}: ${each.scrollWidth} pixels in ${each.clientWidth}`);
  return found;
}"""


class Limits(Config):
    """What may be set."""

    limit: int = 3
    label: str = SOLID


def wordy() -> Pipeline:
    """Long texts wherever somebody may write one."""
    pipeline = Pipeline("p" * 200)
    keys = StaticPartitions(KEYS)
    tags = {"group": SOLID, "owner": SOLID}

    @pipeline.asset(name=f"b{NAME}", partitions=keys, description=PROSE, tags=tags, version=SOLID)
    async def bad(context: Context, limits: Limits) -> int:
        print(PROSE)
        context.log.warning(SOLID, said=PROSE)
        raise ValueError(f"{SOLID} {PROSE} {limits.label}")

    @pipeline.asset(name=f"c{NAME}", partitions=keys, deps=[bad], tags=tags)
    async def after(context: Context) -> int:
        return 1

    @pipeline.asset(name=f"m{NAME}", description=PROSE, version=SOLID)
    async def made() -> Output[int]:
        return Output(1, metadata={SOLID[:60]: PROSE, "said": SOLID, "number": 1e300})

    @pipeline.asset(name=f"w{NAME}", partitions=keys)
    async def waits(context: Context) -> int:
        context.approval(
            "n" * 200, message=SOLID + PROSE, data={SOLID[:60]: 1, "said": PROSE, SOLID[1:]: SOLID}
        )
        return 1

    @pipeline.asset(name=f"r{NAME}")
    async def running(context: Context) -> int:
        context.progress(0.4, SOLID)
        await asyncio.Event().wait()
        return 1

    @pipeline.sensor("s" * 200, every=3600.0)
    async def broken(context: SensorContext) -> None:
        raise OSError(PROSE + SOLID)

    pipeline.schedule("t" * 200, cron="0 6 * * *", asset=made)
    return pipeline


@contextlib.asynccontextmanager
async def worked(site):
    """All of it done: failed, skipped, waiting, decided, running; and where there is what."""
    async with site(wordy(), automate=True, shutdown_timeout=0) as visited:
        runtime = visited.runtime
        tags = {"why": SOLID, "by": SOLID, SOLID[:60]: PROSE}
        failed = await runtime.submit_backfill(
            f"c{NAME}", upstream=True, config={f"b{NAME}": {"label": PROSE}}, tags=tags
        )
        with contextlib.suppress(RunFailed):
            await failed.wait()
        await runtime.materialize(f"m{NAME}", tags=tags)
        for key in (*KEYS[:2], KEYS[2]):
            run = await runtime.submit(f"w{NAME}", partition=key, tags=tags)
            async for event in run.events():
                if event.kind == "run.waiting":
                    break
        *_, first = await runtime.approvals()
        await runtime.reject(first.id, by=SOLID, reason=PROSE)
        await runtime.submit(f"r{NAME}", tags=tags)
        (shown, *_) = await runtime.approvals()
        yield (
            visited,
            {
                "run_id": failed.id,
                "id": failed.id,
                "asset": f"b{NAME}",
                "name": f"b{NAME}",
                "key": KEYS[0],
                "approval": shown.id,
                "node": runtime.node,
            },
        )


def more(places):
    """Further states of the pages."""
    run, bad, after = places["run_id"], f"b{NAME}", f"c{NAME}"
    yield f"/automation/{'s' * 200}"
    yield f"/assets/{bad}?view=table"
    yield f"/assets/{after}/{KEYS[0]}"
    yield f"/assets/m{NAME}"
    yield f"/assets/m{NAME}/"
    yield f"/runs/{run}?step={after}[{KEYS[0]}]"
    yield f"/runs/{run}?log=run&status=skipped"
    chosen = f"asset={after}&partitions={KEYS[0]},short&upstream=yes&refresh=all"
    yield f"/launch?{chosen}&reason={SOLID}&config.{bad}.label={SOLID}"
    yield f"/launch?asset={after}&partitions={SOLID}"
    yield "/waiting?show=decided"
    yield f"/assets?owner={SOLID}&q={SOLID}"
    yield f"/runs?asset={bad}&tag={SOLID}"
    yield f"/graph?focus={bad}&open=all"
    yield f"/nothing/{SOLID}"
    yield f"/assets/{SOLID}"
    yield "/login"


@pytest.mark.parametrize("size", SIZES)
async def test_no_page_gets_wider(site, size):
    """And on a wide screen no table either: its last column is in sight."""
    width, height = SIZES[size]
    async with worked(site) as (visited, places):
        found = []
        for path in (*addresses(places, asset=f"c{NAME}", automation="t" * 200), *more(places)):
            page = await visited.open(path, width=width, height=height)
            found += [f"{path.replace(SOLID, 'SOLID')[:80]}: {each}" for each in await page.evaluate(MEASURE)]
            await page.close()
        visited.problems[:] = [
            each for each in visited.problems if "404" not in each
        ]  # Of what is not there.
        assert found == []
