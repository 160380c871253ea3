"""Which assets of a server need which: as much of its graph as it takes to tell what a failure reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.assets.description import AssetDescription

__all__ = ["RemoteGraph"]


class RemoteGraph:
    """The graph of a server, as it was when it was asked for.

    Args:
        assets: Its assets.
    """

    def __init__(self, assets: Iterable[AssetDescription]) -> None:
        self._needs = {
            each.name: [need.asset for need in each.dependencies if need.takes != "outcome"]
            for each in assets
        }

    def __contains__(self, name: object, /) -> bool:
        return name in self._needs

    def needed(self, names: Iterable[str]) -> frozenset[str]:
        """These, and everything upstream whose failure reaches one: not what is only taken as an `Outcome`."""
        ahead = list(names)
        found = set(ahead)
        while ahead:
            fresh = [each for each in self._needs.get(ahead.pop(), ()) if each not in found]
            found.update(fresh)
            ahead += fresh
        return frozenset(found)
