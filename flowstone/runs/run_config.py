"""The config of a run: what was passed, checked at the edge, and what each asset gets of it. Pure.

`given` makes data of what somebody passed: by asset, only the fields that were passed, as JSON. That is part of the
`RunSpec`. `resolve` makes of it, wherever the run is planned, what the functions take: the fields that were not
passed have the defaults of the code that runs. Pydantic is loaded only where an asset has a config.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.asset import Asset, Configured
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import ConfigError
from flowstone.frozen import frozen
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.assets.config import Config, Refused
    from flowstone.assets.graph import AssetGraph

__all__ = ["AssetConfig", "changed_config", "given", "resolve"]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@frozen
class AssetConfig:
    """The config of one asset in a run.

    Attributes:
        value: What its function takes.
        record: The same as JSON, with stars for secrets: what its records have.
    """

    value: Config
    record: Mapping[str, Any]


def given(graph: AssetGraph, targets: tuple[str, ...], config: object) -> Mapping[str, Mapping[str, Any]]:
    """What was passed as `config=`, by asset, as JSON.

    A mapping of which any key names an asset is read by asset, and then every key must name one; any other one, and
    a `Config`, is the target's. Of several targets it has to say whose it is.

    Raises:
        ConfigError: It does not fit; the message names the asset and the field.
    """
    if config is None:
        return _NOTHING
    target = targets[-1]
    if isinstance(config, Configured):
        return _of_only(graph, targets, config)
    if not isinstance(config, Mapping):
        raise ConfigError(
            f"config={config!r:.100} takes a dict of fields, a dict of such dicts by asset, or a Config.",
            target,
        )
    keys = {key.name if isinstance(key, Asset) else key: each for key, each in config.items()}
    named = [key for key in keys if key in graph.assets]
    if not named:
        return _of_only(graph, targets, keys) if keys else _NOTHING
    for key in keys:
        if key not in graph.assets:
            hint = did_you_mean(str(key), graph.assets)
            raise ConfigError(
                f"The config names the asset {named[0]!r}, so every key of it must name one, and {key!r:.100} does "
                f"not.{hint}",
                target,
                str(key),
                remedies=_written(target, "…", f"Fields of {target!r} belong in a dict of their own:"),
            )
    return {name: _fields(graph, name, each, target) for name, each in keys.items()}


def _of_only(graph: AssetGraph, targets: tuple[str, ...], passed: object) -> Mapping[str, Mapping[str, Any]]:
    """Fields that are given without an asset."""
    if len(targets) == 1:
        return {targets[0]: _fields(graph, targets[0], passed)}
    taker = next((name for name in targets if graph.assets[name].config_parameter is not None), targets[-1])
    raise ConfigError(
        f"{len(targets)} assets are asked for, so the config has to say whose fields these are.",
        remedies=_written(taker, "…", f"Those of {taker!r} are written"),
    )


def _fields(graph: AssetGraph, name: str, passed: object, target: str | None = None) -> Mapping[str, Any]:
    parameter = graph.assets[name].config_parameter
    inside = None if target in {None, name} else _field_of(graph, str(target), name)
    if parameter is None:
        raise ConfigError(
            f"Asset {name!r} ({graph.assets[name].source}) takes no config: {_REMEDY}.",
            name,
            remedies=inside or _elsewhere(graph, name, passed),
        )
    if not isinstance(passed, Mapping | Configured):
        raise ConfigError(
            f"The config of {name!r} is {passed!r:.100}: because {name!r} is the name of an asset, that takes the "
            f"fields of {parameter.model.__name__}.",
            name,
            remedies=inside or _written(name, "FIELD", "Write"),
        )
    from flowstone.assets.config import Refused, read_fields  # noqa: PLC0415 - somebody has a config

    try:
        return read_fields(parameter.model, passed)  # type: ignore[arg-type] # what is Configured is a Config
    except Refused as problem:
        meant = "" if problem.hint or not problem.unknown else did_you_mean(str(problem.field), graph.assets)
        more = ", nor an asset of that name" if meant else ""
        raise _error(
            graph, name, problem, _elsewhere(graph, name, passed), more, meant
        ) from problem.__cause__


_REMEDY: Final = "annotate a parameter of it with a subclass of flowstone.Config"


def _elsewhere(graph: AssetGraph, name: str, passed: object) -> Remedies | None:
    """How the first field is written that the asset does not take, and another one does."""
    for field in passed if isinstance(passed, Mapping) else ():
        if _field_of(graph, name, str(field)) is not None:
            continue
        for other in graph.configured:
            if other != name and (found := _field_of(graph, other, str(field))) is not None:
                return found
    return None


def _field_of(graph: AssetGraph, asset: str, field: str) -> Remedies | None:
    """How a field of an asset is written; None if its config has no such field."""
    parameter = graph.assets[asset].config_parameter
    if parameter is None or field not in parameter.model.model_fields:
        return None
    return _written(asset, field, f"The field {field!r} of {asset!r} is")


def _written(asset: str, field: str, begin: str) -> Remedies:
    """A sentence that begins so, and ends with how a field of an asset is written."""
    inside = "{…}" if field == "…" else f"{{{field!r}: …}}"
    return Remedies(
        f"{begin} config={{{asset!r}: {inside}}}.",
        f"{begin} --config {asset}.{field.replace('…', 'FIELD')}=VALUE.",
        f"{begin} `{json.dumps({'config': {asset: {field: '…'}}}, ensure_ascii=False)}`.",
    )


def _error(
    graph: AssetGraph, name: str, problem: Refused, elsewhere: Remedies | None, more: str = "", hint: str = ""
) -> ConfigError:
    source = graph.assets[name].source
    words = f"The config of asset {name!r} ({source}) is refused: {problem}{more}.{problem.hint or hint}"
    return ConfigError(words, name, problem.field, remedies=elsewhere or _given_as(name, problem))


def _given_as(name: str, problem: Refused) -> Remedies | None:
    """How a command is given what is wrong or missing; in Python it is written where the error is raised."""
    if not problem.field or problem.secret:
        return None
    if problem.unknown:
        return Remedies(command=f"Its fields are given as --config {name}.FIELD=VALUE.")
    return Remedies(command=f"It is given as --config {name}.{problem.field}=VALUE.")


def resolve(
    graph: AssetGraph, assets: Collection[str], config: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, AssetConfig]:
    """What each asset of a run takes.

    Args:
        graph: The graph of the run.
        assets: The assets that are part of it.
        config: What `given` gave.

    Raises:
        ConfigError: An asset lacks a required field, does not fit its class any more, or has a config without being
            part of the run.
    """
    for name in config:
        if name not in assets:
            raise ConfigError(
                f"The config has fields for the asset {name!r}, which is not part of this run.",
                name,
                remedies=Remedies(
                    "Leave them out, or materialize it too (upstream=True).",
                    "Leave them out, or compute it too with --upstream.",
                    'Leave them out, or compute it too: `"upstream": true`.',
                ),
            )
        if graph.assets[name].config_parameter is None:
            raise ConfigError(f"Asset {name!r} takes no config any more: {_REMEDY}.", name)
    return {
        name: _resolved(graph, name, config.get(name, _NOTHING))
        for name in graph.configured
        if name in assets
    }


def _resolved(graph: AssetGraph, name: str, fields: Mapping[str, Any]) -> AssetConfig:
    from flowstone.assets.config import Refused, read_json, written  # noqa: PLC0415 - somebody has a config

    parameter = graph.assets[name].config_parameter
    assert parameter is not None
    try:
        value = read_json(parameter.model, fields)
        return AssetConfig(value, written(value))
    except Refused as problem:
        known = problem.field and not fields and not problem.secret
        example = _written(name, str(problem.field), "Pass") if known else None
        raise _error(graph, name, problem, example) from problem.__cause__


def changed_config(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str | None:
    """How the config of a value differs from the one that its asset has now, as a phrase; None if it does not."""
    if before == now:
        return None
    if before is None or now is None:
        return "it was computed without a config" if before is None else "its asset takes no config any more"
    name = next(name for name in (*now, *before) if before.get(name, _ABSENT) != now.get(name, _ABSENT))
    if name not in before or name not in now:
        return f"config: {name} is {'new' if name not in before else 'gone'}"
    return f"config: {name} was {before[name]!r:.50} and is {now[name]!r:.50}"


_ABSENT: Final = object()
