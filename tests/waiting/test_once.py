"""What a step does once is done once across its attempts: on every store, in threads and in processes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from flowstone import Context, MaterializationFailed, Pipeline, Retry, Runtime
from tests.waiting import assets
from tests.waiting.test_decisions import parked, pending


async def test_a_result_is_kept_across_attempts(place, background):
    """Of plain and async functions, and equal for every attempt."""
    pipeline = Pipeline("drafts")
    calls, seen = [], []

    async def render(number):
        calls.append("render")
        await asyncio.sleep(0)
        return {"pages": (number, 2)}

    @pipeline.asset(retry=Retry(attempts=3, delay=0.0))
    async def draft(context: Context) -> int:
        seen.append(await context.once("draft", render, 7))
        seen.append(await context.once("nothing", lambda: calls.append("nothing")))
        if context.attempt == 1:
            raise OSError("not yet")
        context.approval("publish")
        return 1

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        waiting = background(runtime.materialize("draft"))
        (asked,) = await pending(runtime)
        await runtime.approve(asked.id, by="ada")
        record = await waiting
        run = await runtime.run(record.run_id)
        kept = [event.name async for event in run.events() if event.kind == "step.kept"]
    assert record.attempt == 3
    assert calls == ["render", "nothing"]
    assert seen == [{"pages": [7, 2]}, None] * 3
    assert kept == ["draft", "nothing"]


async def test_two_of_one_name_at_a_time_are_one(place):
    """The second one waits for the first; the same name again in one attempt is the same answer."""
    pipeline = Pipeline("groups")
    calls = []

    async def slow():
        calls.append(1)
        await asyncio.sleep(0.01)
        return len(calls)

    @pipeline.asset
    async def grouped(context: Context) -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(context.once("slow", slow)) for _ in range(5)]
        return [task.result() for task in tasks] + [await context.once("slow", slow)]

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        await runtime.materialize("grouped")
        assert await runtime.load("grouped") == [1] * 6


async def test_a_call_that_is_cancelled_while_it_is_recorded_is_not_made_again(place):
    """Whoever asks next is given what is on record, and so are later attempts."""
    pipeline = Pipeline("hasty")
    calls, seen, asking = [], [], []

    def count():
        calls.append(1)
        if len(calls) == 1:
            asking[0].cancel()
        return len(calls)

    @pipeline.asset
    async def hasty(context: Context) -> int:
        asking.append(asyncio.create_task(context.once("count", count)))
        await asyncio.wait(asking[-1:])
        seen.append(await context.once("count", count))
        context.sleep("nap", 0.0)
        return 1

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        await runtime.materialize("hasty")
    assert (calls, seen) == ([1], [1, 1])


async def test_a_token_is_recorded_whatever_is_cancelled(place, background):
    """Who gives up waiting for the record does not take it back."""
    pipeline = Pipeline("hasty")
    tokens = []

    @pipeline.asset
    async def paid(context: Context) -> str:
        tokens.append(context.signal_token("bank"))
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await context.once("ask", lambda: 1)
        return context.signal("bank")

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        waiting = background(runtime.materialize("paid"))
        while not tokens:
            await asyncio.sleep(0)
        await runtime.signal(tokens[0], "yes")
        await waiting
        assert await runtime.load("paid") == "yes"


async def test_a_function_that_fails_is_called_again(place):
    """Only a result is kept."""
    pipeline = Pipeline("stubborn")
    calls = []

    def fetch():
        calls.append(1)
        if len(calls) < 3:
            raise OSError("away")
        return "here"

    @pipeline.asset(retry=Retry(attempts=5, delay=0.0))
    def stubborn(context: Context) -> str:
        return context.once_sync("fetch", fetch) + context.once_sync("fetch", fetch)

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        assert (await runtime.materialize("stubborn")).attempt == 3
        assert await runtime.load("stubborn") == "herehere"
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda context: context.once("x", object), "result of once"),
        (lambda context: context.once("x", lambda: {1: 2}), "is no text"),
        (lambda context: context.once("x", lambda: "x" * 1_000_001), "more than 1,000,000"),
        (lambda context: context.once("", lambda: 1), "printable text"),
    ],
)
async def test_what_cannot_be_kept_is_refused(bad, words):
    """In one sentence, with a remedy."""
    place = Pipeline("bad")

    @place.asset
    async def wrong(context: Context) -> int:
        return await bad(context)

    async with Runtime(place) as runtime:
        with pytest.raises(MaterializationFailed, match=words):
            await runtime.materialize("wrong")


async def test_the_wrong_one_of_the_two_is_refused():
    """`once_sync` would hold up the loop, and takes no async function; names of waits are their own."""
    pipeline = Pipeline("wrong")

    async def later():
        return 1

    @pipeline.asset
    async def on_loop(context: Context) -> int:
        return context.once_sync("x", lambda: 1)

    @pipeline.asset
    def in_thread(context: Context) -> int:
        return context.once_sync("x", later)

    @pipeline.asset
    async def mixed(context: Context) -> int:
        await context.once("x", lambda: 1)
        context.sleep("x", 0)
        return 1

    async with Runtime(pipeline) as runtime:
        for name, words in [
            ("on_loop", "would block the event loop"),
            ("in_thread", "takes a plain function"),
            ("mixed", "'x' names a once of mixed already"),
        ]:
            with pytest.raises(MaterializationFailed, match=words):
                await runtime.materialize(name)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda context: context.approval("x", timeout=-1), "give seconds"),
        (lambda context: context.approval("x", on_timeout="retry"), "give 'fail'"),
        (lambda context: context.approval("x", on_timeout="approve"), "give timeout="),
        (lambda context: context.approval("x", message=5), "message is a text"),
        (lambda context: context.approval("x", data=object()), "data of approval 'x'"),
        (lambda context: context.approval("\n"), "printable text"),
        (lambda context: context.signal("x", timeout="1"), "give seconds"),
        (lambda context: context.signal_token(3), "printable text"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_asked(call, words):
    """By the context itself."""
    with pytest.raises(ValueError, match=words):
        call(Context("asset"))


async def test_assets_in_processes_do_all_of_it(place, background, tmp_path, monkeypatch):
    """Their context is another object there, and says the same."""
    done = tmp_path / "done"
    monkeypatch.setenv("FLOWSTONE_TEST_DONE", str(done))
    async with asyncio.timeout(200), place.runtime(assets.pipeline) as runtime:
        waiting = background(runtime.materialize("published"))
        (asked,) = await pending(runtime)
        assert asked.message == "s3://drafts/7"
        token = next(line for line in done.read_text().splitlines() if line.startswith("token")).split()[1]
        await runtime.signal(token, "paid")  # Before the step waits for it.
        await runtime.approve(asked.id, by="ada")
        await waiting
        assert await runtime.load("published") == "ada paid [1, 2]"
        await runtime.materialize("awaited")
        assert await runtime.load("awaited") == 2
        with pytest.raises(MaterializationFailed, match="result of once_sync"):
            await runtime.materialize("refused")
    lines = done.read_text().splitlines()
    assert lines.count("render") == 2
    assert [line for line in lines if line.startswith("attempt")] == ["attempt 1", "attempt 2"]


async def test_a_step_waits_for_one_thing_after_the_other(place, background):
    """Approvals, signals and sleeps in turn; each attempt runs from the top."""
    pipeline = Pipeline("patient")
    attempts, tokens = [], []

    @pipeline.asset
    async def patient(context: Context) -> list:
        attempts.append(context.attempt)
        tokens.append(context.signal_token("bank"))
        context.sleep("nap", 0.05)
        decision = context.approval("go")
        return [decision.by, context.signal("bank"), await context.once("last", lambda: 5)]

    async with asyncio.timeout(200), place.runtime(pipeline) as runtime:
        waiting = background(runtime.materialize("patient"))
        (asked,) = await pending(runtime)
        await runtime.approve(asked.id, by="ada")
        while len(attempts) < 3:
            await asyncio.sleep(0.01)
        await parked(runtime)
        await runtime.signal(tokens[0], "paid")
        await waiting
        assert await runtime.load("patient") == ["ada", "paid", 5]
        assert attempts == [1, 2, 3, 4]
