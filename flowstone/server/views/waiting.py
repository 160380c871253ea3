"""One approval as its page shows it: what was sent along, what follows from each answer, and earlier answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import FlowstoneError
from flowstone.frozen import frozen
from flowstone.masking import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.graph import AssetGraph
    from flowstone.runs.records import RunRecord
    from flowstone.runs.waits import Approval, ApprovalStatus, WaitingStep
    from flowstone.runtime.runtime import Runtime

__all__ = ["DECIDED", "Question", "answers_awaited", "following", "question_of", "shapes"]

DECIDED: Final[tuple[ApprovalStatus, ...]] = ("approved", "rejected", "expired", "cancelled")
_WAITS: Final = 1_000
_EARLIER: Final = 8
_LOOKED_AT: Final = 50
_CELLS: Final = 6
_LONGEST: Final = 20_000
_LONGEST_CELL: Final = 24

shapes: Final = {
    "pending": "wait",
    "approved": "ok",
    "rejected": "fail",
    "expired": "cancel",
    "cancelled": "cancel",
}
"""The shape of each status of an approval."""


@frozen
class Question:
    """An approval, and what whoever decides it wants to know.

    Attributes:
        approval: The approval.
        text: What the step sent along, as text; or empty.
        cells: Its single values: name, value, and what it was when it was approved last, or empty.
        follows: The assets of its run that wait for it, in order.
        earlier: What was decided before of the same, the newest first.
    """

    approval: Approval
    text: str
    cells: Sequence[tuple[str, str, str]]
    follows: Sequence[str]
    earlier: Sequence[Approval]


async def question_of(runtime: Runtime, approval: Approval) -> Question:
    """All that is shown of an approval."""
    of = approval.asset if approval.asset in runtime.graph else None
    asked = await runtime.approvals(None, asset=of, limit=_LOOKED_AT, before=approval.id)
    earlier = [
        each
        for each in asked
        if (each.asset, each.name) == (approval.asset, approval.name) and each.status != "pending"
    ]
    before = next((each.data for each in earlier if each.status == "approved"), None)
    return Question(
        approval,
        _text(approval.data),
        _cells(approval.data, before),
        await following(runtime, approval.asset, approval.run_id),
        earlier[:_EARLIER],
    )


async def following(runtime: Runtime, asset: str, run_id: str) -> Sequence[str]:
    """The assets of a run that wait for one of it, in the order of the graph."""
    try:
        run = await (await runtime.run(run_id)).record()
    except FlowstoneError:
        return ()  # Retention has forgotten it.
    return _between(runtime.graph, asset, run)


def _between(graph: AssetGraph, asset: str, run: RunRecord) -> Sequence[str]:
    if asset not in graph:
        return ()
    targets = [name for name in run.assets if name in graph]
    within = set(graph.with_upstream(targets) if run.request.upstream else targets)
    return [name for name in graph.downstream(asset) if name in within]


def _text(data: Any) -> str:
    if data is None:
        return ""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    cut = "" if len(text) <= _LONGEST else f"\n… and {len(text) - _LONGEST:,} characters more"
    return masked(text[:_LONGEST]) + cut


def _cells(data: Any, before: Any) -> list[tuple[str, str, str]]:
    """The single values of what was sent along, each with what it was before if it is another one."""
    if not isinstance(data, dict):
        return []
    known = before if isinstance(before, dict) else {}
    single = [(name, value) for name, value in data.items() if _is_single(value)]
    return [
        (name, masked(_said(value)), masked(_said(known[name])) if _differs(name, value, known) else "")
        for name, value in single[:_CELLS]
    ]


def _differs(name: str, value: Any, known: dict[str, Any]) -> bool:
    return name in known and _is_single(known[name]) and known[name] != value


def _is_single(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= _LONGEST_CELL)


def _said(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


async def answers_awaited(runtime: Runtime) -> list[WaitingStep]:
    """What goes on only when somebody, or something outside, answers: approvals and signals."""
    return [each for each in await runtime.waits(limit=_WAITS) if each.kind != "sleep"]
