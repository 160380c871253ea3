"""`flowstone migrate`: bring the database of a store to the version that this FlowStone works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.cli.default_store import file_instead
from flowstone.cli.environment import options
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, StoreUrl
from flowstone.cli.places import shares, shown, store_of, too_late
from flowstone.cli.screen import Screen
from flowstone.counting import count
from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["migrate"]


def migrate(store: StoreUrl, json: Json = False, debug: Debug = False) -> None:
    """Bring a store's database up to date."""
    with Screen(json=json, debug=debug) as screen:
        shared = shares(store)
        applied: Sequence[str] = run_async(_migrate(store)) if shared else ()
        if screen.json:
            screen.document({"store": shown(store), "applied": list(applied)})
            return
        for name in applied:
            screen.show(f"applied {name}")
        screen.show(_summary(shown(store), len(applied), shared=shared))


def _summary(store: str, applied: int, *, shared: bool) -> str:
    if not shared:
        return f"{store} has nothing to migrate: only databases do."
    if not applied:
        return f"{store} is up to date."
    return f"{store} is up to date now: {count(applied, 'migration')} applied."


async def _migrate(url: str) -> Sequence[str]:
    database: Any = store_of(url)  # Every store that is shared by processes has `migrate`.
    limit = options().connect_timeout
    try:
        applied: Sequence[str] = await database.migrate(connect_timeout=limit)
    except TimeoutError:
        raise too_late(url, limit) from None
    except StoreUnavailable as error:
        raise file_instead(url, error) from error
    return applied
