"""What actors say to each other: a message names its recipient and its answer, so type checkers know both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from flowstone.actors.affinity import require_loop, running_loop

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Call", "Cast", "Failure", "Later"]

# Contravariant: a message any Store understands may be sent to a FileStore, never the other way round.
Recipient_contra = TypeVar("Recipient_contra", contravariant=True)
# Covariant: a call that answers bool may stand where one that answers int is expected.
Answer_co = TypeVar("Answer_co", covariant=True)


class Call(Generic[Recipient_contra, Answer_co]):
    """Base of a message that is answered: `class Lookup(Call["Catalog", Asset])`, a frozen dataclass."""

    __slots__ = ()


class Cast(Generic[Recipient_contra]):
    """Base of a message without an answer: `class Forget(Cast["Catalog"])`, a frozen dataclass."""

    __slots__ = ()


class Failure:
    """An answer that is an error.

    It travels as a value: a future that holds an exception nobody retrieves would be reported by the loop
    when the caller was cancelled in the same tick.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Later:
    """Return one from `handle` to answer that call later; keep it and `send` or `fail` it when you know.

    The mailbox goes on meanwhile, so long I/O never blocks it. The first answer counts, later ones are
    dropped, and so is an answer whose caller has gone. One that is still open when its actor ends fails
    with `ActorDown`. Returned from the handling of a cast it does nothing.
    """

    __slots__ = ("_deliver", "_loop", "_outcome")

    def __init__(self) -> None:
        self._loop = running_loop()
        self._deliver: Callable[[object], None] | None = None
        self._outcome: tuple[object] | None = None

    @property
    def answered(self) -> bool:
        """Whether `send` or `fail` was called."""
        return self._outcome is not None

    def send(self, value: object) -> None:
        """Answer the call with `value`.

        Raises:
            WrongLoop: This is another thread: use `loop.call_soon_threadsafe(later.send, value)`.
        """
        if self._loop is not None:
            require_loop(self._loop, "An answer with Later")
        if self._outcome is not None:
            return
        self._outcome = (value,)
        if self._deliver is not None:
            self._deliver(value)

    def fail(self, error: BaseException) -> None:
        """Answer the call with an error, which the caller's `await ref.call(...)` raises; the actor lives."""
        self.send(Failure(error))

    def _bind(self, deliver: Callable[[object], None]) -> None:
        """Connect to the request, which may have been answered before the handler returned."""
        self._deliver = deliver
        if self._outcome is not None:
            deliver(self._outcome[0])
