"""The kinds of events as people write them, for all who choose among events: one list, one rule.

An *exact* kind is what an event is told apart by: its kind, and of the end of a run its outcome as well
(`run.succeeded`, `run.failed`, `run.cancelled`). What people write means some of these: an exact kind itself, a
kind (`run.finished`: all three outcomes), or a first word (`step`: every kind of a step).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.assets.suggest import did_you_mean
from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EXACT_KINDS", "exact_kinds"]

EXACT_KINDS: Final = (
    "run.queued",
    "run.started",
    "run.waiting",
    "run.cancel_requested",
    "run.succeeded",
    "run.failed",
    "run.cancelled",
    "step.started",
    "step.progressed",
    "step.retried",
    "step.waiting",
    "step.woken",
    "step.kept",
    "step.token_issued",
    "step.succeeded",
    "step.failed",
    "step.reused",
    "step.skipped",
    "step.cancelled",
    "automation.failed",
    "automation.paused",
    "automation.resumed",
    "asset.late",
    "asset.overdue",
    "asset.fresh",
)
"""Every exact kind."""

_UNRECORDED: Final = "step.progressed"
_ENDS: Final = ("run.succeeded", "run.failed", "run.cancelled")
_FAMILIES: Final = tuple(dict.fromkeys(kind.partition(".")[0] for kind in EXACT_KINDS))
_WORDS: Final = (*_FAMILIES, "run.finished", *EXACT_KINDS)


def exact_kinds(kinds: Iterable[object], *, recorded: bool = False) -> frozenset[str]:
    """The exact kinds that these mean; all of them if there are none.

    Args:
        kinds: `step.failed`, `run.finished`, …, or a first word: `run`, `step`, `asset`, `automation`.
        recorded: Whether only events that are recorded are to be had; `step.progressed` is not.

    Raises:
        ArgumentError: There is no such kind, or it is not recorded.
    """
    wanted = tuple(kinds)
    for each in wanted:
        if each not in _WORDS:
            raise ArgumentError(f"There are no events of kind {each!r:.100}.{_remedy(each)}")
        if recorded and each == _UNRECORDED:
            raise ArgumentError(
                f"Events of kind {each!r} are not recorded, only published while somebody listens.",
                remedies=Remedies("Take them with runtime.subscribe()."),
            )
    meant = frozenset(kind for kind in EXACT_KINDS if not wanted or any(_means(str(w), kind) for w in wanted))
    return meant - {_UNRECORDED} if recorded else meant


def _means(word: str, kind: str) -> bool:
    return word in {kind, kind.partition(".")[0]} or (word == "run.finished" and kind in _ENDS)


def _remedy(kind: object) -> str:
    """What to pass instead of what is no kind. There are no patterns: the first word has all of its own."""
    text = str(kind)
    family = text.split(".", 1)[0].rstrip("*")
    if "*" in text and not family:
        return " Pass nothing to get every event."
    if "*" in text and family in _FAMILIES:
        return f" Kinds are not patterns: pass {family!r} to get all events {_OF[family]}."
    return did_you_mean(text, _WORDS) or f" There are: {', '.join(_WORDS)}."


_OF: Final = {
    "run": "of a run",
    "step": "of a step",
    "asset": "of an asset",
    "automation": "of an automation",
}
