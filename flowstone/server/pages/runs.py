"""The runs: what ran, what runs, and who asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from flowstone.frozen import frozen
from flowstone.runs.access import Role
from flowstone.server.pages.page import Page
from flowstone.server.views.day_lanes import BACK, axis_of, lanes_of
from flowstone.server.views.run_list import FILTERS, SINCE, STATUSES, read_runs
from flowstone.server.views.run_origin import Origin, by_hand, origins_of
from flowstone.server.views.run_progress import progress_of
from flowstone.server.views.typed import typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.records import RunRecord
    from flowstone.server.asked import Asked

__all__ = ["PAGE"]

_FIRES: Final = 100
_DRAWN: Final = 300


@frozen
class RunRow:
    """A row of the list."""

    run: RunRecord
    parts: Sequence[tuple[str, int]]
    took: float | None
    origin: Origin


async def load(asked: Asked) -> Mapping[str, Any]:
    """The runs of the filters, and the lanes of a day."""
    runtime, query = asked.runtime, asked.query
    filters = {name: query[name] for name in FILTERS if query.get(name)}
    page = await read_runs(runtime, filters, query.get("before") or None)
    automations = list(await runtime.automations(fires=_FIRES))
    origins = origins_of(automations)
    running = runtime.running_steps()
    rows = [
        RunRow(
            run,
            progress_of(run, running, asked.now).parts,
            _took(asked, run),
            Origin("retry", run.request.retry_of)
            if run.request.retry_of
            else origins.get(run.id) or by_hand(run),
        )
        for run in page.runs
    ]
    under_way = await read_runs(runtime, filters, None, under_way=True)
    newest = await runtime.runs(limit=_DRAWN)
    recent = [run for run in newest if asked.now - run.created_at < BACK or not run.status.terminal]
    return {
        "rows": rows,
        "filters": filters,
        "statuses": [each.value for each in STATUSES],
        "sinces": tuple(SINCE),
        "under_way": len(under_way.runs),
        "older": None if page.before is None else "/runs?" + urlencode({**filters, "before": page.before}),
        "later": bool(query.get("before")),
        "with_filters": _with(filters),
        "assets": (names := list(runtime.graph.order())),
        "command": typed(asked, "materialize", names[-1], names[-1]) if names and not rows else "",
        "axis": axis_of(asked.now),
        "lanes": lanes_of(recent, automations, asked.now),
        "may": asked.identity.role.may(Role.OPERATE),
    }


def _took(asked: Asked, run: RunRecord) -> float | None:
    if run.started_at is None:
        return None
    return ((run.finished_at or asked.now) - run.started_at).total_seconds()


def _with(filters: Mapping[str, str]) -> Any:
    def address(**changes: str) -> str:
        chosen = {name: value for name, value in {**filters, **changes}.items() if value}
        return "/runs" + (f"?{urlencode(chosen)}" if chosen else "")

    return address


PAGE: Final = Page("runs", "/runs", "runs.html", load, ("under_way", "list", "day"), pace=0.5)
