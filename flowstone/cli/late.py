"""`flowstone status --late`: the watched assets that are late or overdue, from the store alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flowstone.assets.automation.freshness import Freshness
from flowstone.cli.freshness import freshness_document, late_since, watched_assets
from flowstone.cli.labels import ago
from flowstone.cli.places import history, shown
from flowstone.cli.server import ServerUrl, asked
from flowstone.cli.tables import table
from flowstone.counting import count
from flowstone.printable import one_line
from flowstone.runs.asset_freshness import longest_late

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from flowstone.cli.screen import Screen
    from flowstone.runs.asset_freshness import FreshnessStatus

__all__ = ["tell_late"]


async def tell_late(screen: Screen, url: str, limit: int) -> None:
    """List them, the overdue ones first."""
    watched: Sequence[object]
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            late = list(await client.late())
            watched = [each for each in await client.assets() if each.freshness is not None]
    else:
        async with history(url) as store:
            found = await watched_assets(store)
        # Two pipelines may watch one asset, each by its own policy.
        late, watched = longest_late(dict.fromkeys(found.values())), list(found)
    if screen.json:
        screen.document(
            {"late": [{"asset": each.asset, "freshness": freshness_document(each)} for each in late]}
        )
    elif late:
        screen.show(_table(screen, late[:limit]))
        if len(late) > limit:
            screen.note(f"{count(len(late) - limit, 'more asset')}: --limit N shows them.")
    elif watched:
        screen.note(f"None of {count(len(watched), 'watched asset')} is late.")
    else:
        screen.note(
            f"No asset is watched in {shown(url)}: `flowstone serve MODULE:PIPELINE` watches those that are "
            "defined with freshness=Freshness(within=…)."
        )


def _table(screen: Screen, late: Sequence[FreshnessStatus]) -> Table:
    now = datetime.now(UTC)
    made = table(screen, "asset", "freshness", "is to be fresh", "newest value")
    for each in late:
        policy = Freshness(each.within, each.overdue)
        made.add_row(one_line(each.asset), late_since(each), str(policy), ago(each.materialized_at, now))
    return made
