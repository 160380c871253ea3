"""The list of runs, as its filters in the address say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.records import RunRecord
    from flowstone.runtime.runtime import Runtime

__all__ = ["FILTERS", "KINDS", "SINCE", "STATUSES", "UNDER_WAY", "RunPage", "read_runs"]

FILTERS: Final = ("status", "asset", "tag", "kind", "since")
UNDER_WAY: Final = (Status.RUNNING, Status.QUEUED, Status.WAITING)
STATUSES: Final = (*UNDER_WAY, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
KINDS: Final = ("materialize", "materialize_all", "backfill")
SINCE: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}

_PAGE: Final = 50
_READ: Final = 200
_MOST_READ: Final = 2_000  # Runs that are looked at for a kind or an age, of which the store has no list.


@frozen
class RunPage:
    """Some runs, newest first.

    Attributes:
        runs: The runs.
        before: The run before which the next page begins; None: there is no other page.
    """

    runs: Sequence[RunRecord]
    before: str | None


async def read_runs(
    runtime: Runtime, filters: Mapping[str, str], before: str | None, *, under_way: bool = False
) -> RunPage:
    """A page of the list; with `under_way` all those that have not ended, as far as they are looked at.

    Raises:
        AssetNotFound: There is no such asset.
        RunNotFound: There is no run `before`.
    """
    wanted = filters.get("status")
    statuses = [each for each in (UNDER_WAY if under_way else STATUSES) if not wanted or each == wanted]
    if not statuses:
        return RunPage((), None)
    kind, since = filters.get("kind"), SINCE.get(filters.get("since", ""))
    oldest = datetime.min.replace(tzinfo=UTC) if since is None else datetime.now(UTC) - since
    most = _MOST_READ if under_way else _PAGE
    found: list[RunRecord] = []
    looked_at = 0
    while looked_at < _MOST_READ:
        page = await runtime.runs(
            statuses, filters.get("asset") or None, filters.get("tag") or None, limit=_READ, before=before
        )
        for run in page:
            looked_at += 1
            before = run.id
            if run.created_at < oldest:
                return RunPage(found, None)
            if kind not in KINDS or run.kind == kind:
                found.append(run)
                if len(found) == most:
                    return RunPage(found, before)
        if len(page) < _READ:
            return RunPage(found, None)
    return RunPage(found, before)
