"""What waits for somebody, or for something: approvals to be decided, signals and instants that come by themselves.

Who opens the list sees the approval that was asked for first, and goes on seeing that one: were another one shown
in its place when it is decided elsewhere, a click that comes at that moment would decide the other one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import ApprovalNotFound, ArgumentError
from flowstone.server.pages.page import Page
from flowstone.server.views.waiting import DECIDED, following, question_of, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.waits import Approval, WaitingStep
    from flowstone.server.asked import Asked

__all__ = ["ONE", "PAGE"]

_SHOWN: Final = 200
_ID: Final = re.compile(r"[0-9a-f]{20}")


async def load(asked: Asked) -> Mapping[str, Any]:
    """The list, and the approval that was asked for first; where there is none, a signal that is waited for."""
    listed = await _listed(asked)
    waiting: Sequence[Approval | WaitingStep] = listed["pending"] or listed["signals"]
    if waiting and asked.query.get("select") != "none" and not listed["decided"]:
        found = listed | await _one(asked, waiting[0].id, listed["signals"])
        return found | {"live_path": f"/live/waiting/{waiting[0].id}"}
    which = "decided" if listed["decided"] else "open"
    return listed | {
        "question": None,
        "wait": None,
        "chosen": "",
        "holds": (),
        "live_path": f"/live/waiting?select=none&show={which}",
    }


async def load_one(asked: Asked) -> Mapping[str, Any]:
    """The list, and one of it.

    Raises:
        ApprovalNotFound: It cannot be the id of any.
    """
    wait_id = asked.path["id"]
    if _ID.fullmatch(wait_id) is None:
        raise ApprovalNotFound(f"Nothing that waits has the id {wait_id!r:.100}.")
    listed = await _listed(asked)
    return listed | await _one(asked, wait_id, (*listed["signals"], *listed["waits"]))


async def _listed(asked: Asked) -> dict[str, Any]:
    runtime = asked.runtime
    decided = asked.query.get("show") == "decided"
    waits = await runtime.waits(limit=_SHOWN)
    pending = list(reversed(await runtime.approvals(limit=_SHOWN)))
    answered = [each for each in await runtime.approvals(None, limit=_SHOWN) if each.status in DECIDED]
    return {
        "decided": answered if decided else (),
        "shows_decided": decided,
        "last": answered[0] if answered else None,
        "pending": pending,
        "signals": [each for each in waits if each.kind == "signal"],
        "waits": [each for each in waits if each.kind == "sleep"],
        "shapes": shapes,
        "opened": "id" in asked.path,
    }


async def _one(asked: Asked, wait_id: str, waits: Sequence[WaitingStep]) -> dict[str, Any]:
    wait = next((each for each in waits if each.id == wait_id), None)
    found: dict[str, Any] = {"question": None, "wait": wait, "chosen": wait_id, "holds": ()}
    if wait is not None:
        return found | {"holds": await following(asked.runtime, wait.asset, wait.run_id)}
    try:
        approval = await asked.runtime.approval(wait_id)
    except ApprovalNotFound:
        return found  # A signal that has come, or what retention has forgotten.
    return found | {"question": await question_of(asked.runtime, approval)}


async def act(asked: Asked, fields: Mapping[str, str]) -> str:
    """Approve or reject, as whoever asks.

    Raises:
        ArgumentError: It is neither of them, or is rejected without a reason.
    """
    wait_id, by = asked.path["id"], asked.identity.name
    reason = fields.get("reason", "").strip() or None
    match fields.get("act"):
        case "approve":
            await asked.runtime.approve(wait_id, by=by, reason=reason)
        case "reject" if reason is None:
            raise ArgumentError("Say why it is rejected: those whose step fails by it read the reason.")
        case "reject":
            await asked.runtime.reject(wait_id, by=by, reason=reason)
        case _:
            raise ArgumentError("An approval is approved or rejected.")
    return f"/waiting/{wait_id}"


_LIVE: Final = ("counts", "inbox", "what", "answer", "earlier")

PAGE: Final = Page("waiting", "/waiting", "waiting.html", load, _LIVE)
ONE: Final = Page("waiting", "/waiting/{id}", "waiting.html", load_one, _LIVE, act=act)
