"""Automations as they are remembered: where each has got to, what it did, and the change that it makes at a time.

An automation is a schedule, a sensor, or whatever else asks for runs by itself. What it has done is a cursor, which
is JSON, and a version that each change raises. A change names the version that it was decided upon, and is refused
if that has moved. So of two processes that do the same at a time one does it, and all that a change consists of
(the cursor, the runs, what is told of it) happens together or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import quote, unquote

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.runs.audit import Act
    from flowstone.runs.automation_events import AutomationEvent, AutomationPaused
    from flowstone.runs.records import Failure, RunRecord, Status

__all__ = [
    "RULE",
    "TAG",
    "AutomationKey",
    "AutomationKind",
    "AutomationRecord",
    "Definition",
    "Fire",
    "FireStatus",
    "FiredRun",
    "Move",
    "NewRun",
    "duty_of",
    "key_of_subject",
    "subject_of",
]

TAG: Final = "automation"
"""The tag of a run that says which automation asked for it."""

RULE: Final = "rule"
"""The tag of a run that says which part of a condition asked for it."""

AutomationKey: TypeAlias = tuple[str, str]
"""The name of a pipeline, and of an automation of it."""


def subject_of(key: AutomationKey) -> str:
    """What an automation is called in notifications and duties: no two have the same, whatever their names are."""
    return "/".join(quote(part, safe="") for part in key)


def key_of_subject(subject: str) -> AutomationKey:
    """The automation that is called so."""
    pipeline, _, name = subject.partition("/")
    return unquote(pipeline), unquote(name)


def duty_of(key: AutomationKey) -> str:
    """The duty of the one node that drives an automation."""
    return f"automation:{subject_of(key)}"


AutomationKind: TypeAlias = Literal["schedule", "sensor", "listener", "condition", "freshness"]

FireStatus: TypeAlias = Literal["started", "skipped", "failed", "told"]


@frozen
class Definition:
    """What a store is told of an automation that is defined.

    Attributes:
        name: Its name.
        kind: What it is.
        text: What decides when it acts, as people read it; when that changes, all but a sensor begin anew.
        paused: Whether it is paused when it is seen for the first time.
        cursor: Where it begins then.
    """

    name: str
    kind: AutomationKind
    text: str
    paused: bool = False
    cursor: Any = None


@frozen
class AutomationRecord:
    """What a store knows of an automation.

    Attributes:
        pipeline: The pipeline that defines it.
        name: Its name.
        kind: What it is.
        text: What decides when it acts, as people read it.
        version: Raised by each change.
        cursor: Where it has got to; JSON.
        pending: What it has decided to do and not done yet; JSON, in order.
        paused: Whether somebody, or too many failures, have paused it.
        failures: How many times it has failed in a row.
        failure: Why it failed the last time, if it did; None after it has succeeded.
        since: When it was seen for the first time.
        gone_at: Since when no pipeline defines it; None: one does.
        pausing: When, by whom and why it was paused; None if it is not, or was defined so.
    """

    pipeline: str
    name: str
    kind: AutomationKind
    text: str
    version: int
    cursor: Any
    pending: tuple[Any, ...]
    paused: bool
    failures: int
    failure: Failure | None
    since: datetime
    gone_at: datetime | None = None
    pausing: AutomationPaused | None = None

    @property
    def key(self) -> AutomationKey:
        """What it is known by."""
        return self.pipeline, self.name


@frozen
class FiredRun:
    """A run that an automation asked for.

    Attributes:
        id: Its id.
        joined: Whether it was under way already.
        status: What has become of it so far; None if it is forgotten.
    """

    id: str
    joined: bool = False
    status: Status | None = None


@frozen
class Fire:
    """What an automation did at one time.

    Attributes:
        at: When it did it (aware, UTC).
        status: `started`: it asked for runs, perhaps for none; `skipped`: it did not; `failed`: it could not;
            `told`: its function was called for events.
        scheduled_at: Of a schedule the instant that it was about (aware, UTC); None where somebody asked for it.
        runs: The runs that it asked for, in order.
        reason: Why it was skipped or failed; of a sensor that started runs, what no run could be made of; of a
            condition the rule that held, and what has changed; of a listener what it was told last; or empty.
        by: Who asked for it, or empty.
    """

    at: datetime
    status: FireStatus
    scheduled_at: datetime | None = None
    runs: tuple[FiredRun, ...] = ()
    reason: str = ""
    by: str = ""


@frozen
class NewRun:
    """A run that a change starts, unless there is one that is as good.

    Attributes:
        record: The run, as it is written down.
        once: A key; if the automation has asked for a run by it before, nothing is started. None: no key.
        join: Whether a run of the same that is under way is taken instead.
    """

    record: RunRecord
    once: str | None = None
    join: bool = False


@frozen
class Move:
    """One change of an automation; all of it happens, or nothing.

    Attributes:
        key: Which automation.
        version: The version that it was decided upon.
        cursor: Where it has got to.
        pending: What is left to do.
        runs: Runs to start.
        fire: What is remembered of it, without its runs; None: nothing, if there are no runs either.
        paused: Whether it is paused from here on; None: as it was.
        failures: How many times it has failed in a row.
        failure: Why, if it has failed.
        events: What is told of it to those who listen.
        delivered: Keys of deliveries that are dealt with.
        follower: To whom they were delivered; empty: the follower of its own name.
        act: Who asked for it; None: nobody, it acts by itself.
    """

    key: AutomationKey
    version: int
    cursor: Any = None
    pending: tuple[Any, ...] = ()
    runs: Sequence[NewRun] = ()
    fire: Fire | None = None
    paused: bool | None = None
    failures: int = 0
    failure: Failure | None = None
    events: Sequence[AutomationEvent] = ()
    delivered: Sequence[tuple[str, int]] = ()
    follower: str = ""
    act: Act | None = None
