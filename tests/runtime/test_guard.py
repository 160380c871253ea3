"""The guard: every exception becomes a bounded, truthful failure, and nothing escapes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import Permanent, Retry, Retryable
from flowstone.runtime.execution.guard import absorb_cancels, call, call_async, describe
from tests.counting import counted_lines, most_memory
from tests.hostile.exceptions import BASE_ONLY, CANCELS, CATALOGUE, MADE_BY_PYTHON, UNASKABLE, make, type_name

EVERY = sorted(CATALOGUE)


class GreedyType(type):
    """A metaclass whose classes say yes, no or worse when asked about an instance."""

    def __instancecheck__(cls, instance):
        raise SystemExit("asking is enough")


class Greedy(Exception, metaclass=GreedyType):
    """A class that `Retry.on` may name."""


def raised(name):
    """The named exception, with a traceback."""
    try:
        raise make(name)
    except BaseException as error:
        return error


@pytest.mark.parametrize("name", EVERY)
def test_every_exception_is_described(name):
    """A description is bounded text with the exception's own type name, whatever the exception does."""
    failure = describe(raised(name), None)
    assert failure.kind == ("cancelled_by_asset" if name in CANCELS else "error")
    assert type(failure.message) is str
    assert 0 < len(failure.message) <= 10_000
    assert type(failure.traceback) is str
    assert 0 < len(failure.traceback) <= 50_000
    assert failure.message.startswith(type_name(name))
    assert "test_guard.py" in failure.traceback


@pytest.mark.parametrize("name", EVERY)
async def test_every_exception_stays_inside(name):
    """Called plainly or awaited, in a thread or on the loop, an exception comes back as a value."""

    def plain():
        raise make(name)

    async def awaited():
        raise make(name)

    expected = type_name(name)
    for ok, failure in (call(plain, {}, None), await call_async(plain, {}, None)):
        assert not ok
        assert failure.message.startswith(expected)
    ok, failure = await call_async(awaited, {}, None)
    assert not ok
    assert failure.message.startswith(MADE_BY_PYTHON.get(name, expected))


@pytest.mark.parametrize("name", EVERY)
def test_only_exceptions_are_retried_by_default(name):
    """Exits, interrupts and cancellations are never retryable; `Permanent` is not, `Retryable` always is."""
    retryable = describe(raised(name), Retry()).retryable
    if name in BASE_ONLY or name in {"Permanent", "changeling"}:
        assert not retryable
    else:
        assert retryable == (name not in UNASKABLE)


def test_a_policy_that_cannot_be_asked_retries_nothing():
    """An `__instancecheck__` that raises is contained, and the failure is final."""
    assert not describe(ValueError("x"), Retry(on=(Greedy,))).retryable


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (None, None),
        (5, 5.0),
        (0.5, 0.5),
        (float("inf"), None),
        (float("nan"), None),
        ("soon", None),
        (10**400, None),
    ],
)
def test_only_a_finite_number_of_seconds_is_a_wait(after, expected):
    """`Retryable(after=…)` counts if it is a finite number; otherwise the policy's delay does."""
    assert describe(Retryable("x", after=after), None).after == expected


def test_a_kind_can_be_given():
    """Whoever knows better what went wrong says so; the text stays the exception's."""
    failure = describe(ValueError("disk"), None, "io")
    assert (failure.kind, failure.message) == ("io", "ValueError: disk")


def test_a_subclass_of_cancelled_error_is_a_cancellation():
    """It is the type that counts, not its name."""

    class Own(asyncio.CancelledError):
        pass

    assert describe(Own(), None).kind == "cancelled_by_asset"
    named_alike = type("CancelledError", (Exception,), {})
    assert describe(named_alike("x"), None).kind == "error"


def test_causes_are_shown():
    """The traceback tells the whole story, oldest first."""
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError as error:
        text = describe(error, None).traceback
    assert text.index("KeyError: 'first'") < text.index("direct cause") < text.index("ValueError: second")


