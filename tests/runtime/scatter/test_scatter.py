"""An asset that goes through the items of another one: each item on its own, the value in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pytest

from flowstone import Batch, Each, MaterializationFailed, Pipeline, Retry, RunCancelled, RunFailed, Runtime
from tests.runtime.doubles import Gate, Meter


def scattering(items, function, each=None, **options):
    """A pipeline of `files`, which has the items, and `page`, which goes through them."""
    pipeline = Pipeline()
    pipeline.asset(lambda: items, name="files")
    pipeline.asset(name="page", each=each or Each("files"), **options)(function)
    return pipeline


async def result_of(pipeline, target="page", **options):
    """What `target` is when it and all its upstream has been computed."""
    async with asyncio.timeout(200), Runtime(pipeline, **options) as runtime:
        result = await runtime.materialize_all(target)
        return await result.value(target)


async def test_the_function_is_called_once_for_each_item_and_the_value_is_in_their_order():
    """Whatever order they end in."""
    gates = {1: Gate(), 2: Gate(), 3: Gate()}

    async def page(files):
        await gates[files].wait()
        gates.get(files - 1, gates[3]).open()
        return files * 10

    gates[3].open()
    assert list(await result_of(scattering([1, 2, 3], page))) == [10, 20, 30]


@pytest.mark.parametrize("items", [[], (), {}, list(range(5)), tuple(range(3000)), ["a", None, 2.5]])
async def test_every_list_and_tuple_can_be_gone_through(items):
    """An empty one is an empty success."""

    async def page(files):
        return files

    assert list(await result_of(scattering(items, page))) == list(items)


async def test_a_dict_names_the_items_and_gives_a_dict():
    """Items that failed are left out of it."""

    def page(files):
        return 10 // files

    value = await result_of(scattering({"a": 1, "b": 0, "c": 5}, page, Each("files", tolerate=1)))
    assert value == {"a": 10, "c": 2}


async def test_at_most_max_parallel_items_run_at_a_time():
    """Whether the runtime would have room for more."""
    meter = Meter()

    async def page(files):
        async with meter:
            await asyncio.sleep(0)

    await result_of(scattering(range(50), page, Each("files", max_parallel=3)))
    assert meter.most == 3
    assert meter.total == 50


async def test_items_take_the_slots_of_the_runtime_and_the_step_none():
    """With one slot for everything there is one for an item."""
    meter = Meter()

    async def page(files):
        async with meter:
            await asyncio.sleep(0)

    await result_of(scattering(range(20), page), max_concurrency=1)
    assert meter.most == 1


@pytest.mark.parametrize(
    ("annotation", "taken"),
    [(list[int], list), (tuple[int, ...], tuple), (Iterable[int], None), (Iterator[int], None), (Any, None)],
)
async def test_a_consumer_takes_the_items_in_the_form_of_its_annotation(annotation, taken):
    """All at once, or one after the other."""
    kinds = []

    async def page(files):
        return files

    def summary(page):
        kinds.append(type(page))
        return sum(page)

    summary.__annotations__["page"] = annotation
    pipeline = scattering([1, 2, 3], page)
    pipeline.asset(summary)
    assert await result_of(pipeline, "summary") == 6
    assert taken is None or kinds == [taken]


async def test_an_asynchronous_consumer_streams():
    """It is given an asynchronous iterator."""

    async def page(files):
        return files

    pipeline = scattering(list(range(3000)), page)

    @pipeline.asset
    async def summary(page: AsyncIterator[int]) -> int:
        return sum([each async for each in page])

    assert await result_of(pipeline, "summary") == sum(range(3000))


async def test_the_value_is_a_sequence():
    """With indices, slices, a length, and what it is equal to."""

    async def page(files):
        if files % 3 == 0:
            raise ValueError(files)
        return files

    value = await result_of(scattering(list(range(3000)), page, Each("files", tolerate=1000)))
    expected = [each for each in range(3000) if each % 3]
    assert len(value) == 2000
    assert value == expected
    assert value != expected[1:]
    assert value[0] == 1
    assert value[-1] == 2999
    assert value[1500:1505] == expected[1500:1505]
    assert list(reversed(value)) == expected[::-1]
    assert 7 in value
    with pytest.raises(IndexError):
        value[2000]


async def test_other_parameters_are_given_to_every_item():
    """Upstream values, resources and the context."""
    pipeline = Pipeline()
    pipeline.value("files", [1, 2])
    pipeline.value("factor", 10)

    @pipeline.asset(each="files", requires=["db"])
    def page(files: int, factor: int, context) -> int:
        return files * factor + context.resources.db

    assert list(await result_of(pipeline, resources={"db": 5})) == [15, 25]


@pytest.mark.parametrize("tolerate", [2, 0.2, 0.25])
async def test_as_many_items_as_are_tolerated_may_fail(tolerate):
    """They are left out."""

    async def page(files):
        if files in {3, 7}:
            raise ValueError(files)
        return files

    value = await result_of(scattering(list(range(10)), page, Each("files", tolerate=tolerate)))
    assert list(value) == [0, 1, 2, 4, 5, 6, 8, 9]


@pytest.mark.parametrize("tolerate", [0, 1, 0.1, 0.19])
async def test_one_more_fails_the_step_at_once_and_its_failure_names_the_first_ones(tolerate):
    """No further item is started."""
    called = []

    async def page(files):
        called.append(files)
        if files in {1, 2}:
            raise ValueError(f"no {files}")
        return files

    with pytest.raises(RunFailed) as raised:
        await result_of(scattering(list(range(10)), page, Each("files", tolerate=tolerate, max_parallel=1)))
    message = raised.value.failures[0].failure.message
    assert "item 1: ValueError: no 1" in message
    assert "test_scatter.py:" in message
    assert max(called) == (1 if tolerate == 0 else 2)


async def test_a_failure_names_items_in_their_order_whichever_failed_first():
    """Threads end in any order, and the same run is to say the same."""
    later = asyncio.Event()

    async def page(files):
        if files == 0:
            await later.wait()
        later.set()
        raise ValueError(f"no {files}")

    with pytest.raises(RunFailed) as raised:
        await result_of(scattering([0, 1], page, Each("files", tolerate=1)))
    message = raised.value.failures[0].failure.message
    assert message.index("item 0: ValueError: no 0") < message.index("item 1: ValueError: no 1")


async def test_every_item_is_retried_on_its_own():
    """Those that succeeded are not attempted again."""
    attempts = []

    async def page(files, context):
        attempts.append((files, context.attempt))
        if files == 1 and context.attempt < 3:
            raise OSError("again")
        return files

    each = Each("files", retry=Retry(attempts=3, delay=0.0))
    assert list(await result_of(scattering([0, 1, 2], page, each))) == [0, 1, 2]
    assert sorted(attempts) == [(0, 1), (1, 1), (1, 2), (1, 3), (2, 1)]


async def test_the_timeout_is_that_of_an_item(clock, background):
    """And a failure of that item alone."""
    gate = Gate()

    async def page(files):
        if files == 1:
            await gate.wait()
        return files

    pipeline = scattering([0, 1, 2], page, Each("files", tolerate=1), timeout=5.0)
    async with asyncio.timeout(200), Runtime(pipeline, clock=clock) as runtime:
        run = background(runtime.materialize_all("page"))
        await gate.entered.wait()
        await clock.advance(5.1)
        assert list(await (await run).value("page")) == [0, 2]


async def test_a_cancel_stops_all_items():
    """None is left running, and the step is cancelled."""
    gates = [Gate(), Gate()]
    stopped = []

    async def page(files):
        try:
            await gates[files].wait()
        finally:
            stopped.append(files)

    async with asyncio.timeout(200), Runtime(scattering([0, 1], page)) as runtime:
        run = await runtime.submit("page")
        for gate in gates:
            await gate.entered.wait()
        await run.cancel()
        assert sorted(stopped) == [0, 1]
        with pytest.raises(RunCancelled):
            await run.wait()


@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_items_run_where_the_asset_runs(run_in):
    """On the loop, or in threads."""

    def page(files):
        return files + 1

    assert list(await result_of(scattering([1, 2, 3], page, run_in=run_in))) == [2, 3, 4]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (2, [["aa", "b"], ["cccc", "d"], ["e"]]),
        (Batch(size=3), [["aa", "b", "cccc"], ["d", "e"]]),
        (Batch(max_bytes=3), [["aa", "b"], ["cccc"], ["d", "e"]]),
        (Batch(by=lambda item: item > "b"), [["aa", "b"], ["cccc", "d", "e"]]),
        (Batch(size=2, by=lambda item: item > "b"), [["aa", "b"], ["cccc", "d"], ["e"]]),
    ],
)
async def test_items_are_put_together_into_batches(batch, expected):
    """By number, bytes, or what a function says of them."""

    async def page(files):
        return files

    value = await result_of(scattering(["aa", "b", "cccc", "d", "e"], page, Each("files", batch=batch)))
    assert list(value) == expected


@pytest.mark.parametrize(
    ("items", "each", "words"),
    [
        (
            5,
            Each("files"),
            "is of type int, and each='files' goes through the items of a list, a tuple or a dict",
        ),
        ("text", Each("files"), "is of type str"),
        ({1, 2}, Each("files"), "sorted"),
        ([1, 2, 1], Each("files", key=str), "gave '1' for item 2 and for one before it"),
        ([1, None], Each("files", key=lambda item: item), "gave None for item 1"),
        ([1], Each("files", key=lambda _: object()), "for item 0: let it give a text"),
        ([1, 0], Each("files", key=lambda item: 1 // item), "raised ZeroDivisionError for item 1"),
        ([1, 0], Each("files", key=lambda item: 1 // item), "Let it name every item of the source."),
        ([1, 0], Each("files", batch=Batch(by=lambda item: 1 // item)), "raised ZeroDivisionError"),
        ([1, 0], Each("files", batch=Batch(by=lambda item: 1 // item)), "Let it take every item"),
    ],
)
async def test_what_cannot_be_gone_through_fails_the_step_with_a_remedy(items, each, words):
    """In one sentence."""

    async def page(files):
        return files

    with pytest.raises(RunFailed, match="page") as raised:
        await result_of(scattering(items, page, each))
    assert words in raised.value.failures[0].failure.message


async def test_an_item_cannot_wait():
    """The step that it is part of goes on."""

    def page(files, context):
        context.sleep("a while", 60.0)

    with pytest.raises(RunFailed) as raised:
        await result_of(scattering([1], page))
    message = raised.value.failures[0].failure.message
    assert "an item cannot wait" in message
    assert message.endswith("or after it.")


async def test_what_can_be_read_only_once_fails_its_item():
    """As it fails a step."""

    async def page(files):
        return iter([files]) if files else files

    value = await result_of(scattering([0, 1], page, Each("files", tolerate=1)))
    assert list(value) == [0]


async def test_an_asset_alone_goes_through_the_current_value():
    """`materialize` computes this asset only."""

    async def page(files):
        return files

    async with Runtime(scattering([1, 2], page)) as runtime:
        await runtime.materialize("files")
        record = await runtime.materialize("page")
        assert record.status == "succeeded"
        assert await runtime.load("page") == [1, 2]
        pipeline = scattering([1], lambda files: 1 // 0)
    async with Runtime(pipeline) as runtime:
        await runtime.materialize("files")
        with pytest.raises(MaterializationFailed):
            await runtime.materialize("page")
