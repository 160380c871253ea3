"""The audit log: who did what, when, and on what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from flowstone.errors import AssetNotFound
from flowstone.runs.audit import WORDS, details_text
from flowstone.server.audit_log import readable_by
from flowstone.server.pages.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.server.asked import Asked

__all__ = ["PAGE"]

_ROWS: Final = 100
_FILTERS: Final = ("asset", "run", "by")


async def load(asked: Asked) -> Mapping[str, Any]:
    """A page of the entries that fit."""
    query = asked.query
    filters = {name: query[name] for name in _FILTERS if query.get(name)}
    before = query.get("before", "")
    try:
        found = await asked.runtime.audit(
            filters.get("asset"),
            filters.get("run"),
            by=filters.get("by"),
            limit=_ROWS + 1,
            before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
        )
    except AssetNotFound:
        found = []
    shown = found[:_ROWS]
    older = {**filters, "before": shown[-1].id} if len(found) > _ROWS else None
    return {
        "entries": readable_by(asked.identity, shown),
        "filters": filters,
        "did": WORDS,
        "said": details_text,
        "older": None if older is None else f"/audit?{urlencode(older)}",
        "later": bool(before),
        "assets": list(asked.runtime.graph.order()),
    }


PAGE: Final = Page("system", "/audit", "audit.html", load, ("list",), pace=0.5)
