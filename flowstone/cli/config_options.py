"""`--config`: files of JSON and single values, put together to the config of a run.

A single value is JSON where it is JSON (`5`, `true`, `[1, 2]`), and text elsewhere. `label=5` is the number then,
which a field that takes text refuses; so a value that its field does not take as JSON is tried as it was typed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from flowstone.cli.problem import CommandError
from flowstone.errors import ConfigError
from flowstone.runs.run_config import given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.cli.loading import Loaded

__all__ = ["ConfigOption", "config_argument"]

ConfigOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        metavar="FILE.json|KEY=VALUE",
        help="Config of the asset: a JSON file, or one field (threshold=5, limits.high=3); ASSET.FIELD=VALUE for "
        "another asset of the run. May be repeated; the last one wins.",
        show_default=False,
    ),
]


def config_argument(loaded: Loaded, asset: str, options: Sequence[str] | None) -> Mapping[str, Any] | None:
    """What `config=` is to be, checked; None if there is no such option.

    Raises:
        CommandError: An option is neither a field nor a file of JSON.
        ConfigError: A field does not fit.
    """
    if not options:
        return None
    config: dict[str, Any] = {}
    texts: dict[tuple[str, ...], str] = {}
    for option in options:
        key, is_field, text = option.partition("=")
        if is_field:
            path = tuple(key.split("."))
            fields = _nested(option, path, _json_or_text(text))
            texts[path if path[0] in loaded.pipeline.assets else (asset, *path)] = text
        else:
            fields = _file(option)
        _merge(config, _by_asset(loaded, asset, fields))
    return _fitting(loaded, asset, config, texts)


def _by_asset(loaded: Loaded, asset: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by asset: the target's are given without it, beside those of others."""
    assets = loaded.pipeline.assets
    by_asset = {key: each for key, each in fields.items() if key in assets}
    own = {key: each for key, each in fields.items() if key not in assets}
    if own:
        _merge(by_asset, {asset: own})
    return by_asset


def _fitting(
    loaded: Loaded, asset: str, config: dict[str, Any], texts: dict[tuple[str, ...], str]
) -> Mapping[str, Any]:
    """The config with values as text where the fields take no JSON of theirs."""
    graph = loaded.pipeline.graph
    while True:
        try:
            given(graph, graph[asset].name, config)
        except ConfigError as error:
            path = (error.asset, *(error.field or "").split("."))
            if path not in texts:
                raise
            text = texts.pop(path)
            if _json_or_text(text) == text:
                raise
            _merge(config, _nested("", path, text))
        else:
            return config


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _nested(option: str, path: Sequence[str], value: Any) -> dict[str, Any]:
    if not all(path):
        raise CommandError(f"--config {option!r} names no field.", "Write FIELD=VALUE, such as threshold=5.")
    for key in reversed(path):
        value = {key: value}
    return value  # type: ignore[no-any-return] # the path has at least one key


def _file(name: str) -> dict[str, Any]:
    remedy = "Name a file with a JSON object, or one field as FIELD=VALUE."
    try:
        found = json.loads(Path(name).read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"--config {name!r} cannot be read: {error.strerror or error}.", remedy) from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--config {name!r} is not valid JSON: {error}.", remedy) from None
    if not isinstance(found, dict):
        raise CommandError(f"--config {name!r} holds no JSON object.", remedy)
    return found


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add what is new; objects are merged key by key, anything else is replaced."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
