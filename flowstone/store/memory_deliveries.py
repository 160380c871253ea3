"""What is to be delivered to followers, where one process holds the store."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flowstone.store.deliveries import Deliveries
from flowstone.store.sanitise import sanitised_automation, sanitised_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence

    from flowstone.runs.automation_events import AutomationEvent, AutomationFailed
    from flowstone.runs.records import Failure
    from flowstone.store.deliveries import Delivery, DeliveryKey, Follower, FollowerState
    from flowstone.store.history import History
    from flowstone.store.outbox import Outbox

__all__ = ["MemoryDeliveries"]


class MemoryDeliveries(Deliveries):
    """The outbox of a `MemoryStore`, or of a store that is one.

    Args:
        history: The state, now.
        change: Makes a change: given the operation of the journal that says it, and what applies it.
    """

    def __init__(
        self,
        history: Callable[[], History],
        change: Callable[[list[Any], Callable[[], Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._history = history
        self._change = change

    @property
    def _outbox(self) -> Outbox:
        return self._history().outbox

    async def follow(self, pipeline: str, followers: Sequence[Follower]) -> None:
        known = [state.follower for state in await self.followers(pipeline)]
        if sorted(followers, key=lambda each: each.name) == known:
            return  # Nearly always, and not worth a line in a journal.
        from flowstone.store.delivery_codec import encode_follower  # noqa: PLC0415 - few runtimes in memory need it

        operation = ["follow", pipeline, [encode_follower(each) for each in followers]]
        await self._change(operation, lambda: self._history().follow(pipeline, followers))

    async def followers(self, pipeline: str) -> Sequence[FollowerState]:
        found = (state for name, state in self._outbox.followers() if name == pipeline)
        return sorted(found, key=lambda state: state.follower.name)

    async def pending(
        self, pipeline: str, name: str, *, limit: int, but: Collection[str] = ()
    ) -> Sequence[Delivery]:
        return self._outbox.pending(pipeline, name, limit, but)

    async def done(self, pipeline: str, name: str, keys: Collection[DeliveryKey]) -> None:
        if keys:
            operation = ["delivered", pipeline, name, [list(key) for key in keys]]
            await self._change(operation, lambda: self._outbox.done(pipeline, name, keys))

    async def failed(
        self, pipeline: str, name: str, key: DeliveryKey, failure: Failure | None = None
    ) -> None:
        from flowstone.store.codec import encode_failure  # noqa: PLC0415 - as above

        safe = None if failure is None else sanitised_failure(failure)
        operation = [
            "delivery_failed",
            pipeline,
            name,
            *key,
            *([] if safe is None else [encode_failure(safe)]),
        ]
        await self._change(operation, lambda: self._outbox.failed(pipeline, name, key, safe))

    async def give_up(
        self, pipeline: str, name: str, key: DeliveryKey, failed: AutomationFailed, *, tell: bool
    ) -> None:
        from flowstone.store.codec import encode_event  # noqa: PLC0415 - as above

        safe = sanitised_automation(failed)
        operation = ["given_up", pipeline, name, *key, encode_event(safe), tell]
        await self._change(operation, lambda: self._outbox.give_up(pipeline, name, key, safe, tell=tell))

    async def add(self, pipeline: str, events: Sequence[AutomationEvent]) -> None:
        from flowstone.store.codec import encode_event  # noqa: PLC0415 - as above

        safe = [sanitised_automation(event) for event in events]
        if safe:
            operation = ["told", pipeline, [encode_event(event) for event in safe]]
            await self._change(operation, lambda: self._outbox.add(pipeline, safe))

    async def waiting(self, pipelines: Collection[str]) -> Collection[tuple[str, str]]:
        return self._outbox.waiting(pipelines)

    @contextmanager
    def watch(self, heard: Callable[[str], None]) -> Iterator[None]:
        mark = object()
        watchers = self._outbox.watchers
        watchers[mark] = heard
        try:
            yield
        finally:
            watchers.pop(mark, None)
