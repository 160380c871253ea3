"""Actors: an object with state, a mailbox, and one message at a time.

    spawned ── on_start ──> started ── handle_continue ──> serving ── a message raises, me.stop(), a shutdown ──┐
                  └ raises: failed to start        └ raises: a crash                    gone <── on_stop ───────┘

Each incarnation lives in a fresh, empty context (`contextvars`): it sees nothing of whoever created it.
"""

from __future__ import annotations

import asyncio
import types
from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from flowstone.actors.affinity import require_loop
from flowstone.actors.clock import OwnClock
from flowstone.actors.exits import Crashed, Exit, Killed, Normal, Shutdown
from flowstone.actors.mailbox import Mailbox, Request
from flowstone.actors.messages import Cast, Failure, Later
from flowstone.actors.process import TaskProcess
from flowstone.actors.spawn import Driven, finish
from flowstone.actors.tree import ProcessInfo
from flowstone.errors import ActorDown, Rejected

if TYPE_CHECKING:
    from collections.abc import Generator

    from flowstone.actors.clock import Clock, Timer
    from flowstone.actors.ref import Ref
    from flowstone.actors.spawn import ShutdownTime
    from flowstone.actors.supervisor_context import SupervisorContext

__all__ = ["Actor", "ActorProcess", "Me"]

BATCH = 64
"""Messages handled before the loop gets a turn: a mailbox that is never empty would never suspend."""


class Actor:
    """Base of actors. State lives on `self`; the constructor is yours and takes what the actor depends on.

    Each of the four methods may be `async def` or plain `def`. Only `handle` must be written.
    """

    __slots__ = ()

    def on_start(self, me: Me) -> Any:
        """Initialise; the supervisor waits for it. Raise to fail the start. `me` belongs to this incarnation."""

    def handle_continue(self, me: Me) -> Any:
        """The rest of the initialisation, which the supervisor does not wait for; OTP's hook of that name.

        It runs once after `on_start`, when this counts as started, and before any message: those that arrive
        meanwhile wait in the mailbox. What it raises is a crash, and a restart is counted for it.
        """

    @abstractmethod
    def handle(self, message: Any) -> Any:
        """Do what one message asks; what you return answers a `Call`, and `Later()` answers it later.

        Raise `Rejected` to refuse this one request. Any other exception crashes the actor.
        """
        raise TypeError(f"{type(self).__name__} has no handle(self, message): write one.")

    def on_stop(self, exit: Exit) -> Any:  # noqa: A002 - the field's word
        """Release what the actor holds; `exit` says why it stops.

        It is not called after a kill, so nothing durable may depend on it.
        """


class Me:
    """What an actor may know and do about itself; passed to `on_start` and `handle_continue`.

    It is of one incarnation, and so are the timers that are set through it.

    Attributes:
        name: The child's name.
        ref: The reference others have to this actor. It leads to later incarnations too.
        clock: The tree's clock: use it for every delay, so that tests can turn it. What `call_later` set here does
            not fire any more when this incarnation has ended.
    """

    __slots__ = ("_mail", "_own_clock", "clock", "name", "ref")

    def __init__(self, process: ActorProcess) -> None:
        # Not the process itself: it holds the actor, which nearly always keeps this.
        self._mail = process.mail
        self.name = process.name
        self.ref: Ref[Any] = process.ref
        self._own_clock = OwnClock(process.supervisor.clock)
        self.clock: Clock = self._own_clock

    def send_after(self, seconds: float, message: Cast[Any]) -> Timer:
        """Send this actor a message after so many seconds, unless this incarnation ends before; OTP's word.

        Room is made for it in a full mailbox. `cancel()` the timer to take it back.
        """
        if not isinstance(message, Cast):
            raise TypeError(f"{type(message).__name__} is not a Cast: nobody would receive the answer.")
        require_loop(self._mail.loop, self.name)
        return self.clock.call_later(seconds, partial(self._mail.remind, message))

    def stop(self, exit: Exit | None = None) -> None:  # noqa: A002 - the field's word
        """End after the message in hand, with this exit; default `Normal()`."""
        require_loop(self._mail.loop, self.name)
        self._mail.end(Normal() if exit is None else exit)

    def _end(self) -> None:
        self._own_clock.stop()


