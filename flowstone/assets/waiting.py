"""The calls of `Context` by which a step waits, or remembers something across its attempts.

Each has a name, which is its identity within the step: the same name again is the same answer. A call that waits
looks among the answers that the attempt began with. Where there is none it raises `Waiting`, which ends the
attempt; the function runs again from the top when the answer is there. What must be on record before the function
goes on (a result of `once`, a token) is written through the attempt's `Notes`.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar

from flowstone.assets.arguments import is_number
from flowstone.assets.awaited import is_awaited
from flowstone.assets.json_values import exact_json
from flowstone.errors import FlowstoneError, Waiting
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import FrameType

__all__ = ["Answers", "Decision", "Note", "Notes", "WaitingCalls", "token_hash"]

T = TypeVar("T")

# Seconds of a wait; beyond it an instant cannot be counted on to exist.
_LONGEST: Final = 100 * 366 * 86_400.0
_LONGEST_NAME: Final = 200
_LONGEST_MESSAGE: Final = 10_000
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)
_TOKEN_BYTES: Final = 32
_DOING: Final[ContextVar[tuple[tuple[str, str | None, str, str], ...]]] = ContextVar("_DOING", default=())

Answers: TypeAlias = "Mapping[str, tuple[str, Any]]"
"""What a step has so far: name to the kind of the wait, and its answer.

