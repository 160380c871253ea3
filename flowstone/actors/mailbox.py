"""An actor's mailbox: a deque and one waiter, bounded, with a lane of its own for the system.

anyio's memory streams and `asyncio.Queue` were measured at ten and two times the cost per message.

Backpressure needs no second wait: a caller waits for its answer anyway. So a call that meets a full mailbox
stands in `line` and moves up when a message is taken, while a cast, whose sender would not wait, is refused.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from flowstone.actors.messages import Failure
from flowstone.errors import MailboxFull
from flowstone.frozen import frozen

if TYPE_CHECKING:
    import asyncio

    from flowstone.actors.exits import Exit
    from flowstone.actors.spawn import Driven

__all__ = ["Mailbox", "MailboxStatistics", "Request"]


@frozen
class MailboxStatistics:
    """A mailbox at one instant; the counters are of this incarnation.

    Attributes:
        depth: Messages that wait.
        bound: Messages that may wait; a cast beyond it is refused.
        waiting: Calls that wait for room.
        handled: Messages taken so far.
        refused: Casts refused because the mailbox was full.
        expired: Calls skipped because their caller had gone.
    """

    depth: int
    bound: int
    waiting: int
    handled: int
    refused: int
    expired: int


class Request:
    """A call under way: the message, the answer to come, until when, and who waits for whom."""

    __slots__ = ("answer", "chain", "deadline", "message")

    def __init__(
        self, message: Any, answer: asyncio.Future[Any], deadline: float, chain: tuple[Driven, ...]
    ) -> None:
        self.message = message
        self.answer = answer
        self.deadline = deadline
        self.chain = chain

    def reply(self, value: object) -> None:
        """Answer, unless the caller has gone."""
        if not self.answer.done():
            self.answer.set_result(value)

    def expire(self) -> None:
        """The deadline's timer: the caller hears `None` for an error, which it turns into `CallTimeout`."""
        self.reply(Failure(None))


class Mailbox:
    """Messages for one incarnation of an actor."""

    __slots__ = ("_waiter", "bound", "ending", "expired", "handled", "line", "loop", "queue", "refused")

    def __init__(self, bound: int, loop: asyncio.AbstractEventLoop) -> None:
        self.bound = bound
        self.queue: deque[Any] = deque()
        self.line: OrderedDict[Request, None] = OrderedDict()
        self.ending: Exit | None = None
        self.handled = 0
        self.refused = 0
        self.expired = 0
        self.loop = loop
        self._waiter: asyncio.Future[None] | None = None

    def cast(self, message: Any, name: str) -> None:
        """Append a message nobody waits for; a full mailbox refuses it with `MailboxFull`."""
        if len(self.queue) >= self.bound:
            self.refused += 1
            raise MailboxFull(
                f"{name} has {self.bound} messages waiting and refuses more: slow down, use call(), "
                f"or raise Child(mailbox=).",
                name,
            )
        self.queue.append(message)
        if self._waiter is not None:
            self._wake()

    def remind(self, message: Any) -> None:
        """Append a message of the actor's own timers, whatever the bound: it has as many of them as it set."""
        self.queue.append(message)
        if self._waiter is not None:
            self._wake()

    def call(self, request: Request) -> None:
        """Append a message whose sender waits; in a full mailbox it stands in line."""
        if len(self.queue) < self.bound:
            self.queue.append(request)
        else:
            self.line[request] = None
        if self._waiter is not None:
            self._wake()

    def leave(self, request: Request) -> None:
        """Its caller has gone: the line, which nothing bounds, does not remember it."""
        if self.line.pop(request, self) is None:
            self.expired += 1

    def end(self, ending: Exit) -> None:
        """The system lane: seen after the message in hand, before all that wait. The first one counts."""
        if self.ending is None:
            self.ending = ending
        if self._waiter is not None:
            self._wake()

    def take(self) -> Any:
        """The oldest message; the caller knows there is one."""
        message = self.queue.popleft()
        self.handled += 1
        if self.line:
            self.queue.append(self.line.popitem(last=False)[0])
        return message

    def arrival(self) -> asyncio.Future[None]:
        """A future for the next message, for the one reader."""
        self._waiter = self.loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def pending(self) -> list[Request]:
        """The calls that wait, in order; the mailbox is empty afterwards."""
        if not self.queue:
            return []
        calls = [item for item in (*self.queue, *self.line) if type(item) is Request]
        self.queue.clear()
        self.line.clear()
        return calls

    def statistics(self) -> MailboxStatistics:
        return MailboxStatistics(
            depth=len(self.queue),
            bound=self.bound,
            waiting=len(self.line),
            handled=self.handled,
            refused=self.refused,
            expired=self.expired,
        )
