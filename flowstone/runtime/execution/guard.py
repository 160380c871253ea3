"""Where a user's function meets the runtime: whatever it raises becomes a value.

Everything is caught, `SystemExit` and `KeyboardInterrupt` included: raised inside a task those would tear down
the event loop and with it every other asset. Formatting is inside the guard as well, because an exception is
the user's code too: its `__str__` may raise or return 100 MB, its `__class__` may lie, its metaclass may have a
`__name__` that raises. So nothing here asks the exception what it is; it asks the interpreter.

A thread hands back the same outcome, also where it could not be started at all (`outcome_of`).

And a function may end twice: once more in a process that it has forked off, which ends with it (forks.py).
"""

from __future__ import annotations

import asyncio
import math
import os
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from inspect import isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone.assets.output import Output
from flowstone.errors import Retryable, Skip, Waiting
from flowstone.masking import masked
from flowstone.runs.records import Failure
from flowstone.runs.retry_policy import is_retryable
from flowstone.runtime.execution.forks import leave_fork
from flowstone.runtime.execution.own_code import leaves, own_traceback, place_of, without_our_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.assets.retry import Retry
    from flowstone.runs.records import FailureKind
    from flowstone.thread_calls import ThreadCall

__all__ = [
    "WAITING",
    "ExitInTask",
    "Outcome",
    "absorb_cancels",
    "call",
    "call_async",
    "describe",
    "outcome_of",
]

Outcome: TypeAlias = tuple[Literal[True], Any] | tuple[Literal[False], Failure]
"""`(True, value)` or `(False, failure)`."""

WAITING = Failure("error", "Waiting was raised by something else than the context of this attempt.")
"""What a function amounts to that ended with `Waiting`; whether it was right to, its context knows."""

_MESSAGE_LIMIT = 10_000
_TRACEBACK_LIMIT = 50_000
_FRAMES_LIMIT = 5_000
_SUMMARY_LIMIT = 1_000
_UNREADABLE = "<its traceback cannot be read"
_TEXT_LIMIT = 100_000  # Characters of a message beyond which the traceback module's work would be felt.
_LINKED_LIMIT = 100  # Exceptions, likewise.
_type_name = type.__dict__["__name__"].__get__
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_cause_of = BaseException.__dict__["__cause__"].__get__
_context_of = BaseException.__dict__["__context__"].__get__
_members_of = BaseExceptionGroup.__dict__["exceptions"].__get__


class ExitInTask(BaseException):
    """A task that an asset started raised what would end the event loop, its cause.

    `SystemExit` and `KeyboardInterrupt` leave the loop by themselves; and an exception that raises when it is
    asked for its class does it in a callback of whoever waits for the task. No `Exception`, as those two are none.
    """


async def call_async(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    retry: Retry | None,
    caught: Callable[[BaseException], object] | None = None,
) -> Outcome:
    """Call and await a function on the loop. `caught` is given what it raised, if that can be shown to people."""
    process = os.getpid()
    try:
        value = function(**arguments)
        if type(value) is CoroutineType or isawaitable(value):
            value = await value
        kind = type(value)
        return True, _finished(value) if kind is Output or kind is CoroutineType else value
    except BaseException as error:  # the guard: see the module docstring
        leave_fork(process, error)
        return False, _failed(error, retry, caught)
    finally:
        if os.getpid() != process:
            leave_fork(process)


def call(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    retry: Retry | None,
    caught: Callable[[BaseException], object] | None = None,
) -> Outcome:
    """Call a function on whatever thread this is; a coroutine it returns gets an event loop of its own."""
    process = os.getpid()
    try:
        value = function(**arguments)
        if isinstance(value, Coroutine):
            return asyncio.run(_outcome_of(value, retry, caught, process))
        return True, _finished(value)
    except BaseException as error:  # the guard: see the module docstring
        leave_fork(process, error)
        return False, _failed(error, retry, caught)
    finally:
        leave_fork(process)


async def _outcome_of(
    coroutine: Coroutine[Any, Any, Any],
    retry: Retry | None,
    caught: Callable[[BaseException], object] | None,
    process: int,
) -> Outcome:
    """The guard once more, inside the task: asyncio.run() does not survive every exception."""
    try:
        return True, _finished(await coroutine)
    except BaseException as error:  # as above
        leave_fork(process, error)
        return False, _failed(error, retry, caught)
    finally:
        leave_fork(process)


def _failed(
    error: BaseException, retry: Retry | None, caught: Callable[[BaseException], object] | None
) -> Failure:
    if _is_nothing_but(error, Waiting):
        return WAITING
    if _is_nothing_but(error, Skip):
        return _skip(error)
    failure = describe(error, retry)
    if caught is not None and not failure.traceback.startswith(_UNREADABLE):
        # Our frames hold the inputs, and tell nobody anything.
        without_our_frames(error)
        caught(error)
    return failure


