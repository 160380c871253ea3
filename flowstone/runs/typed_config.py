"""The config of a run from texts that people typed, on the command line and on the Launch page. Pure.

A text is JSON where it is JSON (`5`, `true`, `[1, 2]`), and text elsewhere. `label=5` is the number then, which a
field that takes text refuses; so a value that its field does not take as JSON is tried as it was typed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flowstone.errors import ConfigError
from flowstone.runs.run_config import given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.assets.graph import AssetGraph

__all__ = ["json_or_text", "merged", "nested", "typed_config"]


def typed_config(
    graph: AssetGraph,
    targets: tuple[str, ...],
    config: Mapping[str, Any],
    texts: Mapping[tuple[str, ...], str],
) -> dict[str, Any]:
    """The config with values as text where the fields take no JSON of theirs.

    Args:
        graph: The assets.
        targets: The assets that are asked for.
        config: Fields by asset, each text of `texts` in it as what `json_or_text` made of it.
        texts: What was typed: by the asset and the field, with the keys that lead into it.

    Raises:
        ConfigError: A field takes neither.
    """
    untried = dict(texts)
    read = dict(config)
    while True:
        try:
            given(graph, targets, read)
        except ConfigError as error:
            path = (error.asset, *(error.field or "").split("."))
            text = untried.pop(path, None)
            if text is None or json_or_text(text) == text:
                raise
            read = merged(read, nested(path, text))
        else:
            return read


def json_or_text(text: str) -> Any:
    """What a text is as JSON; itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """`{"a": {"b": value}}` of the path `("a", "b")`, which has at least one key."""
    for key in reversed(path[1:]):
        value = {key: value}
    return {path[0]: value}


def merged(config: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both together; objects key by key, of anything else what comes later."""
    together = dict(config)
    for key, value in more.items():
        before = together.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            value = merged(before, value)
        together[key] = value
    return together
