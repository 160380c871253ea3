"""What surrounds every page: the navigation, and what it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.frozen import frozen
from flowstone.runs.records import Status
from flowstone.server.views.waiting import answers_awaited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.server.asked import Asked

__all__ = ["KEYS", "NAVIGATION", "SHELL", "Entry", "shell_values"]


@frozen
class Entry:
    """One entry of the navigation.

    Attributes:
        page: The name of its page.
        path: Where it leads to.
        icon: Its shape.
        title: Its word.
        key: What is pressed after `g`.
    """

    page: str
    path: str
    icon: str
    title: str
    key: str


NAVIGATION: Final[tuple[Entry, ...]] = (
    Entry("overview", "/", "n-over", "Overview", "o"),
    Entry("graph", "/graph", "n-graph", "Graph", "g"),
    Entry("assets", "/assets", "n-asset", "Assets", "e"),
    Entry("runs", "/runs", "n-run", "Runs", "r"),
    Entry("launch", "/launch", "n-launch", "Launch", "l"),
    Entry("waiting", "/waiting", "n-wait", "Waiting", "w"),
    Entry("automation", "/automation", "n-auto", "Automation", "a"),
    Entry("system", "/system", "n-sys", "System", "s"),
)

KEYS: Final[tuple[tuple[str, str], ...]] = (
    ("Ctrl K", "Find or do"),
    ("?", "These keys"),
    *((f"g {entry.key}", entry.title) for entry in NAVIGATION),
    ("j k", "Next, previous row"),
    ("↵", "Open"),
    ("x", "Select row"),
    ("l", "Launch for selection"),
    ("a", "Approve"),
    ("r", "Reject or retry"),
    ("c", "Cancel run"),
    ("/", "Search this page"),
    ("f", "Follow logs"),
    ("t", "Light or dark"),
    ("esc", "Back, close"),
)

SHELL: Final = ("counts_runs", "counts_waiting", "tab_waiting", "cluster")
"""The blocks around every page that change while it is open."""

_MOST: Final = 1000


async def shell_values(asked: Asked) -> Mapping[str, Any]:
    """The values that every template may use."""
    runtime = asked.runtime
    under_way = await runtime.runs(status=(Status.RUNNING, Status.QUEUED), limit=_MOST)
    waiting = await answers_awaited(runtime)
    return {
        "navigation": NAVIGATION,
        "keys": KEYS,
        "identity": asked.identity,
        "now": asked.now,
        "runs_under_way": len(under_way),
        "answers_awaited": len(waiting),
        "node": runtime.node,
        "pipelines": runtime.pipelines,
        "asset_count": len(runtime.graph),
        "keymap": {entry.key: entry.path for entry in NAVIGATION},
    }
