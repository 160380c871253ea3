"""The actor that publishes the asset graph. Reads take the current snapshot and never queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flowstone.actors import Actor, Call
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.assets.snapshot import Snapshot

__all__ = ["AssetRegistry", "Publish"]


@frozen
class Publish(Call["AssetRegistry", None]):
    """Work by these definitions from now on; runs already planned keep theirs."""

    snapshot: Snapshot


class AssetRegistry(Actor):
    """Replaces the current snapshot, which anybody reads without asking.

    Args:
        publish: Makes a snapshot the current one; the first was made so before the runtime started.
    """

    def __init__(self, publish: Callable[[Snapshot], None]) -> None:
        self._publish = publish

    async def handle(self, message: Publish) -> None:
        match message:
            case Publish(snapshot):
                self._publish(snapshot)
            case _:
                assert_never(message)
