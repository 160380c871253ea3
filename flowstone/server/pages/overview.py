"""The overview: is all well; what runs, what failed, and what waits for somebody?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import are, count
from flowstone.runs.records import Status
from flowstone.server.pages.page import Page
from flowstone.server.views.asset_rows import read_assets
from flowstone.server.views.day_lanes import BACK, axis_of, lanes_of
from flowstone.server.views.needs import read_needs
from flowstone.server.views.run_progress import progress_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.server.asked import Asked
    from flowstone.server.views.asset_rows import AssetTable
    from flowstone.server.views.needs import Needs

__all__ = ["PAGE"]

_SHOWN = 8
_UNDER_WAY = (Status.RUNNING, Status.QUEUED, Status.WAITING)
_RUNS: Final = 300
"""Of so many newest runs those of the last day are drawn."""

_TEN_LINES: Final = """\
from flowstone import Pipeline

pipeline = Pipeline("shop")

@pipeline.asset
async def orders() -> list[int]:
    return [12, 30, 7]

@pipeline.asset
async def revenue(orders: list[int]) -> int:
    return sum(orders)
"""


async def load(asked: Asked) -> Mapping[str, Any]:
    """What needs somebody, what is under way, what comes next, all assets, and the runs of a day."""
    runtime = asked.runtime
    table, under_way, newest, nodes = await asyncio.gather(
        read_assets(asked),
        runtime.runs(status=_UNDER_WAY, limit=_SHOWN),
        runtime.runs(limit=_RUNS),
        runtime.nodes(),
    )
    automations = table.automations
    needs = await read_needs(asked, table, automations, newest)
    upcoming = _upcoming(automations)
    running = [step for node in nodes if node.alive for step in node.running]
    progress = [progress_of(run, running, asked.now) for run in under_way]
    recent = [run for run in newest if asked.now - run.created_at < BACK or not run.status.terminal]
    return {
        "ten_lines": _TEN_LINES,
        "needs": needs,
        "verdict": needs.sentence,
        "calm": _calm(table),
        "quiet": _quiet(table, needs, len(under_way), upcoming),
        "next_fire": upcoming[0] if upcoming else None,
        "progress": progress,
        "upcoming": upcoming[:_SHOWN],
        "rows": table.rows,
        "axis": axis_of(asked.now),
        "lanes": lanes_of(recent, automations, asked.now),
    }


def _calm(table: AssetTable) -> str:
    """The sentence where nothing needs anybody."""
    states = {row.standing.state for row in table.rows}
    if states <= {"ok", "running"}:
        return "All is well."
    return "Nothing has been made yet." if states == {"never"} else "Nothing has failed."


def _quiet(table: AssetTable, needs: Needs, running: int, upcoming: Sequence[AutomationStatus]) -> str:
    said = [f"{count(running, 'run')} {are(running)} under way." if running else "Nothing runs."]
    well = sum(1 for row in table.rows if row.standing.state == "ok")
    stale = sum(1 for row in table.rows if row.shape == "stale")
    if table.rows:
        besides = f", {stale:,} {are(stale)} stale" if stale else ""
        said.append(f"{well:,} of {count(len(table.rows), 'asset')} {are(well)} well{besides}.")
    if left := table.not_looked_at:
        said.append(f"{count(left, 'asset')} {are(left)} yet to be looked at for stale values.")
    if needs.overdue:
        return " ".join(said)
    if any(each.kind == "freshness" for each in upcoming) or table.late:
        said.append("Nothing is overdue.")
    return " ".join(said)


def _upcoming(automations: Sequence[AutomationStatus]) -> list[AutomationStatus]:
    coming = [each for each in automations if each.next_fire is not None]
    return sorted(coming, key=lambda each: (each.next_fire is None, each.next_fire))


PAGE: Final = Page(
    "overview",
    "/",
    "overview.html",
    load,
    ("verdict", "needs", "running", "day"),
    pace=0.2,
    rows=("asset_row", "rows"),
    stale=True,
)
