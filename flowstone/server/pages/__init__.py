"""The pages, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.server.pages import (
    asset,
    assets,
    audit,
    automation,
    graph,
    launch,
    overview,
    partition,
    run,
    runs,
    system,
    waiting,
)

if TYPE_CHECKING:
    from flowstone.server.pages.page import Page

__all__ = ["PAGES"]

PAGES: Final[tuple[Page, ...]] = (
    overview.PAGE,
    graph.PAGE,
    launch.PAGE,
    assets.PAGE,
    asset.PAGE,
    partition.PAGE,
    runs.PAGE,
    run.PAGE,
    automation.PAGE,
    automation.DETAIL,
    waiting.PAGE,
    waiting.ONE,
    system.PAGE,
    system.ONE,
    audit.PAGE,
)
