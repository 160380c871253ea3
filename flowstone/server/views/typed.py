"""What somebody types for what a page does: the pipeline as this server was given it, and its store."""

from __future__ import annotations

import sys
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.pipeline import Pipeline

if TYPE_CHECKING:
    from flowstone.assets.asset import Asset
    from flowstone.server.asked import Asked

__all__ = ["typed"]

_MAIN: Final = "__main__"


def typed(asked: Asked, verb: str, what: str, asset: str) -> str:
    """`flowstone VERB MODULE:PIPELINE ASSET`, with a store that is not the default one.

    Args:
        asked: What somebody asks for.
        verb: The command.
        what: The asset, or a selection of assets.
        asset: The name of one of them, which the runtime has.
    """
    named = asked.options.targets.get(asked.runtime.pipeline_of(asset))
    target = named or _found(asked.runtime.graph[asset]) or "MODULE:PIPELINE"
    words = ["flowstone", verb, quote(target), quote(what)]
    if asked.options.store:
        words += ["--store", asked.options.store]
    return " ".join(words)


def _found(asset: Asset[..., Any]) -> str:
    """Where a module of this process has the pipeline of an asset; empty where none has."""
    for name, module in tuple(sys.modules.items()):
        place = getattr(module, "__file__", None) if name == _MAIN else name
        for attribute, value in tuple(getattr(module, "__dict__", {}).items()):
            if place and isinstance(value, Pipeline) and value.assets.get(asset.name) is asset:
                return f"{place}:{attribute}"
    return ""