def _is_nothing_but(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether it is of this very class, or a group of one such, as a task group raises it."""
    return type(_only(error)) is kind


def _only(error: BaseException) -> BaseException:
    """The exception itself, or what a group is of that has one member."""
    while _is(error, BaseExceptionGroup):
        members = _members_of(error)
        if any(member is not members[0] for member in members):
            return error
        error = members[0]
    return error


def _skip(error: BaseException) -> Failure:
    """What a function amounts to that chose to be skipped."""
    reason = masked(_clip(_text(_only(error)), _MESSAGE_LIMIT))
    return Failure("skip", reason or "Skipped by choice.", where=_own(error, installed=True)[0])


def _finished(value: Any) -> Any:
    """The value, unless it is one that is still to be computed."""
    inner = value.value if type(value) is Output else value
    if type(inner) is CoroutineType:
        inner.close()
        raise TypeError("the function returned a coroutine where a value belongs: an `await` is missing.")
    return value


async def outcome_of(job: ThreadCall[Outcome]) -> Outcome:
    """The outcome of a guarded call in a thread. That there is no thread for it is an outcome as well."""
    try:
        return await job.wait()
    except Exception as error:
        return False, describe(error, None)


async def absorb_cancels(task: asyncio.Task[Any]) -> None:
    """Take back the cancels that a function sent to its own task: one it did not await would strike us instead.

    Whether the runtime has asked the task to stop is known elsewhere, by a flag; nothing is lost here.
    """
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    while task.cancelling():
        task.uncancel()


def describe(error: BaseException, retry: Retry | None, kind: FailureKind | None = None) -> Failure:
    """The failure that an exception amounts to, without passwords. Never raises, whatever the exception does.

    A `CancelledError` that we did not ask for is the asset's own doing: kind `cancelled_by_asset`.
    """
    if _is(error, ExitInTask):
        error = _cause_of(error) or error
    text = _text(error)
    where, frames = _own(error, installed=kind is None)
    return Failure(
        kind=kind or ("cancelled_by_asset" if _is(error, asyncio.CancelledError) else "error"),
        message=masked(_message(error, text)),
        traceback=masked(_traceback(error, text)),
        retryable=_is_retryable(retry, error),
        after=_after(error),
        where=where,
        frames=masked(frames),
    )


def _own(error: BaseException, *, installed: bool) -> tuple[str, str]:
    """Where in the user's code it was raised, and that code's frames."""
    try:
        where = place_of(error, installed=installed)
    except BaseException:  # a frame's globals may be a dict of the user's
        return "", ""
    try:
        frames = own_traceback(error, _summary, installed=installed) if where else ""
    except BaseException:  # a frame whose source is computed by a user's module loader
        frames = ""
    return where, _clip(frames, _FRAMES_LIMIT)


def _summary(error: BaseException) -> str:
    """The message of one of several exceptions."""
    name, text = _type_name(type(error)), _text(error)
    return _clip(f"{name}: {text}" if text else name, _SUMMARY_LIMIT)


def _is(error: BaseException, kind: type[BaseException]) -> bool:
    """As `isinstance`, which would ask the exception's `__class__`."""
    return issubclass(type(error), kind)


def _is_retryable(retry: Retry | None, error: BaseException) -> bool:
    try:
        return is_retryable(retry, error)
    except BaseException:  # `__instancecheck__` of a user's metaclass runs here
        return False


def _after(error: BaseException) -> float | None:
    if not _is(error, Retryable):
        return None
    try:
        after = float(error.after)  # type: ignore[attr-defined] # it is a Retryable, which mypy cannot see
    except BaseException:  # not a number, or an attribute that a subclass made its own
        return None
    return after if math.isfinite(after) else None


def _text(error: BaseException) -> str:
    try:
        # A `__str__` may return a str of a subclass, with methods of its own; `str.__str__` makes it a plain one.
        return str.__str__(str(error))
    except BaseException as broken:  # a user's `__str__`
        return f"<its message cannot be read: {_type_name(type(broken))}>"


def _message(error: BaseException, text: str) -> str:
    name = _type_name(type(error))
    return _clip((f"{name}: {text}" if text else name) + _members(error), _MESSAGE_LIMIT)


def _members(error: BaseException) -> str:
    """What is in a group, a line each: "unhandled errors in a TaskGroup" says nothing to anybody."""
    try:
        found = leaves(error)
        lines = [f"\n  {_located(_summary(leaf), place_of(leaf))}" for leaf, _ in found]
    except BaseException:  # as `_own`
        return ""
    more = found[0][1] if found else 0
    return "".join(lines) + (f"\n  and {more:,} more" if more else "")


def _located(text: str, where: str) -> str:
    return f"{text} ({where})" if where else text


def _traceback(error: BaseException, text: str) -> str:
    """The traceback of the exception and of what led to it, without its message if that cannot be read."""
    try:
        if len(text) > _TEXT_LIMIT or _leads_far(error):
            lines = _own_traceback(error, text)
        else:
            frames = traceback.TracebackException.from_exception(error, limit=-50, capture_locals=False)
            lines = list(frames.format())
    except BaseException as broken:  # a user's `__str__`, `__notes__`, `__class__` …
        lines = [f"{_UNREADABLE}: {_type_name(type(broken))}>\n"]
        try:
            lines += _own_traceback(error, text)
        except BaseException:  # a frame whose source is computed by a user's module loader
            lines.append("<nor can its frames>\n")
    return _clip("".join(lines), _TRACEBACK_LIMIT)


def _own_traceback(error: BaseException, text: str) -> list[str]:
    return [
        "Traceback (most recent call last):\n",
        *traceback.format_tb(_traceback_of(error), limit=-50),
        f"{_message(error, text)}\n",
    ]


def _leads_far(error: BaseException) -> bool:
    """Whether so many exceptions led to this one, or are in it, that formatting all would hold up the loop."""
    found = [error]
    seen = {id(error)}
    for each in found:  # It grows while it is read.
        linked = [_cause_of(each), _context_of(each)]
        if _is(each, BaseExceptionGroup):
            linked += _members_of(each)[:_LINKED_LIMIT]
        for other in linked:
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                found.append(other)
        if len(found) >= _LINKED_LIMIT:
            return True
    return False


def _clip(text: str, limit: int) -> str:
    """Both ends of a long text: the beginning says what it is, the end where it happened."""
    if len(text) <= limit:
        return text
    half = limit // 2 - 20
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
