"""Who did what, when, and on what: the entries of the audit log.

A store makes an entry in the same change as what was done, so there is one for everything that was done, and none
for what was not. An entry says what is asked for in a sentence: it has no config, no payload and no token.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from flowstone.assets.partition_labels import key_label, step_label
from flowstone.counting import count
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowstone.runs.records import RunSpec

__all__ = [
    "WORDS",
    "Act",
    "AuditAction",
    "AuditEntry",
    "AuditTarget",
    "details_of",
    "details_text",
    "key_of",
]

AuditAction: TypeAlias = Literal[
    "run.queued",
    "run.cancel_requested",
    "approval.approved",
    "approval.rejected",
    "signal.sent",
    "automation.paused",
    "automation.resumed",
    "automation.fired",
    "asset.invalidated",
    "partitions.added",
    "partitions.removed",
    "pool.changed",
    "token.created",
    "token.revoked",
    "session.begun",
    "session.ended",
]


WORDS: Final[Mapping[AuditAction, str]] = MappingProxyType(
    {
        "run.queued": "asked for a run",
        "run.cancel_requested": "cancelled the run",
        "approval.approved": "approved",
        "approval.rejected": "rejected",
        "signal.sent": "sent a signal",
        "automation.paused": "paused",
        "automation.resumed": "resumed",
        "automation.fired": "fired by hand",
        "asset.invalidated": "invalidated",
        "partitions.added": "added partitions",
        "partitions.removed": "removed partitions",
        "pool.changed": "changed the slots",
        "token.created": "made a token",
        "token.revoked": "revoked a token",
        "session.begun": "logged in",
        "session.ended": "logged out",
    }
)
"""What was done, as people say it."""


@frozen
class Act:
    """Somebody does something.

    Attributes:
        at: When; for a store without a clock of its own.
        by: Who, or None.
        reason: Why, in their words; may be empty.
    """

    at: datetime
    by: str | None = None
    reason: str = ""


@frozen
class AuditTarget:
    """What something was done to.

    Attributes:
        asset: The asset, or None.
        partition_key: Its encoded partition key, where it is a single one; or None.
        run_id: The run, or None.
        name: The wait, automation, pool, partition set or token; of a run the automation that asked for it; or
            empty.
    """

    asset: str | None = None
    partition_key: str | None = None
    run_id: str | None = None
    name: str = ""


@frozen
class AuditEntry:
    """Something that somebody did.

    Attributes:
        id: Its number in the store: that of what was recorded later is higher.
        at: When it was recorded (aware, UTC); for people.
        action: What was done, such as `run.queued` or `token.revoked`.
        by: Who did it, or None: nobody said, or it happened by itself.
        asset: The asset that it was done to, or None.
        partition_key: Its encoded partition key, where it was a single one; or None.
        run_id: The run that it was done to or that it began, or None.
        name: The wait, automation, pool, partition set or token that it was done to; of a run the automation that
            asked for it; or empty.
        reason: Why, in the words of who did it; of a cancel that nobody asked for what brought it about; or empty.
        details: What else there is to say, as JSON: of a run its `kind`, how many `partitions` or which `span`,
            `retry_of`, and the assets `beside` this one; of values how many `partitions`; of an automation its
            `pipeline`; `keys` of a partition set, `slots` of a pool, and the `role` of a token.
    """

    id: int
    at: datetime
    action: AuditAction
    by: str | None
    asset: str | None
    partition_key: str | None
    run_id: str | None
    name: str
    reason: str
    details: Mapping[str, Any]

    @property
    def target(self) -> str:
        """What it was done to, as people write it: a step, an asset, or a name; or empty."""
        return self.name if self.asset is None else step_label(self.asset, self.partition_key)


def details_text(entry: AuditEntry) -> str:
    """The details of an entry, as people say them; empty if there are none."""
    said = entry.details
    parts = [str(said["kind"]).replace("_", " ")] if "kind" in said else []
    if "partitions" in said:
        parts.append(count(said["partitions"], "partition"))
    if "span" in said:
        first, last = map(key_label, said["span"])
        parts.append(f"{first} to {last}")
    if "beside" in said:
        parts.append(f"with {', '.join(said['beside'])}")
    if "retry_of" in said:
        parts.append(f"retry of {said['retry_of']}")
    if "pipeline" in said:
        parts.append(f"pipeline {said['pipeline']}")
    if "keys" in said:
        parts.append(count(said["keys"], "key"))
    if "slots" in said:
        slots = said["slots"]
        parts.append("as its pipeline says" if slots is None else count(slots, "slot"))
    if "role" in said:
        parts.append(f"may {said['role']}")
    return ", ".join(parts)


def key_of(request: RunSpec) -> str | None:
    """The partition that a run was asked for, where it is a single one."""
    return request.keys[0] if len(request.keys) == 1 else None


def details_of(request: RunSpec) -> dict[str, Any]:
    """What an entry says of what a run was asked for."""
    details: dict[str, Any] = {"kind": request.kind}
    if len(request.keys) != 1 and request.span is None:
        details["partitions"] = len(request.keys)
    if request.span is not None:
        details["span"] = list(request.span)
    if request.retry_of is not None:
        details["retry_of"] = request.retry_of
    if request.beside:
        details["beside"] = list(request.beside)
    return details
