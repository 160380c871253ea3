"""The code of an asset's function as text, and the rest of its definition in words."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flowstone.assets.signature import innermost
from flowstone.counting import count
from flowstone.server.render import lasted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.assets.asset import Asset
    from flowstone.assets.retry import Retry

__all__ = ["code_of", "definition_of"]

_LONGEST = 20_000


@lru_cache(maxsize=256)
def code_of(function: Any) -> str:
    """The lines that define it; empty where they cannot be found."""
    try:
        return inspect.cleandoc("\n" + inspect.getsource(innermost(function)))[:_LONGEST]
    except (OSError, TypeError):
        return ""


def definition_of(asset: Asset[..., Any]) -> Iterator[tuple[str, str]]:
    """What is defined of it, as pairs of a word and what is said there."""
    yield "Where", str(asset.source)
    if asset.version is not None:
        yield "Version", asset.version
    if asset.partitions is not None:
        yield "Partitions", repr(asset.partitions)
    yield "Attempts", _attempts(asset.retry)
    if asset.timeout is not None:
        yield "Timeout", lasted(asset.timeout)
    yield "Runs in", {"loop": "the event loop", "thread": "a thread", "process": "a process"}[asset.run_in]
    if asset.pools:
        yield "Pool", ", ".join(f"{name}, {count(slots, 'slot')}" for name, slots in asset.pools)
    if asset.rate is not None:
        yield "Rate", asset.rate
    if asset.each is not None:
        yield "Items of", asset.each.source
    if asset.requires:
        yield "Resources", ", ".join(sorted(asset.requires))
    if asset.config_parameter is not None:
        fields = asset.config_parameter.model.model_fields
        yield "Config", ", ".join(f"{name}: {field.annotation!r}"[:80] for name, field in fields.items())
    yield "Stored by", asset.io
    if asset.tags:
        yield "Tags", ", ".join(f"{name}={value}" for name, value in sorted(asset.tags.items()))


def _attempts(retry: Retry | None) -> str:
    if retry is None or retry.attempts == 1:
        return "one"
    return f"{count(retry.attempts, 'attempt')}, the second after {lasted(retry.delay)}"