def test_a_group_shows_its_members():
    """The members of an exception group are in the traceback."""
    text = describe(raised("ExceptionGroup"), None).traceback
    assert "ValueError: one" in text
    assert "TypeError: two" in text


def test_an_unreadable_message_leaves_the_frames():
    """If the text cannot be read, the place where it was raised still can."""
    failure = describe(raised("str exits"), None)
    assert failure.message == "StrExits: <its message cannot be read: SystemExit>"
    assert "in raised" in failure.traceback


@pytest.mark.parametrize("name", ["huge", "far led", "crowd"])
def test_describing_takes_little(name):
    """A message of 20 MB, a history of 3,000 exceptions or a crowd of 2,000 does not hold up the loop."""
    error = raised(name)
    with counted_lines() as lines:
        describe(error, None)
    assert lines[0] < 100_000
    with most_memory() as most:
        describe(error, None)
    assert most[0] < 50_000_000


def test_a_deep_recursion_is_described():
    """The stack of a real RecursionError is clipped, not the other way round."""

    def deeper():
        return deeper()

    ok, failure = call(deeper, {}, None)
    assert not ok
    assert failure.message.startswith("RecursionError")
    assert len(failure.traceback) <= 50_000


@given(st.text(max_size=200), st.integers(min_value=1, max_value=2000))
def test_a_message_is_clipped_in_the_middle(text, times):
    """Short messages are kept whole; of long ones both ends are."""
    failure = describe(ValueError(text * times), None)
    whole = f"ValueError: {text * times}" if text else "ValueError"
    assert len(failure.message) <= 10_000
    assert failure.message[:4000] == whole[:4000]
    assert failure.message[-4000:] == whole[-4000:]
    assert (failure.message == whole) == (len(whole) <= 10_000)


def test_a_value_comes_back():
    """What a function returns is the outcome, None included."""
    assert call(lambda: None, {}, None) == (True, None)
    assert call(lambda x: x + 1, {"x": 1}, None) == (True, 2)


async def test_an_awaitable_is_awaited():
    """On the loop, a function's coroutine or future is awaited, whether or not it was written `async def`."""

    async def answer():
        return 42

    future = asyncio.get_running_loop().create_future()
    future.set_result(43)
    assert await call_async(answer, {}, None) == (True, 42)
    assert await call_async(partial(answer), {}, None) == (True, 42)
    assert await call_async(lambda: future, {}, None) == (True, 43)


async def test_a_coroutine_in_a_thread_gets_its_own_loop():
    """Off the loop, an `async def` runs on a loop of its own; its exceptions stay inside too."""

    async def answer():
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    async def leave():
        raise SystemExit(1)

    ok, loop = await asyncio.to_thread(call, answer, {}, None)
    assert ok
    assert loop != id(asyncio.get_running_loop())
    ok, failure = await asyncio.to_thread(call, leave, {}, None)
    assert not ok
    assert failure.message == "SystemExit: 1"


async def test_wrong_arguments_are_a_failure():
    """A call that cannot be made fails as any other."""
    ok, failure = await call_async(lambda x: x, {"y": 1}, None)
    assert not ok
    assert failure.message.startswith("TypeError")


async def test_a_cancel_is_an_outcome():
    """A task cancelled inside the guard goes on, with a failure in its hands."""

    async def wait():
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(call_async(wait, {}, None))
    await asyncio.sleep(0)
    task.cancel()
    ok, failure = await task
    assert not ok
    assert failure.kind == "cancelled_by_asset"


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("awaited", [False, True])
async def test_a_function_cannot_cancel_what_follows(times, awaited):
    """Cancels that a function sent to its own task are gone afterwards, delivered or not."""

    async def cancel_myself():
        for _ in range(times):
            asyncio.current_task().cancel()
        if awaited:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        return "value"

    async def attempt():
        outcome = await call_async(cancel_myself, {}, None)
        await absorb_cancels(asyncio.current_task())
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        return outcome

    assert await asyncio.create_task(attempt()) == (True, "value")


def test_permanent_is_never_retried():
    """`Permanent` wins over any policy."""
    assert not describe(Permanent("x"), Retry(on=(Exception,))).retryable
