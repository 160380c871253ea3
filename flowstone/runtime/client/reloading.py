"""Whether a runtime can work by other definitions than those it was made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.assets.snapshot import Snapshot

__all__ = ["check_equipped"]


def check_equipped(
    new: Snapshot, old: Snapshot, managers: Collection[str], resources: Collection[str]
) -> None:
    """Check that the runtime has every IO manager and resource that the new definitions name.

    What the old definitions named in vain already is left to fail where it is used, as it did.

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
