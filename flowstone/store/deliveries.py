"""The port to the outbox: events that are recorded, and not yet delivered to who follows them.

A follower says which events it wants. From then on each event that fits enters its outbox in the very write that
records it, whoever makes that write, and stays there until it is `done`. So what is recorded is delivered, at least
once, however often a process dies between the two; and where nobody follows, nothing is done.

Deliveries are in *lanes*: the events of one run are one, and so are those of one automation, and those of the
freshness of one asset and partition. Within a lane their order is that of recording, and their numbers rise.

Retention takes away nothing that an outbox still refers to.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from flowstone.runs.automation import AutomationRecord
    from flowstone.runs.automation_events import AutomationEvent, AutomationFailed, Event
    from flowstone.runs.records import Failure

__all__ = [
    "OF_ONE_LANE",
    "Deliveries",
    "Delivery",
    "DeliveryKey",
    "Follower",
    "FollowerState",
    "follower_of",
    "lane_of",
]

OF_ONE_LANE = 100
"""Deliveries of one lane that `pending` returns at most, so that a busy run leaves room for others."""

DeliveryKey: TypeAlias = "tuple[str, int]"
"""What a follower's deliveries are told apart by: lane and number."""


def follower_of(record: AutomationRecord) -> str:
    """The name of who follows for an automation: one for all conditions, one for the freshness of all assets."""
    match record.kind:
        case "condition":
            return ""
        case "freshness":
            return "freshness:"
        case _:
            return record.name


@frozen
class Follower:
    """Somebody to whom events are delivered.

    Attributes:
        name: Its name; unique within its pipeline.
        kinds: The exact kinds of events it wants; see `exact_kinds`.
        assets: Only events of these assets; None: of all.
        anywhere: Whether it wants events of runs of all pipelines, and not only of its own.
    """

    name: str
    kinds: frozenset[str]
    assets: frozenset[str] | None = None
    anywhere: bool = False


@frozen
class Delivery:
    """An event that is to be delivered to a follower.

    Attributes:
        lane: What it is in order with: the run's id, or what stands for an automation or an asset.
        number: Its place there.
        event: The event.
        attempts: How often it was delivered in vain (`failed`).
    """

    lane: str
    number: int
    event: Event
    attempts: int = 0

    @property
    def key(self) -> DeliveryKey:
        """What it is told apart by, for `done`."""
        return self.lane, self.number


@frozen
class FollowerState:
    """A follower and what became of its deliveries.

    Attributes:
        follower: The follower.
        pending: Deliveries that are not done; those beyond 10,000 may not be counted.
        given_up: How many were given up so far.
        failure: Why the last of these was, or None.
        failed_at: When (aware), or None.
        attempts: How often one that still waits was delivered in vain, at most; 0: none was.
        failing: Why, the last time that one was; None if none was.
    """

    follower: Follower
    pending: int = 0
    given_up: int = 0
    failure: Failure | None = field(default=None)
    failed_at: datetime | None = None
    attempts: int = 0
    failing: Failure | None = None


class Deliveries(Protocol):
    """The outbox of each follower. Calls may raise `StoreUnavailable`; each is safe to repeat."""

    async def follow(self, pipeline: str, followers: Sequence[Follower]) -> None:
        """Say who follows the events of a pipeline from now on.

        One that is named no more loses its deliveries, unless an automation is remembered for which it follows:
        another node may define it, or it may come back.
        One that is known goes on from where it is; if it wants other events now, that holds for those to come.
        """

    async def followers(self, pipeline: str) -> Sequence[FollowerState]:
        """Who follows a pipeline, by name."""

    async def pending(
        self, pipeline: str, name: str, *, limit: int, but: Collection[str] = ()
    ) -> Sequence[Delivery]:
        """What is to be delivered to a follower: of each lane the first ones that are not done, in order.

        Lanes come in the order in which they came to have something pending: the one of which all was done, and
        that has something again, is the last one then. What one call records of several lanes may be in any order.

        Args:
            pipeline: Its pipeline.
            name: Its name.
            limit: How many at most; of one lane at most `OF_ONE_LANE`.
            but: Lanes to leave alone.
        """

    async def done(self, pipeline: str, name: str, keys: Collection[DeliveryKey]) -> None:
        """These were delivered: they leave the outbox."""

    async def failed(
        self, pipeline: str, name: str, key: DeliveryKey, failure: Failure | None = None
    ) -> None:
        """One was delivered in vain, and stays; why is remembered with the follower."""

    async def give_up(
        self, pipeline: str, name: str, key: DeliveryKey, failed: AutomationFailed, *, tell: bool
    ) -> None:
        """One leaves the outbox undelivered; that is counted, with the reason.

        Args:
            pipeline: The follower's pipeline.
            name: Its name.
            key: Which one.
            failed: The reason.
            tell: Whether that is an event for those who follow; it is none for the follower itself.
        """

    async def add(self, pipeline: str, events: Sequence[AutomationEvent]) -> None:
        """Have events that belong to no run delivered to the followers of a pipeline, all of them or none.

        A call that is repeated may deliver them twice. Where they belong to another write, that does it itself.
        """

    async def waiting(self, pipelines: Collection[str]) -> Collection[tuple[str, str]]:
        """Which followers of these pipelines have something pending: pipeline and name."""

    def watch(self, heard: Callable[[str], None]) -> AbstractContextManager[None]:
        """Have `heard` called on this loop with a pipeline's name when its followers may have something new.

        It is a reason to look, and may be lost where several nodes share the store: `waiting` tells.
        """


def lane_of(event: Event) -> str:
    """The lane of an event."""
    if event.run_id:
        return event.run_id
    if event.asset:
        return f"asset:{event.asset}:{event.partition_key or ''}"
    return f"automation:{getattr(event, 'name', '')}"
