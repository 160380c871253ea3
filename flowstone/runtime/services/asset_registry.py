"""The actor that publishes the asset graph. Reads take the current snapshot and never queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from flowstone.actors import Actor, Call
from flowstone.assets.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.assets.pipeline import Pipeline

__all__ = ["AssetRegistry", "Publish"]


@dataclass(frozen=True, slots=True)
class Publish(Call["AssetRegistry", Snapshot]):
    """Replace the graph by that of these pipelines; runs already planned keep theirs."""

    pipelines: tuple[Pipeline, ...]


class AssetRegistry(Actor):
    """Replaces the current snapshot, which anybody reads without asking.

    Args:
        publish: Makes a snapshot the current one; the first was made so before the runtime started.
    """

    def __init__(self, publish: Callable[[Snapshot], None]) -> None:
        self._publish = publish

    async def handle(self, message: Publish) -> Snapshot:
        match message:
            case Publish(pipelines):
                snapshot = Snapshot.of(pipelines)
                self._publish(snapshot)
                return snapshot
            case _:
                assert_never(message)
