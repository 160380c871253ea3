"""`--config`: files of JSON and single values, put together to the config of a run.

What a single value may be, `typed_config` says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from flowstone.assets.selection import selected
from flowstone.cli.problem import CommandError
from flowstone.runs.typed_config import json_or_text, merged, nested, typed_config

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
    graph = loaded.pipeline.graph
    targets = selected(graph, asset)
    own = targets if len(targets) == 1 else ()  # Of several it has to be said whose a field is.
    config: dict[str, Any] = {}
    texts: dict[tuple[str, ...], str] = {}
    for option in options:
        key, is_field, text = option.partition("=")
        if is_field:
            path = _path(option, key)
            fields = nested(path, json_or_text(text))
            texts[path if path[0] in loaded.pipeline.assets else (*own, *path)] = text
        else:
            fields = _file(option)
        config = merged(config, _by_asset(loaded, targets, fields))
    return typed_config(graph, targets, config, texts)


def _by_asset(loaded: Loaded, targets: tuple[str, ...], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by asset: those of the only target are given without it, beside those of others."""
    assets = loaded.pipeline.assets
    by_asset = {key: each for key, each in fields.items() if key in assets}
    own = {key: each for key, each in fields.items() if key not in assets}
    return merged(by_asset, {targets[0]: own} if own and len(targets) == 1 else own)


def _path(option: str, key: str) -> tuple[str, ...]:
    path = tuple(key.split("."))
    if not all(path):
        raise CommandError(f"--config {option!r} names no field.", "Write FIELD=VALUE, such as threshold=5.")
    return path


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
