"""The actor that publishes the asset graph, and what new definitions must not ask for.

Reads take the current snapshot and never queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flowstone.actors import Actor, Call
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from flowstone.assets.snapshot import Snapshot

__all__ = ["AssetRegistry", "Publish", "check_equipped"]


@frozen
class Publish(Call["AssetRegistry", None]):
    """Work by these definitions from now on; runs already planned keep theirs."""

    snapshot: Snapshot


class AssetRegistry(Actor):
    """Replaces the current snapshot, which anybody reads without asking.

    Args:
        publish: Makes a snapshot the current one; the first was made so before the runtime started.
    """

    def __init__(self, publish: Callable[[Snapshot], None]) -> None:
        self._publish = publish

    async def handle(self, message: Publish) -> None:
        match message:
            case Publish(snapshot):
                self._publish(snapshot)
            case _:
                assert_never(message)


def check_equipped(
    new: Snapshot, old: Snapshot, managers: Collection[str], resources: Collection[str]
) -> None:
    """Check that the runtime has every IO manager and resource that the new definitions name.

    What the old definitions already named without the runtime having it still fails where it is used.

    Raises:
        DefinitionError: It lacks one; the message names the asset, its source line and what is missing.
    """
    tolerated = {asset.io for asset in old.graph.assets.values()}
    tolerated.update(name for asset in old.graph.assets.values() for name in asset.requires)
    for asset in new.graph.assets.values():
        if asset.io not in managers and asset.io not in tolerated:
            raise DefinitionError(
                f"Asset {asset.name!r} ({asset.source}) keeps its values in the IO manager {asset.io!r}, which "
                f"this runtime does not have: make a new Runtime, with io={{{asset.io!r}: …}}."
            )
        for name in sorted(asset.requires):
            if name not in resources and name not in tolerated:
                raise DefinitionError(
                    f"Asset {asset.name!r} ({asset.source}) needs the resource {name!r}, which this runtime does "
                    f"not have: make a new Runtime, with resources={{{name!r}: …}}."
                )
