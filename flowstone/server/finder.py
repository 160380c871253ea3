"""Find or do: assets, partitions, runs, pages and acts, by letters that come in this order."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from flowstone.assets.partition_labels import step_label
from flowstone.errors import FlowstoneError
from flowstone.runs.access import Role
from flowstone.runs.targets import targets_label
from flowstone.server.access.guard import Reader
from flowstone.server.addresses import partition_path
from flowstone.server.pages.shell import NAVIGATION
from flowstone.server.render import ICONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from flowstone.runtime.runtime import Runtime
    from flowstone.server.access.identity import Identity

__all__ = ["distance", "finder_router"]

_SHOWN: Final = 12
_RUNS: Final = 200
"""So many of the newest runs are looked through."""

_ASSETS: Final = 300
"""So many assets are asked whether they have a partition."""

_EXACT: Final = -2_000
_TOGETHER: Final = -1_000

_LONGEST: Final = 200
"""Characters that are looked for."""


def finder_router() -> APIRouter:
    """The route that the finder of every page asks."""
    router = APIRouter(include_in_schema=False)

    @router.get("/find")
    async def find(request: Request, identity: Reader, q: str = "") -> list[dict[str, str]]:
        written = q.strip()[:_LONGEST]
        words = written.lower()
        runtime: Runtime = request.app.state.runtime
        found = [
            hit
            async for candidates in _candidates(runtime, identity, words)
            for hit in _fitting(words, candidates)
        ]
        found += await _partitions(runtime, written) if written else []
        found.sort(key=lambda each: each[0])
        return [hit for _, hit in found[:_SHOWN]]

    return router


def distance(name: str, words: str) -> int | None:
    """How many letters of a name lie between those that are looked for, in their order; None if one is not there.

    A name that has them side by side comes before all others, and the nearer its beginning the earlier.
    """
    if words in name:
        return _TOGETHER + name.index(words)
    place = gaps = 0
    for letter in words:
        there = name.find(letter, place)
        if there < 0:
            return None
        gaps += there - place
        place = there + 1
    return gaps


def _fitting(words: str, candidates: Iterable[dict[str, str]]) -> Iterator[tuple[int, dict[str, str]]]:
    for hit in candidates:
        far = distance(hit["name"].lower(), words)
        if far is not None:
            yield far, hit


async def _candidates(
    runtime: Runtime, identity: Identity, words: str
) -> AsyncIterator[list[dict[str, str]]]:
    yield [_hit(name, "asset", f"/assets/{name}") for name in runtime.graph.order()]
    yield [_hit(entry.title, "page", entry.path, entry.icon) for entry in NAVIGATION]
    if words:
        yield await _runs(runtime)
    if identity.role.may(Role.OPERATE):
        yield [
            _hit(f"{approval.message or approval.name}", "answer", f"/waiting/{approval.id}", "wait")
            for approval in await runtime.approvals(limit=_SHOWN)
        ]


def _hit(name: str, kind: str, path: str, icon: str = "n-asset") -> dict[str, str]:
    return {"name": name[:_LONGEST], "kind": kind, "path": path, "icon": icon}


async def _runs(runtime: Runtime) -> list[dict[str, str]]:
    return [
        _hit(f"{run.id} {run.kind} {targets_label(run.request)}", "run", f"/runs/{run.id}", ICONS[run.status])
        for run in await runtime.runs(limit=_RUNS)
    ]


async def _partitions(runtime: Runtime, words: str) -> list[tuple[int, dict[str, str]]]:
    """`visits[2025-01-15]`, or `visits 2025-01-15`: that one; `2025-01-15` alone: of each asset that has it."""
    name, _, text = words.replace("[", " ", 1).rstrip("]").partition(" ")
    named = next((asset for asset in runtime.graph.order() if asset.lower() == name.lower()), None)
    if named is not None and text:
        return [(_EXACT, hit) async for hit in _having(runtime, [named], text.strip())]
    partitioned = [asset for asset in runtime.graph.order() if runtime.graph[asset].partitions is not None]
    return [(_EXACT + 1, hit) async for hit in _having(runtime, partitioned[:_ASSETS], words)]


async def _having(runtime: Runtime, assets: Iterable[str], text: str) -> AsyncIterator[dict[str, str]]:
    for asset in assets:
        with suppress(FlowstoneError):
            key = await runtime.partition_key(asset, text)
            if key is not None and runtime.graph[asset].partitions is not None:
                yield _hit(step_label(asset, key), "partition", partition_path(asset, key))
