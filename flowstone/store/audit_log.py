"""The audit log of a store that one process holds."""

from __future__ import annotations

from collections import deque
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.audit import Act, AuditEntry, AuditTarget, details_of, key_of
from flowstone.runs.automation import TAG
from flowstone.runs.automation_events import AutomationPaused, AutomationResumed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from flowstone.runs.audit import AuditAction
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.runs.events import RunCancelRequested
    from flowstone.runs.records import RunRecord, StepKey
    from flowstone.runs.waits import Wait

__all__ = ["REASON", "AuditLog"]

REASON: Final = "reason"
"""The tag of a run that says why somebody asked for it."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def _plain(text: str) -> str:
    """The text as every store can keep it."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


class AuditLog:
    """Entries, the oldest first.

    Attributes:
        count: How many there were: the number of the newest.
    """

    __slots__ = ("_entries", "count")

    def __init__(self) -> None:
        self.count = 0
        self._entries: deque[AuditEntry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    # What was done ------------------------------------------------------------------------------------------

    def add(
        self, action: AuditAction, act: Act, target: AuditTarget, details: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Somebody has done something."""
        self.count += 1
        self._entries.append(
            AuditEntry(
                self.count,
                act.at,
                action,
                _plain(act.by) if act.by else None,
                target.asset,
                target.partition_key,
                target.run_id,
                _plain(target.name),
                _plain(act.reason),
                details,
            )
        )

    def asked_for(self, run: RunRecord) -> None:
        """A run was asked for."""
        request = run.request
        tags = request.tags
        self.add(
            "run.queued",
            Act(run.created_at, request.by, tags.get(REASON, "")),
            AuditTarget(request.asset, key_of(request), run.id, tags.get(TAG, "")),
            details_of(request),
        )

    def cancelled(self, event: RunCancelRequested) -> None:
        """A run is to stop; that somebody asked for it goes without saying."""
        reason = event.comment or ("" if event.reason == "asked" else event.reason)
        self.add(
            "run.cancel_requested",
            Act(event.at, event.by, reason),
            AuditTarget(event.asset, run_id=event.run_id),
        )

    def answered(self, wait: Wait, now: datetime, by: str | None) -> None:
        """Somebody has decided an approval, which says who and why, or sent a signal."""
        target = AuditTarget(*wait.step, wait.run_id, wait.name)
        if wait.kind == "signal":
            self.add("signal.sent", Act(now, by), target)
        elif wait.kind == "approval":
            said = wait.answer if isinstance(wait.answer, dict) else {}
            act = Act(now, said.get("by"), said.get("reason") or "")
            self.add("approval.approved" if wait.status == "answered" else "approval.rejected", act, target)

    def invalidated(self, keys: Iterable[StepKey], act: Act) -> None:
        """These were current, and are so no more."""
        by_asset: dict[str, list[str | None]] = {}
        for asset, key in keys:
            by_asset.setdefault(asset, []).append(key)
        for asset, found in sorted(by_asset.items()):
            alone = len(found) == 1
            details = _NOTHING if alone else {"partitions": len(found)}
            self.add("asset.invalidated", act, AuditTarget(asset, found[0] if alone else None), details)

    def told(self, pipeline: str, events: Iterable[AutomationEvent]) -> None:
        """Something has happened to automations; that they are paused and resumed is somebody's doing."""
        for event in events:
            details = {"pipeline": pipeline}
            if type(event) is AutomationPaused:
                act = Act(event.at, event.by, event.reason)
                self.add("automation.paused", act, AuditTarget(name=event.name), details)
            elif type(event) is AutomationResumed:
                self.add("automation.resumed", Act(event.at, event.by), AuditTarget(name=event.name), details)

    # What is kept -------------------------------------------------------------------------------------------

    def restore(self, count: int | None, entries: Sequence[AuditEntry]) -> None:
        """Take over entries of a former life.

        Args:
            count: How many there were, with the first of them: then nothing else is known. None: these follow.
            entries: Some of those that are kept, in order.
        """
        if count is not None:
            self.count = count
            self._entries.clear()
        self._entries.extend(entries)

    def prune(self, keep: int) -> bool:
        """Forget the oldest; whether there were any to forget."""
        surplus = len(self._entries) - keep
        for _ in range(surplus):
            self._entries.popleft()
        return surplus > 0

    def all(self) -> list[AuditEntry]:
        """All that are kept, the oldest first."""
        return list(self._entries)

    def newest(
        self, asset: str | None, run_id: str | None, by: str | None, limit: int, before: int | None
    ) -> list[AuditEntry]:
        """See `Audit.entries`."""
        fitting = (
            entry
            for entry in reversed(self._entries)
            if (before is None or entry.id < before)
            and (asset is None or entry.asset == asset or asset in entry.details.get("beside", ()))
            and (run_id is None or entry.run_id == run_id)
            and (by is None or entry.by == by)
        )
        return list(islice(fitting, max(0, limit)))
