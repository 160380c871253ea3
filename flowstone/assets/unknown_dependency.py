"""What to say to somebody whose asset depends on what does not exist."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from flowstone.assets.suggest import did_you_mean
from flowstone.assets.type_hints import unknown_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.assets.asset import Asset, Dependency

__all__ = ["unknown_dependency"]

_LONGEST_DEFAULT = 40


def unknown_dependency(asset: Asset[..., Any], dependency: Dependency, names: Iterable[str]) -> str:
    """The sentence about a dependency that names none of the assets, and what to do."""
    way = "deps=" if dependency.parameter is None else "its parameter"
    hint = did_you_mean(dependency.asset, (name for name in names if name != asset.name))
    remedy = (
        "" if hint else " Define it, include its pipeline, or annotate a resource Annotated[…, Resource]."
    )
    # A default makes an input optional, where many expect that it makes the parameter a setting.
    setting = ""
    if dependency.optional:
        value = f'pipeline.value("{dependency.asset}", {_default(asset, dependency)})'
        setting = f" If it is a setting, define its value: {value}."
    unresolved = "" if hint else _unresolved(dependency.annotation)
    return (
        f"Asset {asset.name!r} ({asset.source}) depends through {way} on {dependency.asset!r}, but there is no "
        f"such asset.{hint}{unresolved}{setting}{remedy}"
    )


def _unresolved(annotation: Any) -> str:
    """What to say of an annotation that cannot be resolved: it may have meant no asset at all."""
    names = " or ".join(dict.fromkeys(unknown_names(annotation)))
    if not names:
        return ""
    return (
        f" Its annotation could not be resolved: at run time there is no {names}, as after an import under "
        f"`if TYPE_CHECKING:`. If it stands for Context or a resource, import it at run time."
    )


def _default(asset: Asset[..., Any], dependency: Dependency) -> str:
    """The default of the dependency's parameter as it is written, if that is short."""
    parameter = inspect.signature(asset.function).parameters[dependency.parameter or dependency.asset]
    try:
        shown = repr(parameter.default)
    except Exception:
        return "…"
    return shown if len(shown) <= _LONGEST_DEFAULT and shown.isprintable() else "…"
