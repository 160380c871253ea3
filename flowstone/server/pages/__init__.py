"""The pages, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.server.pages import asset, assets, graph, launch, overview, partition, run, runs

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
)
