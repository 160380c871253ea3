"""The overview: is all well; what runs, what failed, and what waits for somebody?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.runs.records import Status
from flowstone.server.pages.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runs.records import RunRecord
    from flowstone.runs.waits import Approval
    from flowstone.server.pages.page import Asked

__all__ = ["PAGE"]

_SHOWN = 8
_UNDER_WAY = (Status.QUEUED, Status.RUNNING, Status.WAITING)


async def load(asked: Asked) -> Mapping[str, Any]:
    """What is under way, what failed last, what waits for an answer, and what comes next."""
    runtime = asked.runtime
    under_way = await runtime.runs(status=_UNDER_WAY, limit=_SHOWN)
    finished = await runtime.runs(status=(Status.SUCCEEDED, Status.FAILED, Status.CANCELLED), limit=50)
    failed = _not_mended(finished)
    approvals = await runtime.approvals(limit=_SHOWN)
    automations = await runtime.automations(fires=1)
    return {
        "under_way": under_way,
        "failed": failed[:_SHOWN],
        "approvals": approvals,
        "verdict": _verdict(failed, approvals),
        "quiet": _quiet(under_way),
        "upcoming": _upcoming(automations)[:_SHOWN],
    }


def _not_mended(finished: Sequence[RunRecord]) -> list[RunRecord]:
    """The failed runs, newest first, after which no run that was asked for the same asset has succeeded."""
    mended: set[str] = set()
    failed: list[RunRecord] = []
    for run in finished:
        if run.status is Status.SUCCEEDED:
            mended.add(run.asset)
        elif run.status is Status.FAILED and run.asset not in mended:
            failed.append(run)
    return failed


def _verdict(failed: Sequence[RunRecord], approvals: Sequence[Approval]) -> list[tuple[str, str, str]]:
    """The first sentence in parts: shape, words, and where it leads to on the page or beyond."""
    parts = []
    if failed:
        parts.append(("fail", f"{count(len(failed), 'run')} failed", "#needs"))
    if approvals:
        steps = count(len(approvals), "step")
        parts.append(
            ("wait", f"{steps} {'waits' if len(approvals) == 1 else 'wait'} for an answer", "/waiting")
        )
    return parts


def _quiet(under_way: Sequence[RunRecord]) -> str:
    if not under_way:
        return "Nothing runs."
    return f"{count(len(under_way), 'run')} under way."


def _upcoming(automations: Sequence[AutomationStatus]) -> list[AutomationStatus]:
    coming = [each for each in automations if each.next_fire is not None]
    return sorted(coming, key=lambda each: (each.next_fire is None, each.next_fire))


PAGE: Final = Page("overview", "/", "overview.html", load, ("verdict", "needs", "running"))
