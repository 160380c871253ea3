"""The skeleton of the cluster's processes: wait to be woken, poll the store, and again.

A notification may be lost, so it carries no facts: it is a reason to poll, and so is `look`, which comes once a
second whatever else is heard. What the store does not answer is asked again at the next poll.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from flowstone.errors import StoreUnavailable
from flowstone.runtime.services.notifications import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.context import RuntimeContext
    from flowstone.store.cluster import Notification, NotificationKind

__all__ = ["Poller"]


class Poller(ABC):
    """A process that polls the store whenever it is woken; a subclass says what for.

    Attributes:
        kinds: Notifications by which it is woken.
        unanswered: What the store fails to say while it is away, for the alarm.
    """

    kinds: ClassVar[tuple[NotificationKind, ...]]
    unanswered: ClassVar[str]

    def __init__(self, ctx: RuntimeContext) -> None:
        self._ctx = ctx
        self._wake = Wakeup()
        self._stopping = False

    async def run(self, started: Callable[[], None]) -> None:
        started()
        await self._keep_polling()

    async def _keep_polling(self) -> None:
        with self._ctx.notifications.on(self._heard, *self.kinds):
            while not self._stopping:
                await self._wake.wait_or(self._ctx.clock, self._patience())
                try:
                    await self._poll()
                except StoreUnavailable as error:
                    self._unavailable(error)

    def _heard(self, notification: Notification) -> None:
        """Something of its `kinds` was heard: poll, unless a subclass knows better."""
        self._wake(notification)

    def _patience(self) -> float | None:
        """Seconds after which to poll even if nothing is heard."""
        return None

    @abstractmethod
    async def _poll(self) -> None:
        """Ask, and do what follows from the answer. Raises `StoreUnavailable`."""

    def _unavailable(self, error: StoreUnavailable) -> None:
        self._ctx.peers.outage()
        self._ctx.alarms.set("store", f"{self.unanswered}: {error}")
