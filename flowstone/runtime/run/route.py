"""What a route chose: read from what its function returned, and put on record with the value.

The choice is part of the record of the step's success. So it is made once in a run, however often a process dies
after it, and every node that goes on with the run finds it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.output import Output
from flowstone.assets.suggest import did_you_mean
from flowstone.runs.choices import ROUTE
from flowstone.runs.records import Failure

if TYPE_CHECKING:
    from flowstone.assets.asset import Asset

__all__ = ["with_choice"]


def with_choice(asset: Asset[..., Any], returned: Any) -> Output[Any] | Failure:
    """What a route returned with its choice as metadata, or the failure if it is none."""
    output = returned if type(returned) is Output else Output(returned)
    value = output.value
    names = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        return _refused(
            asset, f"returned {value!r:.200}, which is no name of an asset, list of names or None."
        )
    for name in names:
        if name not in asset.routes_to:
            hint = did_you_mean(name, asset.routes_to) if isinstance(name, str) else ""
            return _refused(asset, f"chose {name!r:.200}, which is not one of its assets.{hint}")
    metadata = {**(output.metadata or {}), ROUTE: list(dict.fromkeys(names))}
    return Output(value, metadata=metadata, data_version=output.data_version)


def _refused(asset: Asset[..., Any], what: str) -> Failure:
    remedy = f"Return one of {', '.join(asset.routes_to)}, or add it to the `to=` of the route."
    return Failure("error", f"ValueError: The route {asset.name!r} {what} {remedy}")
