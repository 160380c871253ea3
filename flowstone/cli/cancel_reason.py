"""Why a run was cancelled, in a line; the first reason on record counts."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from flowstone.printable import one_line
from flowstone.runs.events import RunCancelRequested
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runs.records import RunRecord
    from flowstone.store import Store

__all__ = ["cancel_request", "cancel_words"]

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "asked": "somebody asked for it",
        "timeout": "its timeout was over",
        "caller": "the call that waited for it was cancelled",
        "shutdown": "its node stopped",
        "unwanted": "all who waited for it had left",
    }
)


async def cancel_request(store: Store, run: RunRecord) -> RunCancelRequested | None:
    """What is on record; None of a run that was not cancelled, or that was drained or ended before it began."""
    if run.status is not Status.CANCELLED:
        return None
    after = 0
    while page := await store.events(run.id, after=after):
        after = page[-1][0]
        for _, event in page:
            if isinstance(event, RunCancelRequested):
                return event
    return None


def cancel_words(event: RunCancelRequested) -> str:
    """It, as people read it; empty if nothing is known of it."""
    if event.by is not None and event.reason == "asked":
        words = f"{one_line(event.by)} asked for it"
    else:
        words = _WORDS.get(event.reason, one_line(event.reason))
    return f"{words}: {one_line(event.comment)}" if event.comment else words
