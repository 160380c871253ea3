"""The assets: what there is, by state, group, owner and name."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from flowstone.server.pages.page import Page
from flowstone.server.views.asset_rows import read_assets
from flowstone.server.views.asset_standing import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.server.asked import Asked
    from flowstone.server.views.asset_rows import AssetRow

__all__ = ["PAGE"]

_FILTERS: Final = ("state", "group", "owner")


async def load(asked: Asked) -> Mapping[str, Any]:
    """The table of the overview, without what the address leaves out."""
    table = await read_assets(asked)
    chosen = {name: asked.query.get(name, "") for name in (*_FILTERS, "q")}
    owners = {name: asset.tags.get("owner", "") for name, asset in asked.runtime.graph.assets.items()}
    return {
        "rows": [row for row in table.rows if _fits(row, chosen, owners)],
        "chosen": chosen,
        "not_looked_at": table.not_looked_at,
        "states": _states(table.rows, chosen["state"]),
        "groups": sorted({row.group for row in table.rows} - {""}),
        "owners": sorted(set(owners.values()) - {""}),
    }


def _fits(row: AssetRow, chosen: Mapping[str, str], owners: Mapping[str, str]) -> bool:
    found = {"state": row.standing.state, "group": row.group, "owner": owners.get(row.name, "")}
    return all(chosen[name] in ("", found[name]) for name in _FILTERS) and (
        chosen["q"].strip().lower() in row.name.lower()
    )


def _states(rows: Sequence[AssetRow], chosen: str) -> list[tuple[str, int]]:
    """The states that there are, and how many assets are in each."""
    numbers = Counter(row.standing.state for row in rows)
    return [(state, numbers[state]) for state in STATES if numbers[state] or state == chosen]


PAGE: Final = Page(
    "assets", "/assets", "assets.html", load, ("shown",), rows=("asset_row", "rows"), stale=True
)
