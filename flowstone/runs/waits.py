"""What a step waits for, as it is remembered: one record a wait, from when it is asked for until it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime

    from flowstone.runs.records import StepKey, WaitKind

__all__ = ["Wait", "WaitStatus"]

WaitStatus: TypeAlias = Literal["open", "answered", "expired", "cancelled"]
"""Only `open` is left for another one, and only once: the first answer counts."""


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
        status: `open`; `answered`, as a sleep is whose time has come; `expired`; or `cancelled` with its run.
        answer: What it was answered with, as JSON has it.
        answered_at: When it was over (aware), or None.
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

    @property
    def step(self) -> StepKey:
        """The step that waits."""
        return self.asset, self.partition_key
