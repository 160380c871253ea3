"""Why a step cannot run: upstream values that are not there yet, and partitions that there will never be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_labels import partition_label
from flowstone.errors import DependencyNotReady

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.asset import Asset
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.runtime.inputs import Needs

__all__ = ["not_ready", "unreachable"]


def not_ready(
    view: PartitionView,
    asset: Asset[..., Any],
    partition: Any,
    needs: Sequence[Needs],
    found: Mapping[StepKey, Materialization],
) -> DependencyNotReady | None:
    """What a step lacks of what it cannot do without; None if nothing."""
    missing = [name for need in needs for name in need.missing(found)]
    nowhere = [need for need in needs if need.unreachable]
    if not missing and not nowhere:
        return None
    said = []
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        said.append(
            f"{shown} {'has' if len(missing) == 1 else 'have'} no value. Materialize upstream first, or use "
            f"materialize_all (on the command line: --upstream)."
        )
    said += [f"{unreachable(view, asset, partition, need)}." for need in nowhere]
    names = [f"{need.dependency.asset}[none for {partition_label(partition)}]" for need in nowhere]
    return DependencyNotReady(f"Asset {asset.name!r} is not ready: {' '.join(said)}", [*missing, *names])


def unreachable(view: PartitionView, asset: Asset[..., Any], partition: Any, need: Needs) -> str:
    """The sentence for a dependency that leads to no partition, without its full stop, and what helps."""
    upstream, parameter = need.dependency.asset, need.dependency.parameter
    keys = view.set_of(upstream)
    mapping = asset.mappings.get(upstream)
    how = "" if mapping is None else f" by {mapping!r}"
    extent = "has none"
    if keys is not None and keys.size:
        first, last = partition_label(keys.key_at(0)), partition_label(keys.key_at(keys.size - 1))
        extent = f"has {first} to {last}"
    remedy = (
        f"give the parameter {parameter!r} a default, which it then receives"
        if parameter is not None
        else f"let the partitions of {upstream!r} begin earlier, or depend on it in another way"
    )
    return (
        f"{partition_label(partition)} leads{how} to no partition of {upstream!r}, which {extent}: {remedy}"
    )
