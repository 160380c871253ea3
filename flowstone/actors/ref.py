"""How one speaks to a child: a reference that stays good across restarts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, TypeVar

from flowstone.actors.affinity import require_loop, running_loop, wrong_loop
from flowstone.actors.exits import Exit, Normal
from flowstone.actors.mailbox import Mailbox, MailboxStatistics, Request
from flowstone.actors.messages import Call, Cast, Failure
from flowstone.actors.spawn import current
from flowstone.errors import ActorDown, CallCycle, CallTimeout

if TYPE_CHECKING:
    from flowstone.actors.process import Process
    from flowstone.actors.spawn import Driven

__all__ = ["Ref"]

Instance_co = TypeVar("Instance_co", covariant=True)
Reply = TypeVar("Reply")

_NO_MAIL = MailboxStatistics(depth=0, bound=0, waiting=0, handled=0, refused=0, expired=0)


class Ref(Generic[Instance_co]):
    """Names a child of a supervisor, whichever incarnation of it runs. Supervisors make these, you pass them.

    Attributes:
        name: The child's name.
    """

    __slots__ = ("_last", "_mailbox", "_process", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: Process | None = None
        self._mailbox: Mailbox | None = None
        self._last: Exit = Normal()

    async def call(self, message: Call[Instance_co, Reply], timeout: float | None = 5.0) -> Reply:
        """Send a message and wait for its answer.

        A full mailbox makes the caller wait for room, within the same `timeout` seconds (None: no limit).

        Raises:
            ActorDown: The actor is not running, or ended before it answered; raised at once.
            CallTimeout: No answer in time. The actor skips the message if it has not begun it.
            CallCycle: The actor waits, directly or through others, for the one that calls.
            ValueError: `timeout` is nan.
            Rejected: The actor refused this request (any subclass it raised).
            WrongLoop: The actor lives on another event loop than the caller.
        """
        process, mailbox = self._process, self._mailbox
        if process is None or mailbox is None:
            raise self._down()
        if not isinstance(message, Call):
            raise TypeError(f"{type(message).__name__} is not a Call: send it to {self.name} with cast().")
        require_loop(mailbox.loop, self.name)
        chain = self._chain(process)
        clock = process.supervisor.clock
        limit = math.inf if timeout is None else timeout
        if limit != limit:  # noqa: PLR0124 - nan, and the fastest way to ask
            raise ValueError(f"{self.name}: timeout is seconds, or None for no limit, not nan.")
        answer = mailbox.loop.create_future()
        request = Request(message, answer, clock.monotonic() + limit, chain)
        mailbox.call(request)
        timer = None if limit == math.inf else clock.call_later(limit, request.expire)
        try:
            reply = await answer
        finally:
            if timer is not None:
                timer.cancel()
            if mailbox.line:
                mailbox.leave(request)
        if type(reply) is Failure:
            raise reply.error or CallTimeout(
                f"{self.name} did not answer {type(message).__name__} within {timeout} s: "
                f"it is busy or waits for something slow; pass a longer timeout= or answer with Later."
            )
        return reply  # type: ignore[no-any-return] # the envelope is untyped; Call names the answer

    def cast(self, message: Cast[Instance_co]) -> None:
        """Send a message and go on; it never blocks. A cast to an actor that is down is dropped, as in OTP.

        Raises:
            MailboxFull: The mailbox is at its bound.
            WrongLoop: As `call`.
        """
        if not isinstance(message, Cast):
            raise TypeError(
                f"{type(message).__name__} is not a Cast: send it to {self.name} with await call()."
            )
        mailbox = self._mailbox
        if mailbox is not None:
            if running_loop() is not mailbox.loop:
                raise wrong_loop(mailbox.loop, self.name)
            mailbox.cast(message, self.name)

    async def down(self) -> Exit:
        """Wait until the current incarnation has ended and say how; at once if none is running."""
        process = self._process
        return self._last if process is None else await process.down()

    @property
    def alive(self) -> bool:
        """Whether an incarnation is running: started, and not yet asked to stop nor ending."""
        return self._process is not None and self._process.state == "running"

    @property
    def instance(self) -> Instance_co | None:
        """The current incarnation's object, or None: for plain method calls where no isolation is bought."""
        return None if self._process is None else self._process.instance

    def statistics(self) -> MailboxStatistics:
        """The mailbox at this instant; all zero where there is none."""
        return _NO_MAIL if self._mailbox is None else self._mailbox.statistics()

    def __repr__(self) -> str:
        return f"<Ref {self.name} {'down' if self._process is None else self._process.state}>"

    # The supervisor's side ----------------------------------------------------------------------------------

    def _attach(self, process: Process) -> None:
        self._process = process
        self._mailbox = process.mailbox
        process.releases[self] = self._detach

    def _close(self) -> None:
        """The incarnation is dying: it takes no more messages."""
        self._mailbox = None

    def _detach(self, process: Process) -> None:
        if process.exit is not None:
            self._last = process.exit
        if self._process is process:
            self._process = self._mailbox = None

    def _chain(self, target: object) -> tuple[Driven, ...]:
        """Who waits for the caller, the caller last; refused if the target is among them."""
        caller = current()
        chain: tuple[Driven, ...] = () if caller is None else getattr(caller, "chain", ())
        for position, waiting in enumerate(chain):
            if waiting is target:
                names = [*(each.name for each in chain[position:]), self.name]
                raise CallCycle(
                    f"This call would wait for itself: {' -> '.join(names)}. "
                    f"Make one of them a cast, or answer with Later.",
                    names,
                )
        return chain

    def _down(self) -> ActorDown:
        process = self._process
        if process is None:
            return ActorDown(f"{self.name} is not running ({self._last}).", self.name, self._last)
        if process.kind == "actor":
            return ActorDown(f"{self.name} is stopping.", self.name, None)
        return ActorDown(
            f"{self.name} is a {process.kind} and takes no messages: use .instance.", self.name, None
        )
