"""What may be asked of a run that is driven: one channel, `LiveRun.ask`, for everything.

A request is remembered by its kind, and the first of a kind counts, so that asking again is harmless and a
coordinator that starts again after a crash receives all that was asked before. Only `Look` is not remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from flowstone.frozen import frozen
from flowstone.runs.events import RunCancelRequested

if TYPE_CHECKING:
    from datetime import datetime

    from flowstone.runs.records import RunRecord

__all__ = ["Cancel", "CancelReason", "Control", "Drain", "GiveUp", "Look", "Release"]

CancelReason: TypeAlias = Literal["asked", "timeout", "caller", "shutdown", "unwanted"]


@frozen
class Cancel:
    """Stop every step, and end as cancelled.

    Attributes:
        reason: What brought it about.
        recorded: Whether the store has it on record that this was asked for.
        by: Who asked for it, or None.
        comment: Why they did; may be empty.
    """

    reason: CancelReason
    recorded: bool = False
    by: str | None = None
    comment: str = ""

    def event(self, run: RunRecord, now: datetime) -> RunCancelRequested:
        """What is recorded of it."""
        return RunCancelRequested(now, run.id, run.request.asset, self.reason, self.by, self.comment)


@frozen
class Drain:
    """Start nothing more, and end as cancelled once the running steps have ended.

    Attributes:
        by: Who asked for it, or None.
    """

    by: str | None = None


@frozen
class GiveUp:
    """Stop without a word: another node drives the run."""


@frozen
class Release:
    """Stop here, and leave the run to another node, or to whoever opens the store next."""


@frozen
class Look:
    """Look which steps were woken that waited for somebody else; a replay knows them without being asked."""


Control: TypeAlias = Cancel | Drain | GiveUp | Release | Look
