"""The outbox of a store without a database: for each follower, lanes of what is not delivered to it yet.

What waits here is what the log of its run holds, the same objects, so that they cost next to nothing, and outlive
the log when retention forgets the run.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from flowstone.runs.records import Materialization
from flowstone.store.deliveries import OF_ONE_LANE, Delivery, Follower, FollowerState, lane_of
from flowstone.store.event_log import event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from flowstone.runs.automation_events import AutomationEvent, AutomationFailed, Event
    from flowstone.runs.records import Failure
    from flowstone.store.audit_log import AuditLog
    from flowstone.store.deliveries import DeliveryKey
    from flowstone.store.event_log import Entry
    from flowstone.store.feed_log import FeedLog

__all__ = ["Outbox"]


class _Followed:
    """One follower, and what is pending for it.

    Attributes:
        state: Who it is, and what was given up.
        lanes: Numbers and entries by lane, in order.
        attempts: How often one was delivered in vain, of those that were.
    """

    __slots__ = ("attempts", "lanes", "pipeline", "state")

    def __init__(self, pipeline: str, state: FollowerState) -> None:
        self.pipeline = pipeline
        self.state = state
        self.lanes: dict[str, deque[tuple[int, Entry | AutomationEvent]]] = {}
        self.attempts: dict[DeliveryKey, int] = {}

    def wants(self, pipeline: str, asset: str, beside: Collection[str] = ()) -> bool:
        follower = self.state.follower
        return (follower.anywhere or self.pipeline == pipeline) and (
            follower.assets is None
            or asset in follower.assets
            or bool(beside and not follower.assets.isdisjoint(beside))
        )

    def add(self, lane: str, number: int, entry: Entry | AutomationEvent) -> None:
        waiting = self.lanes.get(lane)
        if waiting is None:
            waiting = self.lanes[lane] = deque()
        waiting.append((number, entry))

    def remove(self, key: DeliveryKey) -> bool:
        """Whether it was there."""
        lane, number = key
        waiting = self.lanes.get(lane)
        if not waiting:
            return False
        self.attempts.pop(key, None)
        if waiting[0][0] == number:  # As those who keep to the order have it.
            waiting.popleft()
            found = True
        else:
            left = deque(each for each in waiting if each[0] != number)
            found = len(left) < len(waiting)
            self.lanes[lane] = waiting = left
        if not waiting:
            del self.lanes[lane]
        return found

    def holds(self, key: DeliveryKey) -> bool:
        return any(number == key[1] for number, _ in self.lanes.get(key[0], ()))

    def pending(self, limit: int, but: Collection[str]) -> Iterator[Delivery]:
        for lane, waiting in self.lanes.items():
            if limit <= 0:
                return
            if lane in but:
                continue
            for number, entry in islice(waiting, min(limit, OF_ONE_LANE)):
                limit -= 1
                yield Delivery(lane, number, _event(entry), self.attempts.get((lane, number), 0))

    def now(self) -> FollowerState:
        """What became of its deliveries so far."""
        pending, attempts = sum(map(len, self.lanes.values())), max(self.attempts.values(), default=0)
        failing = self.state.failing if attempts else None
        return replace(self.state, pending=pending, attempts=attempts, failing=failing)


class Outbox:
    """The outboxes of all followers.

    Args:
        feed: Where events of no run are told as well.
        audit: Where those are noted that are somebody's doing.

    Attributes:
        heard: Whether anybody follows anything.
        numbered: Numbers of events of no run that were given so far.
        watchers: Called with the name of a pipeline whose followers have something new.
    """

    __slots__ = ("_audit", "_feed", "_followed", "_kinds", "heard", "numbered", "watchers")

    def __init__(self, feed: FeedLog, audit: AuditLog) -> None:
        self.heard = False
        self.numbered = 0
        self.watchers: dict[object, Callable[[str], None]] = {}
        self._followed: dict[tuple[str, str], _Followed] = {}
        self._kinds: dict[str, list[_Followed]] = {}
        self._feed = feed
        self._audit = audit

    # Changes ------------------------------------------------------------------------------------------------

    def follow(self, pipeline: str, followers: Iterable[Follower], kept: Collection[str] = ()) -> None:
        """See `Deliveries.follow`; those of automations that are `kept` stay, named or not."""
        named = {follower.name: follower for follower in followers}
        stay = {*named, *kept}
        for key in [key for key in self._followed if key[0] == pipeline and key[1] not in stay]:
            del self._followed[key]
        for name, follower in named.items():
            known = self._followed.get((pipeline, name))
            if known is None:
                self._followed[pipeline, name] = _Followed(pipeline, FollowerState(follower))
            else:
                known.state = replace(known.state, follower=follower)
        self._index()

    def silence(self, pipeline: str, name: str) -> None:
        """A follower is told of nothing new until it is named again; what is pending stays."""
        followed = self._followed.get((pipeline, name))
        if followed is not None:
            silent = replace(followed.state.follower, kinds=frozenset())
            followed.state = replace(followed.state, follower=silent)
            self._index()

    def drop(self, pipeline: str, name: str) -> None:
        """A follower is forgotten, with what is pending."""
        if self._followed.pop((pipeline, name), None) is not None:
            self._index()

    def empty(self, pipeline: str, name: str) -> None:
        """A follower begins anew."""
        followed = self._followed.get((pipeline, name))
        if followed is not None:
            self._followed[pipeline, name] = _Followed(pipeline, FollowerState(followed.state.follower))
            self._index()

    def record(
        self, pipeline: str, run_id: str, number: int, entry: Entry, beside: Collection[str] = ()
    ) -> None:
        """An event of a run was recorded, or what says the same: let those have it who want it.

        What happens to the run as a whole is heard of by its other targets as well, which are `beside`.
        """
        if isinstance(entry, tuple):
            kind, asset = "step.started", entry[2]
        elif isinstance(entry, Materialization):
            kind, asset = f"step.{entry.status.value}", entry.asset
        else:
            kind, asset = entry.exact_kind, entry.asset
        others = beside if kind.startswith("run.") else ()
        pipelines: dict[str, None] = {}
        for each in self._kinds.get(kind, ()):
            if each.wants(pipeline, asset, others):
                each.add(run_id, number, entry)
                pipelines[each.pipeline] = None
        self._tell(pipelines)

    def add(self, pipeline: str, events: Sequence[AutomationEvent], *, but: str | None = None) -> None:
        """See `Deliveries.add`; nothing for the follower `but`."""
        pipelines: dict[str, None] = {}
        self._audit.told(pipeline, events)
        for event in events:
            self.numbered += 1
            self._feed.add(event)
            for each in self._kinds.get(event.kind, ()):
                itself = each.pipeline == pipeline and each.state.follower.name == but
                if each.wants(pipeline, event.asset) and not itself:
                    each.add(lane_of(event), self.numbered, event)
                    pipelines[each.pipeline] = None
        self._tell(pipelines)

    def done(self, pipeline: str, name: str, keys: Iterable[DeliveryKey]) -> None:
        """See `Deliveries.done`."""
        followed = self._followed.get((pipeline, name))
        if followed is not None:
            for key in keys:
                followed.remove(key)

    def failed(self, pipeline: str, name: str, key: DeliveryKey, failure: Failure | None = None) -> None:
        """See `Deliveries.failed`."""
        followed = self._followed.get((pipeline, name))
        if followed is not None and followed.holds(key):
            followed.attempts[key] = followed.attempts.get(key, 0) + 1
            followed.state = replace(followed.state, failing=failure or followed.state.failing)

    def give_up(
        self, pipeline: str, name: str, key: DeliveryKey, failed: AutomationFailed, *, tell: bool
    ) -> None:
        """See `Deliveries.give_up`."""
        followed = self._followed.get((pipeline, name))
        if followed is not None and followed.remove(key):
            given_up = followed.state.given_up + 1
            followed.state = replace(
                followed.state, given_up=given_up, failure=failed.failure, failed_at=failed.at
            )
            if tell:
                self.add(pipeline, [failed], but=name)

    def restore_numbered(self, numbered: int) -> None:
        """Go on with the numbers of a former life."""
        self.numbered = max(self.numbered, numbered)

    def restore(self, pipeline: str, state: FollowerState, numbered: int) -> None:
        """Take over a follower of a former life."""
        self._followed[pipeline, state.follower.name] = _Followed(pipeline, state)
        self.restore_numbered(numbered)
        self._index()

    def restore_lane(self, pipeline: str, name: str, deliveries: Iterable[Delivery]) -> None:
        """Take over what was pending in a former life."""
        followed = self._followed[pipeline, name]
        for each in deliveries:
            followed.add(each.lane, each.number, each.event)
            if each.attempts:
                followed.attempts[each.key] = each.attempts

    # Questions ----------------------------------------------------------------------------------------------

    def followers(self) -> Iterator[tuple[str, FollowerState]]:
        """Each with its pipeline."""
        for followed in self._followed.values():
            yield followed.pipeline, followed.now()

    def pending(self, pipeline: str, name: str, limit: int, but: Collection[str]) -> list[Delivery]:
        """See `Deliveries.pending`."""
        followed = self._followed.get((pipeline, name))
        return [] if followed is None else list(followed.pending(limit, but))

    def lanes(self, pipeline: str, name: str) -> Iterator[list[Delivery]]:
        """All that is pending, lane by lane."""
        followed = self._followed[pipeline, name]
        for lane, waiting in followed.lanes.items():
            yield [
                Delivery(lane, number, _event(entry), followed.attempts.get((lane, number), 0))
                for number, entry in waiting
            ]

    def waiting(self, pipelines: Collection[str]) -> list[tuple[str, str]]:
        """See `Deliveries.waiting`."""
        return [key for key, each in self._followed.items() if each.lanes and key[0] in pipelines]

    def _tell(self, pipelines: Iterable[str]) -> None:
        for pipeline in pipelines:
            for heard in tuple(self.watchers.values()):
                heard(pipeline)

    def _index(self) -> None:
        self._kinds = {}
        for followed in self._followed.values():
            for kind in followed.state.follower.kinds:
                self._kinds.setdefault(kind, []).append(followed)
        self.heard = bool(self._kinds)


def _event(entry: Entry | AutomationEvent) -> Event:
    if isinstance(entry, tuple | Materialization):
        return event_of(entry)
    return entry
