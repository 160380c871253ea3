"""What a step waits for, as it is remembered: one record a wait, from when it is asked for until it is over.

What a function did once is remembered in the same way: an answer that nobody had to wait for.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowstone.runs.records import StepKey, WaitKind

__all__ = [
    "Approval",
    "ApprovalStatus",
    "OnTimeout",
    "Wait",
    "WaitStatus",
    "WaitingStep",
    "status_when_over",
    "wait_id",
]

WaitStatus: TypeAlias = Literal["early", "open", "answered", "rejected", "expired", "cancelled"]
"""`early`: a token was handed out and the step does not wait yet. It and `open` are left for another one, and only
once: the first answer counts."""

OnTimeout: TypeAlias = Literal["fail", "approve", "reject"]

ApprovalStatus: TypeAlias = Literal["pending", "approved", "rejected", "expired", "cancelled"]

_STATUSES: dict[WaitStatus, ApprovalStatus] = {
    "open": "pending",
    "answered": "approved",
    "rejected": "rejected",
    "expired": "expired",
    "cancelled": "cancelled",
}


@frozen
class Wait:
    """A wait of one step.

    Attributes:
        run_id: Its run.
        asset: Its asset.
        partition_key: Its encoded partition key, or None.
        name: What the asset calls it: its identity within the step.
        kind: What is waited for.
        attempt: The attempt that asked.
        asked_at: When it asked (aware).
        deadline: When it is over without an answer, by the store's clock (aware), or None.
        status: `early`, before the step waits; `open`; `answered`, as a sleep is whose time has come; `rejected`;
            `expired`; or `cancelled` with its run.
        answer: What it was answered with, as JSON has it; of an approval `by`, `reason` and `data`.
        answered_at: When it was over (aware), or None.
        about: What whoever answers it is shown, as JSON has it, or None.
        arrival: Its place among all waits of its store, in the order they were asked for; 0: not known yet.
    """

    run_id: str
    asset: str
    partition_key: str | None
    name: str
    kind: WaitKind
    attempt: int
    asked_at: datetime
    deadline: datetime | None = None
    status: WaitStatus = "open"
    answer: Any = None
    answered_at: datetime | None = None
    about: Mapping[str, Any] | None = None
    arrival: int = 0

    @property
    def step(self) -> StepKey:
        """The step that waits."""
        return self.asset, self.partition_key

    @property
    def id(self) -> str:
        """What people call it by."""
        return wait_id(self.run_id, self.asset, self.partition_key, self.name)

    @property
    def result(self) -> Any:
        """What the function is given, as JSON has it."""
        if self.kind != "approval" or self.answered_at is None:
            return self.answer
        decision = self.answer or {}
        return {
            "by": decision.get("by"),
            "reason": decision.get("reason"),
            "data": decision.get("data"),
            "at": self.answered_at.isoformat(),
        }

    def as_of(self, now: datetime) -> Wait:
        """What it is at this instant: over once its deadline has passed, also if nobody has recorded that yet."""
        if self.status != "open" or self.deadline is None or self.deadline > now:
            return self
        return replace(self, status=status_when_over(self.kind, self.about))

    @property
    def as_answer(self) -> tuple[str, Any]:
        """What the step is told of it: its kind and result; of a signal that has not come: a token is out."""
        return ("token", None) if self.status == "early" else (self.kind, self.result)


@frozen
class Approval:
    """What somebody is, or was, to approve.

    Attributes:
        id: What it is decided by.
        name: What the asset calls it.
        asset: The asset.
        partition: Its partition as a Python value, or None.
        run_id: The run.
        message: What is to be approved, for people.
        data: More about it, as JSON has it.
        status: `pending`, `approved`, `rejected`, `expired` or `cancelled`.
        requested_at: When it was asked for (aware, UTC).
        expires_at: When it expires (aware, UTC), or None.
        by: Who decided, or None.
        reason: What they gave as the reason, or None.
        decided_at: When (aware, UTC), or None.
        on_timeout: What becomes of it if nobody decides until it expires: its step fails (`fail`), or it counts as
            approved or rejected (`approve`, `reject`).
    """

    id: str
    name: str
    asset: str
    partition: Any
    run_id: str
    message: str
    data: Any
    status: ApprovalStatus
    requested_at: datetime
    expires_at: datetime | None = None
    by: str | None = None
    reason: str | None = None
    decided_at: datetime | None = None
    on_timeout: OnTimeout = "fail"

    @classmethod
    def of(cls, wait: Wait, partition: Any) -> Approval:
        """A wait of this kind, as people see it."""
        about, decision = wait.about or {}, wait.answer or {}
        return cls(
            wait.id,
            wait.name,
            wait.asset,
            partition,
            wait.run_id,
            about.get("message", ""),
            about.get("data"),
            _STATUSES[wait.status],
            wait.asked_at,
            wait.deadline,
            decision.get("by"),
            decision.get("reason"),
            wait.answered_at,
            about.get("on_timeout", "fail"),
        )


@frozen
class WaitingStep:
    """A step that waits, and for what.

    Attributes:
        id: What the wait is known by; of an approval what it is decided by.
        kind: `approval`, for somebody to approve; `signal`, for a payload from outside; or `sleep`, for an instant.
        name: What the asset calls it.
        asset: The asset.
        partition: Its partition as a Python value, or None.
        run_id: The run.
        message: What is to be approved, for people; of others empty.
        since: When it was asked for (aware, UTC).
        until: When it is over without an answer, or the sleep is (aware, UTC); None: never.
    """

    id: str
    kind: WaitKind
    name: str
    asset: str
    partition: Any
    run_id: str
    message: str
    since: datetime
    until: datetime | None

    @classmethod
    def of(cls, wait: Wait, partition: Any) -> WaitingStep:
        """An open wait, as people see it."""
        message = (wait.about or {}).get("message", "")
        return cls(
            wait.id,
            wait.kind,
            wait.name,
            wait.asset,
            partition,
            wait.run_id,
            message,
            wait.asked_at,
            wait.deadline,
        )


def wait_id(run_id: str, asset: str, partition_key: str | None, name: str) -> str:
    """What people call a wait by: the same for the same wait, whoever asks."""
    place = "\x1f".join((run_id, asset, "" if partition_key is None else f"={partition_key}", name))
    return hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def status_when_over(kind: str, about: Mapping[str, Any] | None) -> WaitStatus:
    """What becomes of an open wait whose deadline has passed; only what is `answered` wakes its step."""
    if kind == "sleep":
        return "answered"
    chosen = (about or {}).get("on_timeout") if kind == "approval" else None
    return {"approve": "answered", "reject": "rejected"}.get(chosen or "", "expired")  # type: ignore[return-value] # each is one
