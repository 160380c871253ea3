"""The freshness of assets as automations: what is watched, under which name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flowstone.assets.asset import Asset, SourceLine
    from flowstone.assets.automation.freshness import Freshness

__all__ = ["FRESHNESS", "FreshnessPolicy", "freshness_policies"]

FRESHNESS: Final = "freshness:"
"""What the names of automations begin with that watch the freshness of an asset; no other may."""


@frozen
class FreshnessPolicy:
    """The freshness of one asset as something that is watched.

    Attributes:
        name: What it is called among automations.
        asset: The asset's name.
        freshness: How old its value may become.
        source: Where the asset is defined.
        paused: False: it may be paused later.
    """

    kind: ClassVar[Literal["freshness"]] = "freshness"
    name: str
    asset: str
    freshness: Freshness
    source: SourceLine
    paused: bool = False

    @property
    def definition(self) -> str:
        """How old it may become, as text: a change of it begins anew."""
        return str(self.freshness)


def freshness_policies(
    assets: Iterable[Asset[..., Any]], pipelines: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, FreshnessPolicy]]]:
    """Those of assets, by name, each with its pipeline.

    Args:
        assets: All assets.
        pipelines: The pipeline of each asset.
    """
    for asset in assets:
        if asset.freshness is not None:
            name = FRESHNESS + asset.name
            yield (
                name,
                (pipelines[asset.name], FreshnessPolicy(name, asset.name, asset.freshness, asset.source)),
            )
