"""What somebody asks a page for: what pages are made from, and the views that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowstone.runtime.runtime import Runtime
    from flowstone.server.access.identity import Identity
    from flowstone.server.known_assets import KnownAssets
    from flowstone.server.options import ServerOptions
    from flowstone.server.timelines import Timelines

__all__ = ["Asked"]


@frozen
class Asked:
    """What somebody asks for.

    Attributes:
        runtime: Where it is read.
        identity: Who asks.
        now: The instant that ages are counted from (aware, UTC).
        path: The parameters in the path.
        query: Those behind the question mark; of each the last.
        timelines: The attempts of runs that somebody looks at.
        known: What is on record of all assets.
        options: What the server was told.
        live: Whether the blocks that change while it is open are all that is rendered.
    """

    runtime: Runtime
    identity: Identity
    now: datetime
    path: Mapping[str, str]
    query: Mapping[str, str]
    timelines: Timelines
    known: KnownAssets
    options: ServerOptions
    live: bool = False