The kind is `token` where a token was handed out and no signal has come: then there is no answer.
"""


@frozen
class Decision:
    """Who approved, and what they said.

    Attributes:
        by: Who; None if nobody decided in time and `on_timeout` said to approve.
        reason: What they gave as the reason, or None.
        data: What they gave along, as JSON has it, or None.
        at: When, by the clock of the store (aware, UTC).
    """

    by: str | None
    reason: str | None
    data: Any
    at: datetime


Note: TypeAlias = "tuple[Literal['once', 'token'], str, Any]"
"""A result of `once`, or the hash of a token: which, its name, and the value."""


class Notes(Protocol):
    """Where an attempt puts on record what its function must not do again, or what others will refer to."""

    def write_now(self, note: Note) -> None:
        """Return when it is on record; on any other thread than that of the loop."""

    def write_soon(self, note: Note) -> None:
        """Have it on record before anything else is recorded of the attempt; on any loop."""

    async def written(self) -> None:
        """Return when all that is to be on record soon is. Raises what the store raises.

        It may be cancelled: what is written is written all the same.
        """

    @property
    def on_loop(self) -> bool:
        """Whether the caller is on the loop of the runtime."""

    @property
    def mutex(self) -> AbstractContextManager[Any]:
        """Held by the thread that does something once."""

    def lock(self, name: str) -> AbstractAsyncContextManager[Any]:
        """Held by the task that does what has this name."""


class WaitingCalls:
    """The part of a `Context` that waits.

    Attributes:
        answers: What the step has so far, or None.
        waits_for: What this attempt ends with because it is not there yet, once a call has found that out.
    """

    __slots__ = ("_kept", "_notes", "_tokens", "answers", "waits_for")

    asset: str
    partition_key: str | None
    run_id: str

    def __init__(self, answers: Answers | None, notes: Callable[[], Notes] | None) -> None:
        self.answers = answers
        self.waits_for: Waiting | None = None
        self._notes: Any = notes  # What makes them, until they are needed, which is seldom.
        self._kept: dict[str, Any] | None = None
        self._tokens: dict[str, str] | None = None

    # Waits --------------------------------------------------------------------------------------------------

    def sleep(self, name: str, seconds: float) -> None:
        """Go on after so many seconds, and hold nothing until then: no slot, no thread, no memory.

        A plain call, in async assets as well. The first time it ends the attempt by raising `Waiting`; when the
        time has passed, on whatever node, the function runs again from the top, and the call returns at once. The
        seconds are counted by the clock of the store, from when the attempt has ended.

        Args:
            name: What the wait is called: within a step the same name is the same wait.
            seconds: At least 0, at most a hundred years.

        Raises:
            Waiting: They have not passed. Not to be caught.
            ValueError: Name or seconds are no such.
        """
        if not is_number(seconds, at_least=0, at_most=_LONGEST):
            raise ValueError(
                f"sleep({name!r}, {seconds!r:.100}): give seconds, 0 or more, up to a hundred years."
            )
        self._answer(Waiting(_name(name), "sleep", None, float(seconds)))

    def sleep_until(self, name: str, instant: datetime) -> None:
        """As `sleep`, until an instant, which the clock of the store tells; one that has passed is no long wait.

        Args:
            name: What the wait is called.
            instant: A datetime with a time zone.

        Raises:
            Waiting: It has not come. Not to be caught.
            ValueError: The name is none, or the instant has no time zone.
        """
        given: object = instant
        offset = given.utcoffset() if isinstance(given, datetime) else None
        if offset is None:
            raise ValueError(
                f"sleep_until({name!r}, {instant!r:.100}): give a datetime with a time zone, such as "
                "datetime(2025, 1, 15, 9, tzinfo=UTC)."
            )
        self._answer(Waiting(_name(name), "sleep", _in_utc(instant, offset), None))

    def approval(
        self,
        name: str,
        *,
        message: str = "",
        data: Any = None,
        timeout: float | None = None,
        on_timeout: Literal["fail", "approve", "reject"] = "fail",
    ) -> Decision:
        """Go on when somebody has approved, and hold nothing until then.

        A plain call, as `sleep`. It is decided by `runtime.approve` and `runtime.reject`, or the commands of these
        names. If it is rejected, or nobody decides in time, the step fails with the kind `rejected` or `expired`;
        the function is not run again for that.

        Args:
            name: What the wait is called: within a step the same name is the same approval.
            message: What is to be approved, for people.
            data: More about it, JSON of at most a megabyte.
            timeout: Seconds within which somebody has to decide. Default: no limit.
            on_timeout: What becomes of it if nobody does: the step fails, or it counts as approved or rejected.

        Raises:
            Waiting: Nobody has decided. Not to be caught.
            ValueError: An argument is out of range, or the name is that of another kind of wait.
        """
        given: object = message
        if not isinstance(given, str) or len(given) > _LONGEST_MESSAGE:
            raise ValueError(
                f"approval({name!r}): message is a text of at most {_LONGEST_MESSAGE:,} characters."
            )
        if on_timeout not in {"fail", "approve", "reject"}:
            raise ValueError(
                f"approval({name!r}, on_timeout={on_timeout!r:.100}): give 'fail', 'approve' or 'reject'."
            )
        if on_timeout != "fail" and timeout is None:
            raise ValueError(
                f"approval({name!r}, on_timeout={on_timeout!r}) never times out: give timeout= as well."
            )
        about = {
            "message": exact_json(message, f"The message of approval {name!r:.300}"),
            "data": exact_json(data, f"The data of approval {name!r:.300}"),
            "on_timeout": on_timeout,
        }
        found = self._answer(
            Waiting(_name(name), "approval", None, _timeout("approval", name, timeout), about)
        )
        return Decision(found["by"], found["reason"], found["data"], datetime.fromisoformat(found["at"]))

    def signal(self, name: str, *, timeout: float | None = None) -> Any:
        """The payload of a signal that somebody outside sends, once it is there; holds nothing until then.

        A plain call, as `sleep`. Whoever sends it has a token of `signal_token`, and calls `runtime.signal` or the
        command `flowstone signal`. What arrives before the step waits for it is kept. If none comes in time, the
        step fails with the kind `expired`.

        Args:
            name: What the wait is called: within a step the same name is the same signal.
            timeout: Seconds to wait. Default: no limit.

        Returns:
            The payload, as JSON has it.

        Raises:
            Waiting: None has come. Not to be caught.
            ValueError: An argument is out of range, or the name is that of another kind of wait.
        """
        return self._answer(Waiting(_name(name), "signal", None, _timeout("signal", name, timeout)))

    def signal_token(self, name: str) -> str:
        """A token by which somebody outside sends the signal of this name, once.

        It has 256 random bits, and the store keeps nothing but its hash, so whoever has it may send the signal and
        nobody else. An attempt has one token a name; those that former attempts handed out stay good. In a
        synchronous asset it is on record when the call returns. In an async one it is soon, and before a function
        is called by `once` after that: so `await context.once("ask", ask_bank, context.signal_token("bank"))`.

        Args:
            name: The name that `signal` is called with.

        Raises:
            ValueError: It is no name, or that of something else than a signal.
        """
        _check_plain(_name(name), sys._getframe(0))
        self._check_kind(name, "signal")
        tokens = self._tokens
        if tokens is None:
            tokens = self._tokens = {}
        token = tokens.get(name)
        if token is None:
            token = f"{self.run_id}.{secrets.token_urlsafe(_TOKEN_BYTES)}"
            notes = self._given_notes()
            note: Note = ("token", name, token_hash(token))
            if notes.on_loop:
                notes.write_soon(note)
            else:
                notes.write_now(note)
            tokens[name] = token
        return token

    # What is done once --------------------------------------------------------------------------------------

    async def once(self, name: str, function: Callable[..., T | Awaitable[T]], /, *args: Any) -> T:
        """The result of `function(*args)`, which is called once per step, across attempts, crashes and nodes.

        It is on record when this returns, and the function is not called again from then on: later attempts are
        given that result. If the process dies, or the function raises, before that, a later attempt calls it again;
        so what it does to others should bear being done twice.

        Args:
            name: Its identity within the step.
            function: Plain or async.
            *args: Its arguments.

        Returns:
            What it returned, as JSON has it: the same to every attempt.

        Raises:
            ValueError: The result is no JSON, or more than a megabyte; the name is that of a wait; or the function
                does, within that, what has this name.
        """
        notes = self._given_notes()
        self._check_not_within(_name(name))
        async with notes.lock(name):
            await notes.written()
            if (found := self._known(name)) is not None:
                return found[0]  # type: ignore[no-any-return] # as it was recorded
            with self._doing(name):
                result = function(*args)
                if isawaitable(result):
                    result = await result
            value = exact_json(result, f"The result of once({name!r})")
            self._check_kind(name, "once")
            # If this is cancelled meanwhile, it is not done again: whoever asks next waits for the same record.
            notes.write_soon(("once", name, value))
            self._keep(name, value)
            await notes.written()
            return value  # type: ignore[no-any-return] # as above

    def once_sync(self, name: str, function: Callable[..., T], /, *args: Any) -> T:
        """As `once`, for synchronous assets.

        Raises:
            RuntimeError: It is called on the event loop of the runtime, which it would hold up.
            ValueError: As `once`; or the function is async.
        """
        notes = self._given_notes()
        self._check_not_within(_name(name))
        if notes.on_loop:
            raise RuntimeError(f"once_sync({name!r}) would block the event loop: await once(...) there.")
        with notes.mutex:
            if (found := self._known(name)) is not None:
                return found[0]  # type: ignore[no-any-return] # as it was recorded
            with self._doing(name):
                result: Any = function(*args)
            if iscoroutine(result):
                result.close()
                raise ValueError(
                    f"once_sync({name!r}) takes a plain function: await once(...) for an async one."
                )
            value = exact_json(result, f"The result of once_sync({name!r})")
            self._check_kind(name, "once")
            notes.write_now(("once", name, value))
            self._keep(name, value)
            return value  # type: ignore[no-any-return] # as above

    def put_down(self, note: Note) -> None:
        """Put a note on record for a function that runs in another process; on any thread but the loop's."""
        self._given_notes().write_now(note)

    # Parts --------------------------------------------------------------------------------------------------

    def _answer(self, wait: Waiting) -> Any:
        """What the wait was answered with. Raises `Waiting` if it was not; of several waits the first one.

        It is called by what the asset calls, which `_check_plain` relies on.
        """
        _check_plain(wait.name, sys._getframe(1))
        self._check_kind(wait.name, wait.kind)
        found = None if self.answers is None else self.answers.get(wait.name)
        if found is not None and found[0] != "token":
            return found[1]
        if self.waits_for is None:
            self.waits_for = wait
        raise self.waits_for

    def _known(self, name: str) -> tuple[Any] | None:
        self._check_kind(name, "once")
        if self._kept is not None and name in self._kept:
            return (self._kept[name],)
        found = None if self.answers is None else self.answers.get(name)
        return None if found is None else (found[1],)

    def _check_kind(self, name: str, kind: str) -> None:
        """Raise `ValueError` if the name is that of another kind: whoever has a token would answer that one."""
        known: str | None = None
        if self._kept is not None and name in self._kept:
            known = "once"
        elif self._tokens is not None and name in self._tokens:
            known = "signal"
        elif self.answers is not None and name in self.answers:
            known = self.answers[name][0].replace("token", "signal")
        if known not in {None, kind}:
            raise ValueError(
                f"{name!r} names a {known} of {self.asset} already: give the {kind} a name of its own."
            )

    def _check_not_within(self, name: str) -> None:
        """Raise `ValueError` for what would wait for itself."""
        if self._place(name) in _DOING.get():
            raise ValueError(
                f"once({name!r}) is called within itself: give what is done in there another name."
            )

    @contextmanager
    def _doing(self, name: str) -> Iterator[None]:
        """While a function is called, it and the tasks it begins know so."""
        outside = _DOING.get()
        _DOING.set((*outside, self._place(name)))
        try:
            yield
        finally:
            _DOING.set(outside)  # Not reset(): a coroutine may be closed in another context.

    def _place(self, name: str) -> tuple[str, str | None, str, str]:
        return self.asset, self.partition_key, self.run_id, name

    def _keep(self, name: str, value: Any) -> None:
        if self._kept is None:
            self._kept = {}
        self._kept[name] = value

    def _given_notes(self) -> Notes:
        notes = self._notes
        if notes is None:
            raise FlowstoneError(
                "This context belongs to no run: once and signal_token need one that records them."
            )
        if callable(notes):
            notes = self._notes = notes()
        return notes  # type: ignore[no-any-return] # they are made by now