class ActorProcess(TaskProcess):
    """One incarnation of an actor."""

    kind: ClassVar[str] = "actor"

    def __init__(
        self,
        name: str,
        supervisor: SupervisorContext,
        instance: Actor,
        ref: Ref[Any],
        *,
        bound: int,
        shutdown: ShutdownTime,
    ) -> None:
        super().__init__(name, supervisor, instance)
        self.ref = ref
        self.mail = self.mailbox = Mailbox(bound, asyncio.get_running_loop())
        self._base: tuple[Driven, ...] = (self,)
        self.chain = self._base
        self._shutdown = 5.0 if isinstance(shutdown, str) else shutdown
        self._myself: Me | None = None
        self._in_hand: Request | None = None
        self._owed: dict[Later, Request] = {}

    def launch(self, loop: asyncio.AbstractEventLoop) -> None:
        super().launch(loop)
        if type(self.instance).on_start is Actor.on_start:
            self._started()  # There is nothing to wait for.

    async def _live(self) -> Exit:
        if not self.initialised:
            await finish(self.instance.on_start(self._me()))
            self._started()
        ending: Exit
        try:
            if type(self.instance).handle_continue is not Actor.handle_continue:
                await finish(self.instance.handle_continue(self._me()))
            ending = await self._serve()
        except BaseException as error:
            self._let_die()
            ending = Crashed(error)
        self.state = "stopping"
        self._refuse(ending)
        return await self._wind_up(ending)

    def _me(self) -> Me:
        if self._myself is None:
            self._myself = Me(self)
        return self._myself

    async def _serve(self) -> Exit:
        """Handle messages until one crashes, or the system lane says how to end."""
        mailbox, queue = self.mail, self.mail.queue
        budget = BATCH
        while mailbox.ending is None:
            if not queue:
                await mailbox.arrival()
                budget = BATCH
                continue
            if budget == 0:
                await checkpoint()
                budget = BATCH
            budget -= 1
            item = mailbox.take()
            if type(item) is Request:
                await self._answer(item)
            else:
                await self._obey(item)
            item = None  # It may be large, and the next one long in coming.
        return mailbox.ending

    async def _answer(self, request: Request) -> None:
        if request.answer.done() or request.deadline <= self.supervisor.clock.monotonic():
            self.mail.expired += 1
            request.expire()
            return
        self._in_hand = request
        self.chain = (*request.chain, self) if request.chain else self._base
        try:
            answer = self.instance.handle(request.message)
            if type(answer) is types.CoroutineType:
                answer = await answer
        except Rejected as refusal:
            answer = Failure(refusal)
        if type(answer) is Later:
            self._owe(answer, request)
        else:
            request.reply(answer)
        self._in_hand = None

    async def _obey(self, message: Any) -> None:
        self.chain = self._base
        try:
            done = self.instance.handle(message)
            if type(done) is types.CoroutineType:
                await done
        except Rejected:
            return  # Nobody waits for the refusal.

    def _owe(self, later: Later, request: Request) -> None:
        """Remember an open answer, so that it fails when the actor ends."""

        def deliver(value: object) -> None:
            self._owed.pop(later, None)
            request.reply(value)

        self._owed[later] = request
        later._bind(deliver)

    def _refuse(self, ending: Exit) -> None:
        """Whoever waits for an answer learns at once that there will be none."""
        self.ref._close()
        in_hand = [] if self._in_hand is None else [self._in_hand]
        for request in (*in_hand, *self._owed.values(), *self.mail.pending()):
            request.reply(
                Failure(ActorDown(f"{self.name} ended before it answered ({ending}).", self.name, ending))
            )
        self._in_hand = None
        self._owed.clear()

    async def _wind_up(self, ending: Exit) -> Exit:
        """Run `on_stop` within the shutdown time, which begins now unless a stop is already under way."""
        if type(self.instance).on_stop is Actor.on_stop:
            return ending
        if self.halt is None:
            self._limit(self._shutdown)
        elif self.halt.overdue:
            ending = Killed()
            asyncio.current_task().uncancel()  # type: ignore[union-attr] # a coroutine runs in a task
        try:
            await finish(self.instance.on_stop(ending))
        except BaseException as error:
            self._let_die()
            if ending.clean:
                return Crashed(error)
            self.supervisor.report("hook_failed", self.name, Crashed(error))
        return ending

    def _leave(self, exit: Exit) -> None:  # noqa: A002 - the field's word
        self._refuse(exit)  # Nothing to do but after a kill, or a start that failed.
        if self._myself is not None:
            self._myself._end()
            self._myself = None
        self.chain = self._base = ()
        super()._leave(exit)

    def _ask(self) -> bool:
        starting = self.state == "starting"
        self.mail.end(Shutdown())
        return not starting

    def info(self, restarts: int) -> ProcessInfo:
        return ProcessInfo(
            name=self.name,
            kind=self.kind,
            state=self.state,
            restarts=restarts,
            mailbox_depth=len(self.mail.queue) + len(self.mail.line),
        )


@types.coroutine
def checkpoint() -> Generator[None, None, None]:
    """Let the loop turn once; `asyncio.sleep(0)` without its overhead."""
    yield
