"""What may be asked of a run that is driven: one channel, `LiveRun.ask`, for everything.

A request is remembered by its kind, and the first of a kind counts, so that asking again is harmless and a
coordinator that starts again after a crash receives all that was asked before. Only `Look` is not remembered.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from flowstone.frozen import frozen

__all__ = ["Cancel", "CancelReason", "Control", "Drain", "GiveUp", "Look", "Release"]

CancelReason: TypeAlias = Literal["asked", "timeout", "caller", "shutdown", "unwanted"]


@frozen
class Cancel:
    """Stop every step, and end as cancelled.

    Attributes:
        reason: Why.
        recorded: Whether the store has it on record that this was asked for.
    """

    reason: CancelReason
    recorded: bool = False


@frozen
class Drain:
    """Start nothing more, and end as cancelled once the running steps have ended."""


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
