"""Calls the functions of automations: in the guard, on the loop or in a thread, and taking only so much of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context
from functools import partial
from inspect import isasyncgenfunction, isawaitable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowstone.actors import TaskSupervisor
from flowstone.actors.spawn import current, stop_was_requested
from flowstone.assets.signature import innermost, is_async
from flowstone.errors import Skip
from flowstone.runtime.automation.requests import as_requests
from flowstone.runtime.execution.guard import absorb_cancels, call, call_async, outcome_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from flowstone.assets.automation.run_request import RunRequest
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.execution.guard import Outcome
    from flowstone.thread_calls import ThreadCall

__all__ = ["MOST_REQUESTS", "apart", "ask", "is_called_on_loop", "leave_if_stopped"]

T = TypeVar("T")

MOST_REQUESTS: Final = 100_000
"""Requests that one call may give. All are taken before any is carried out, or none: a function that is left in the
middle has set its cursor already, or not yet, and nobody knows which."""

_SLOW: Final = 60.0  # Seconds after which somebody is told that a function has not returned.


async def ask(ctx: RuntimeContext, subject: str, function: Callable[[Any], Any], argument: Any) -> Outcome:
    """Call a function and take what it returns or yields: a list of `RunRequest`, or a failure.

    Args:
        ctx: What the runtime offers.
        subject: The automation as people know it: its kind and name.
        function: The user's function.
        argument: What it is given.

    Raises:
        CancelledError: The caller is to stop.
    """
    slow = ctx.clock.call_later(_SLOW, partial(_warn, ctx, subject))
    try:
        outcome = await _called(ctx, subject, function, argument)
    finally:
        slow.cancel()
    await leave_if_stopped()
    ctx.alarms.clear(f"{subject} (slow)", "it has returned")
    return outcome


async def apart(ctx: RuntimeContext, subject: str, asked: Coroutine[Any, Any, T]) -> T:
    """Ask in a task of its own, on behalf of a caller whose task is not ours.

    A cancel that a function sends to its task is its own failure, not the caller's; one that the caller cleans up
    after is not the function's. If the caller is cancelled meanwhile, the function is stopped.

    Args:
        ctx: What the runtime offers.
        subject: What is done, for people.
        asked: Asks the function.
    """
    async with TaskSupervisor(shutdown=ctx.settings.cancel_timeout, name=subject, clock=ctx.clock) as tasks:
        task = tasks.start(subject, asked, context=copy_context())
        await task.down()
    if task.error is not None:
        raise task.error
    return task.result  # type: ignore[no-any-return] # what the coroutine returned


async def leave_if_stopped() -> None:
    """Stop if somebody wants that: a function may have swallowed the cancel, or have sent its own task one.

    Raises:
        CancelledError: The caller is to stop.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling() and current() is not None and not stop_was_requested():
        await absorb_cancels(task)
    if stop_was_requested() or (task is not None and task.cancelling()):
        raise asyncio.CancelledError


def _warn(ctx: RuntimeContext, subject: str) -> None:
    ctx.alarms.set(f"{subject} (slow)", f"its function has not returned for {_SLOW:g} s")


async def _called(
    ctx: RuntimeContext, subject: str, function: Callable[[Any], Any], argument: Any
) -> Outcome:
    if is_called_on_loop(function):
        return await call_async(partial(_on_loop, function, argument, subject), {}, None)
    in_thread = partial(call, partial(_in_thread, function, argument, subject), {}, None)
    if getattr(function, "is_brief", False) and hasattr(asyncio.get_running_loop(), "thread_call"):
        # The time of such a loop stands still for a call, whatever thread makes it: nobody is kept waiting by this
        # one, and to hand it to a thread would cost more than to look.
        return in_thread()
    # One that blocks its thread takes none from the assets, nor from its siblings.
    job: ThreadCall[Outcome] = ctx.threads.start(subject, in_thread, lambda: ctx.threads.lend(job))
    try:
        outcome = await outcome_of(job)
    except asyncio.CancelledError:
        ctx.threads.abandon(job)
        raise
    if outcome[0] and hasattr(outcome[1], "__aiter__"):
        return await call_async(partial(_taken, outcome[1], subject), {}, None)
    return outcome


def is_called_on_loop(function: Callable[[Any], Any]) -> bool:
    """Whether it is async, as a function or as an object that is called like one."""
    called = function if hasattr(function, "__code__") else getattr(function, "__call__", function)  # noqa: B004 - which function it is
    return is_async(function) or is_async(called) or isasyncgenfunction(innermost(called))


async def _on_loop(function: Callable[[Any], Any], argument: Any, subject: str) -> list[RunRequest]:
    given = function(argument)
    if isawaitable(given):
        given = await given
    return await _taken(given, subject) if hasattr(given, "__aiter__") else _listed(given, subject)


async def _taken(given: AsyncIterator[Any], subject: str) -> list[RunRequest]:
    found: list[RunRequest] = []
    try:
        async for each in given:
            _take(found, each, subject)
    except Skip:
        if not found:  # Else it is the end of what there is to do.
            raise
    finally:
        if hasattr(given, "aclose"):
            await given.aclose()
    return found


def _in_thread(function: Callable[[Any], Any], argument: Any, subject: str) -> Any:
    """What it returns or yields; what is to be iterated on the loop is handed there."""
    given = function(argument)
    return given if hasattr(given, "__aiter__") else _listed(given, subject)


def _listed(given: Any, subject: str) -> list[RunRequest]:
    found: list[RunRequest] = []
    if isinstance(given, Iterator):
        try:
            for each in given:
                _take(found, each, subject)
        except Skip:
            if not found:  # As above.
                raise
    else:
        for each in as_requests(given, subject):
            _take(found, each, subject)
    return found


def _take(found: list[RunRequest], each: Any, subject: str) -> None:
    if len(found) >= MOST_REQUESTS:
        raise ValueError(
            f"{subject} gave more than {MOST_REQUESTS:,} requests at once, of which none was carried out: set the "
            "cursor and return after fewer, and the next look goes on from there."
        )
    found += as_requests([each], subject)
