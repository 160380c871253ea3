"""`flowstone tree`: every process of a runtime, as its supervisors see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, Target
from flowstone.cli.screen import Screen
from flowstone.cli.session import open_runtime

if TYPE_CHECKING:
    from flowstone.actors import ProcessInfo
    from flowstone.cli.loading import Loaded

__all__ = ["tree"]


def tree(target: Target, json: Json = False, debug: Debug = False) -> None:
    """Start a runtime for a pipeline and show its supervision tree."""
    with Screen(json=json, debug=debug) as screen:
        info = run_async(_snapshot(screen, load(target)))
        if screen.json:
            screen.document(_document(info))
        else:
            screen.show(repr(info))


async def _snapshot(screen: Screen, loaded: Loaded) -> ProcessInfo:
    async with open_runtime(screen, loaded, "memory://") as runtime:
        return runtime.tree()


def _document(info: ProcessInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "kind": info.kind,
        "state": info.state,
        "restarts": info.restarts,
        "mailbox_depth": info.mailbox_depth,
        "detail": info.detail,
        "abandoned": list(info.abandoned),
        "children": [_document(child) for child in info.children],
    }
