"""How fresh assets are, for `flowstone status` and `automations`: from what the store knows of what is watched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowstone.assets.automation.freshness import Freshness
from flowstone.assets.automation.freshness_policy import FRESHNESS
from flowstone.cli.labels import ago
from flowstone.runs.asset_freshness import FreshnessRecord, of_one_value, shown

if TYPE_CHECKING:
    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.automation import AutomationKey
    from flowstone.runs.records import StepKey
    from flowstone.store import Store

__all__ = ["freshness_document", "freshness_label", "freshness_of", "late_since", "watched_assets"]


async def freshness_of(store: Store, key: StepKey, *, alone: bool) -> FreshnessStatus | None:
    """Of an asset, or of one partition of it; None if nobody has ever watched it, or nobody defines how any more.

    Args:
        store: The run history, open.
        key: The asset, and a partition.
        alone: Whether the partition is asked about, and not the asset as a whole.
    """
    remote: Any = getattr(store, "freshness", None)  # Of a server.
    if remote is not None:
        status: FreshnessStatus | None = await remote(key, alone=alone)
        return status
    asset, partition_key = key
    known = (each for each in await store.automations.records() if each.name == FRESHNESS + asset)
    record = next((each for each in known if each.gone_at is None), None)
    if record is None:
        return None
    freshness, now = FreshnessRecord.read(record.cursor), datetime.now(UTC)
    if not alone or partition_key is None:
        newest = await store.newest_successes([asset])
        return shown(asset, freshness, newest.get(asset), now)
    current = (await store.current([key])).get(key)
    finished_at = None if current is None else current.finished_at
    return of_one_value(asset, partition_key, (freshness.within, freshness.overdue), finished_at, now)


async def watched_assets(store: Store) -> dict[AutomationKey, FreshnessStatus]:
    """How fresh each asset is that is watched, by the automation that does so."""
    records = [
        each
        for each in await store.automations.records()
        if each.kind == "freshness" and each.gone_at is None
    ]
    names = {each.key: each.name.removeprefix(FRESHNESS) for each in records}
    newest, now = await store.newest_successes(list(names.values())) if names else {}, datetime.now(UTC)
    return {
        each.key: shown(name, FreshnessRecord.read(each.cursor), newest.get(name), now)
        for each, name in zip(records, names.values(), strict=True)
    }


def late_since(status: FreshnessStatus) -> str:
    """`late since 2 h ago`; of what is not late its status alone."""
    late = status.status in {"late", "overdue"}
    return f"{status.status} since {ago(status.since, datetime.now(UTC))}" if late else status.status


def freshness_label(status: FreshnessStatus) -> str:
    """`late since 2 h ago (within 26 h, overdue after 52 h)`."""
    since = "" if status.since is None else f" since {ago(status.since, datetime.now(UTC))}"
    return f"{status.status}{since} ({Freshness(status.within, status.overdue)})"


def freshness_document(status: FreshnessStatus | None) -> dict[str, Any] | None:
    """As `--json` has it."""
    if status is None:
        return None
    return {
        "status": status.status,
        "since": status.since,
        "within": status.within,
        "overdue": status.overdue,
        "materialized_at": status.materialized_at,
    }
