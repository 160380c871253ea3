"""Which runs do the same: what a caller asks for who would rather join a run than compute something twice.

Two runs do the same if they are of one pipeline and were asked for in the same way: the assets alone or with their
upstream, the partitions, what is computed again, and the config that was passed. How many steps run at a time, a
timeout, tags and the hour of the request make no difference.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from flowstone.runs.records import RunRecord, RunSpec

__all__ = ["Place", "identity_of", "identity_of_request", "place_of"]

Place: TypeAlias = tuple[str, tuple[str | None, ...], tuple[str, str] | None]
"""Asset and partitions of a request: what is quick to look up, and all but tells which runs do the same."""


def place_of(run: RunRecord) -> Place:
    """Where to look for runs that do the same."""
    return _place(run.request)


def identity_of(run: RunRecord) -> tuple[object, ...]:
    """Equal for runs that do the same. A database has the same as a text: migration 0029."""
    return identity_of_request(run.pipeline, run.request)


def identity_of_request(pipeline: str, request: RunSpec) -> tuple[object, ...]:
    """That of a run of this pipeline that does this."""
    config = json.dumps({name: dict(fields) for name, fields in request.config.items()}, sort_keys=True)
    beside = tuple(sorted(request.beside.items()))
    return (pipeline, request.kind, request.upstream, request.refresh, *_place(request), beside, config)


def _place(request: RunSpec) -> Place:
    return request.asset, request.keys, request.span
