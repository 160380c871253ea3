"""All that a pipeline defines besides assets which does something by itself, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.assets.automation.asset_condition import Condition
from flowstone.assets.automation.freshness_policy import FreshnessPolicy
from flowstone.assets.automation.listener import Listener
from flowstone.assets.automation.schedule import Schedule
from flowstone.assets.automation.sensor import Sensor
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.asset import Asset

__all__ = ["DefinedAutomation", "automations_of", "merge_automations", "with_conditions"]

DefinedAutomation: TypeAlias = Schedule | Sensor | Listener | FreshnessPolicy | Condition


def merge_automations(
    into: dict[str, DefinedAutomation], automations: Mapping[str, DefinedAutomation]
) -> None:
    """Add automations to others; the very same one may come again.

    Raises:
        DefinitionError: Two have one name.
    """
    for name, automation in automations.items():
        present = into.get(name, automation)
        if present is not automation:
            raise DefinitionError(
                f"{name!r} is the name of a {present.kind} at {present.source} and of a {automation.kind} at "
                f"{automation.source}: give one of them another name."
            )
    into.update(automations)


def automations_of(
    pipelines: Iterable[tuple[str, Mapping[str, DefinedAutomation]]],
) -> dict[str, tuple[str, DefinedAutomation]]:
    """Those of several pipelines, whose names are given, by name: each with the first pipeline that has it.

    Raises:
        DefinitionError: Two have one name.
    """
    found: dict[str, DefinedAutomation] = {}
    owners: dict[str, str] = {}
    for pipeline, automations in pipelines:
        merge_automations(found, automations)
        for name in automations:
            owners.setdefault(name, pipeline)
    return {name: (owners[name], automation) for name, automation in found.items()}


def with_conditions(
    automations: Mapping[str, tuple[str, DefinedAutomation]],
    assets: Iterable[Asset[..., Any]],
    pipelines: Mapping[str, str],
) -> Mapping[str, tuple[str, DefinedAutomation]]:
    """These, and those of assets, which have the names of their assets.

    Args:
        automations: What pipelines define, each with its pipeline.
        assets: All assets.
        pipelines: The pipeline of each asset.

    Raises:
        DefinitionError: Another automation has the name of such an asset.
    """
    own = {
        asset.name: Condition(asset.name, asset.automation, asset.source)
        for asset in assets
        if asset.automation is not None
    }
    for name in automations.keys() & own.keys():
        merge_automations({name: automations[name][1]}, {name: own[name]})
    return {**automations, **{name: (pipelines[name], condition) for name, condition in own.items()}}
