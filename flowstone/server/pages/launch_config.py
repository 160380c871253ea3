"""The fields of the configs that a run from the Launch page may be given, as its form shows and sends them.

A field of the form is named `config.ASSET.FIELD`. What is left empty has the default of the code, so only what
somebody typed is sent; what it may be, `typed_config` says. Secrets are left out: nobody passes them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from flowstone.frozen import frozen
from flowstone.runs.typed_config import json_or_text, merged, nested, typed_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowstone.assets.graph import AssetGraph

__all__ = ["AssetFields", "ConfigField", "config_of", "fields_of", "typed_in"]

_PREFIX: Final = "config."
_LONGEST: Final = 16_000  # Characters of a field in the address of the page.


@frozen
class ConfigField:
    """A field as the form shows it.

    Attributes:
        key: Its name in the form.
        name: Its name in the config.
        help: What its code says about it; may be empty.
        kind: `number`, `text`, or `json`.
        choices: What it can be, if it is one of a few, each as it is typed.
        default: Its default as it would be typed; None if it has none that can be shown.
        required: Whether there is no default.
        text: What was typed.
    """

    key: str
    name: str
    help: str
    kind: str
    choices: tuple[str, ...]
    default: str | None
    required: bool
    text: str


@frozen
class AssetFields:
    """The config of one asset.

    Attributes:
        asset: The asset's name.
        help: What the class says about itself; may be empty.
        fields: Its fields, as they are declared.
    """

    asset: str
    help: str
    fields: tuple[ConfigField, ...]


def typed_in(form: Mapping[str, str]) -> dict[str, str]:
    """What was typed into the fields of a form or a query, by their names in it."""
    return {name: text[:_LONGEST] for name, text in form.items() if name.startswith(_PREFIX) and text.strip()}


def fields_of(graph: AssetGraph, assets: Iterable[str], typed: Mapping[str, str]) -> list[AssetFields]:
    """The configs of these assets; of those without one there is nothing."""
    found = []
    for asset in assets:
        parameter = graph[asset].config_parameter
        if parameter is None or not (fields := _fields(asset, parameter.model, typed)):
            continue
        said = (parameter.model.__doc__ or "").strip().partition("\n\n")[0]
        found.append(AssetFields(asset, "" if said == BaseModel.__doc__ else said, fields))
    return found


def config_of(
    graph: AssetGraph, targets: tuple[str, ...], assets: Sequence[AssetFields]
) -> dict[str, Any] | None:
    """What `config=` is to be; None if nothing was typed.

    Raises:
        ConfigError: A field does not fit.
    """
    texts: dict[tuple[str, ...], str] = {
        (each.asset, field.name): field.text for each in assets for field in each.fields if field.text
    }
    config: dict[str, Any] = {}
    for path, text in texts.items():
        config = merged(config, nested(path, json_or_text(text)))
    return typed_config(graph, targets, config, texts) if texts else None


def _fields(asset: str, model: type[BaseModel], typed: Mapping[str, str]) -> tuple[ConfigField, ...]:
    schema = _schema(model)
    properties = schema.get("properties", {})
    return tuple(
        _field(f"{_PREFIX}{asset}.{name}", name, declared.is_required(), described, typed)
        for name, declared in model.model_fields.items()
        if not (described := _resolved(properties.get(declared.alias or name, {}), schema)).get("writeOnly")
    )


def _field(
    key: str, name: str, required: bool, described: Mapping[str, Any], typed: Mapping[str, str]
) -> ConfigField:
    choices, kind = described.get("enum", ()), str(described.get("type", ""))
    if kind == "boolean":
        choices = (True, False)
    return ConfigField(
        key,
        name,
        str(described.get("description", "")),
        {"integer": "number", "number": "number", "string": "text"}.get(kind, "json"),
        tuple(_as_typed(choice) for choice in choices),
        _as_typed(described["default"]) if "default" in described else None,
        required,
        typed.get(key, ""),
    )


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """What pydantic says about the class; nothing where it has fields that no schema describes."""
    try:
        return model.model_json_schema()
    except Exception:  # Schemas of users' types are made in here, and pydantic refuses some of its own.
        return {}


def _resolved(described: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A field with what its reference says, and what may be left out taken for what it is otherwise."""
    found = dict(described)
    while "$ref" in found:
        referred = schema.get("$defs", {}).get(found.pop("$ref").rpartition("/")[2], {})
        found = {**referred, **found}
    kinds = [each for each in found.get("anyOf", ()) if each.get("type") != "null"]
    if len(kinds) == 1 and len(kinds) < len(found["anyOf"]):
        inner = _resolved(kinds[0], schema)
        return {**inner, **{key: each for key, each in found.items() if key != "anyOf"}}
    return found


def _as_typed(value: Any) -> str:
    """A value as it is typed: a text as it is, unless it reads as something else."""
    if isinstance(value, str) and json_or_text(value) == value and value.strip():
        return value
    return json.dumps(value, ensure_ascii=False)