def token_hash(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _check_plain(name: str, call: FrameType) -> None:
    """Raise `TypeError` if a call of `Context` is awaited: once the attempt has ended, it is too late to say so."""
    if call.f_back is not None and is_awaited(call.f_back):
        written = f"context.{call.f_code.co_name}({name!r}, …)"
        raise TypeError(
            f"{written} is a plain call, in async assets as well: leave out the `await` before it."
        )


def _timeout(kind: str, name: str, seconds: object) -> float | None:
    if seconds is None:
        return None
    if not is_number(seconds, at_least=0, at_most=_LONGEST):
        raise ValueError(
            f"{kind}({name!r}, timeout={seconds!r:.100}): give seconds, 0 or more, up to a hundred years."
        )
    return float(seconds)  # type: ignore[arg-type] # it is a number


def _in_utc(instant: datetime, offset: timedelta) -> datetime:
    """The same instant as a plain datetime: a time zone or a class of the caller's own runs in no store.

    What is earlier or later than any clock says is moved to where every store can compare and keep it.
    """
    day = datetime(instant.year, instant.month, instant.day, tzinfo=UTC)
    time = timedelta(
        hours=instant.hour,
        minutes=instant.minute,
        seconds=instant.second,
        microseconds=instant.microsecond,
    )
    try:
        found = day + (time - offset)
    except OverflowError:
        return _FIRST if offset > timedelta() else _LAST
    return min(max(found, _FIRST), _LAST)


def _name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise ValueError(
            f"A wait is named by a printable text of 1 to {_LONGEST_NAME} characters, not by {name!r:.100}."
        )
    return name
