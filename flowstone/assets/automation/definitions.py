"""All that a pipeline defines besides assets which does something by itself, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from flowstone.assets.automation.freshness_policy import FreshnessPolicy
from flowstone.assets.automation.listener import Listener
from flowstone.assets.automation.schedule import Schedule
from flowstone.assets.automation.sensor import Sensor
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DefinedAutomation", "automations_of", "merge_automations"]

DefinedAutomation: TypeAlias = Schedule | Sensor | Listener | FreshnessPolicy


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
