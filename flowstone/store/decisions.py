"""Approvals decided and signals sent, whoever asks for it: what may be said, and what comes of saying it too late.

Who is first is decided by the store, which compares and sets (`Waits.answer`). Here a refusal becomes the error
that says what was there before.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, get_args

from flowstone.assets.json_values import exact_json
from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.waiting import token_hash
from flowstone.errors import (
    AlreadyDecided,
    ApprovalNotFound,
    ArgumentError,
    PartitionError,
    TokenExpired,
    TokenUnknown,
    TokenUsed,
)
from flowstone.printable import is_blank
from flowstone.remedies import Remedies
from flowstone.runs.waits import Approval, ApprovalStatus, WaitingStep
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from flowstone.runs.waits import Wait, WaitStatus
    from flowstone.store.protocol import Store
    from flowstone.store.waits import Answered

__all__ = [
    "approval_of",
    "approval_wait",
    "approvals",
    "decide",
    "known_approval",
    "run_of_token",
    "send_signal",
    "waiting_steps",
]

_WAITS: Final[dict[str, WaitStatus]] = {
    "pending": "open",
    "approved": "answered",
    "rejected": "rejected",
    "expired": "expired",
    "cancelled": "cancelled",
}
_LONGEST: Final = 10_000  # Characters of a name or a reason.
_ID: Final = re.compile(r"[0-9a-f]{20}\Z")
_TOKEN: Final = re.compile(r"(?P<run>[0-9a-f]{1,64})\.[A-Za-z0-9_-]{43}\Z")
_LOOKS: Final = 20  # How often a token is looked for whose run may just be recording it.
_PAUSE: Final = 0.1  # Seconds between two of them.


async def approvals(
    store: Store,
    status: str | None = "pending",
    *,
    now: datetime,
    asset: str | None = None,
    limit: int = 100,
    before: str | None = None,
) -> Sequence[Approval]:
    """Approvals that were asked for, the newest first.

    Raises:
        ArgumentError: `status` is none.
        ApprovalNotFound: There is none of the id `before`.
    """
    if status is not None and status not in tuple(_WAITS):  # What has no hash is compared too.
        known = ", ".join(get_args(ApprovalStatus))
        raise ArgumentError(
            f"{status!r:.100} is not a status of an approval.",
            remedies=Remedies(
                f"status= takes {known}, or None for all.",
                f"--status takes {known}, or all.",
                f"`status` takes {known}, or all.",
            ),
        )
    statuses = () if status is None else (_WAITS[status],)
    last = None if before is None else await known_approval(store, before)
    found = await store.waits.approvals(statuses, now=now, asset=asset, limit=limit, before=last)
    return [approval_of(wait) for wait in found]


async def known_approval(store: Store, id: str) -> Wait:  # noqa: A002 - the public word
    """The wait of an approval. Raises `ApprovalNotFound` if there is none."""
    wait = await approval_wait(store, id)
    if wait is None:
        raise ApprovalNotFound(
            f"There is no approval {id!r:.100}: it was mistyped, or removed by retention with its run."
        )
    return wait


async def waiting_steps(
    store: Store, *, now: datetime, asset: str | None = None, limit: int = 100
) -> Sequence[WaitingStep]:
    """What steps wait for, in the order of `Waits.open`."""
    found = await store.waits.open(now=now, asset=asset, limit=limit)
    return [WaitingStep.of(wait, _partition(wait)) for wait in found]


async def approval_wait(store: Store, id: str) -> Wait | None:  # noqa: A002 - the public word
    """The wait of an approval, or None; some databases refuse a text that is no id instead of not finding it."""
    given: object = id
    known = isinstance(given, str) and _ID.match(given)
    return await store.waits.approval(id) if known else None


def approval_of(wait: Wait) -> Approval:
    """A wait for approval, as people see it."""
    return Approval.of(wait, _partition(wait))


def _partition(wait: Wait) -> Any:
    key = wait.partition_key
    if key is None:
        return None
    with suppress(PartitionError):  # It was made in another way: then it is all there is to show.
        return decode_partition(key)
    return key


async def decide(
    store: Store,
    id: str,  # noqa: A002 - the public word
    *,
    approve: bool,
    by: str,
    reason: str | None,
    data: Any,
    now: datetime,
) -> Answered:
    """Decide an approval, if nobody has.

    Raises:
        ApprovalNotFound: There is none of that id.
        AlreadyDecided: Somebody has, or it is over.
        ValueError: Nobody decides, or what is given cannot be kept.
    """
    answer = {
        "by": _text("by", by),
        "reason": None if reason is None else _text("reason", reason),
        "data": exact_json(data, "The data of a decision"),
    }
    wait = await known_approval(store, id)
    if wait.status == "open":
        try:
            status: WaitStatus = "answered" if approve else "rejected"
            return await store.waits.answer(wait.run_id, wait.step, wait.name, answer, now=now, status=status)
        except StaleWrite:
            wait = await store.waits.approval(id) or wait
    approval = approval_of(wait)
    raise AlreadyDecided(f"Approval {id} ({wait.name!r} of {wait.asset}) {_became(approval)}.", approval)


def _became(approval: Approval) -> str:
    by = f" by {approval.by}" if approval.by else ""
    match approval.status:
        case "pending":
            return f"has expired at {approval.expires_at}, or its run is over"
        case "approved" | "rejected":
            return f"was {approval.status}{by} at {approval.decided_at}: the first decision stands"
        case "expired":
            return f"has expired at {approval.expires_at}: nobody had decided"
        case _:
            return "was cancelled with its run"


def run_of_token(token: str) -> str | None:
    """The run whose step handed out a token, as it says itself; None if it is no token."""
    given: object = token
    parts = _TOKEN.match(given) if isinstance(given, str) else None
    return None if parts is None else parts["run"]


async def send_signal(
    store: Store,
    token: str,
    payload: Any,
    *,
    now: datetime,
    by: str | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Answered:
    """Send the signal that a token is for.

    A token may be used before it is on record that it was handed out: an async asset does not wait for that. So
    one whose run goes on is looked for a few times.

    Raises:
        TokenUnknown: There is no such token.
        TokenUsed: The signal has come before.
        TokenExpired: Nobody waits for it any more.
        ValueError: The payload cannot be kept.
    """
    value = exact_json(payload, "The payload of a signal")
    wait = await _of_token(store, token, sleep)
    if wait is None:
        raise TokenUnknown(
            "No step handed out this token: it was mistyped or forged, or its run is forgotten."
        )
    if wait.status in {"open", "early"}:
        try:
            return await store.waits.answer(wait.run_id, wait.step, wait.name, value, now=now, by=by)
        except StaleWrite:
            wait = await store.waits.of_token(token_hash(token)) or wait
    what = f"Signal {wait.name!r} of {wait.asset}"
    if wait.status == "answered":
        raise TokenUsed(f"{what} has come before, at {wait.answered_at}: a token is used once.")
    why = "was cancelled with its run" if wait.status == "cancelled" else "is not waited for any more"
    raise TokenExpired(f"{what} {why}.")


async def _of_token(store: Store, token: str, sleep: Callable[[float], Awaitable[None]]) -> Wait | None:
    run_id = run_of_token(token)
    if run_id is None:
        return None
    hashed = token_hash(token)
    for _ in range(_LOOKS):
        wait = await store.waits.of_token(hashed)
        if wait is not None:
            return wait
        run = await store.run(run_id)
        if run is None or run.status.terminal:
            return None
        await sleep(_PAUSE)
    return None


def _text(what: str, value: object) -> str:
    if not isinstance(value, str) or is_blank(value) or len(value) > _LONGEST:
        raise ArgumentError(
            f"{value!r:.100} is not a text of 1 to {_LONGEST:,} characters.",
            remedies=Remedies.takes(what, "one"),
        )
    text: str = exact_json(value, f"The {what!r} of a decision")
    return text
