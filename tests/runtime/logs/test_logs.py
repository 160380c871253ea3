"""What the code of an attempt logs and prints is kept with it, wherever in the attempt it runs."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading

import pytest

from flowstone import (
    AssetNotFound,
    Context,
    FileIO,
    LogLine,
    Pipeline,
    Retry,
    RunNotFound,
    Runtime,
)
from flowstone.assets.each import Each
from flowstone.errors import ArgumentError
from flowstone.runtime.services import attempt_logs
from flowstone.store.memory import MemoryStore

shop = logging.getLogger("shop")


async def lines_of(runtime, run_id, *which, **options):
    """All lines, once the run has ended and they are in."""
    return [line async for line in runtime.logs(run_id, *which, follow=True, **options)]


async def ran(pipeline, asset="report", **options):
    """The lines of a run of an asset."""
    async with Runtime(pipeline, **options) as runtime:
        result = await runtime.materialize_all(asset)
        return await lines_of(runtime, result.run_id)


def told(lines):
    """Level, message and fields."""
    return [(line.level, line.message, line.fields) for line in lines]


@pytest.fixture(autouse=True)
def levels():
    """Loggers emit from "info" on."""
    shop.setLevel(logging.INFO)
    yield
    shop.setLevel(logging.NOTSET)


async def test_records_and_prints_are_lines_of_the_attempt(capsys):
    """In the order in which they were said, with what came along."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def report(context: Context) -> int:
        context.log.info("read %s", "orders", rows=3)
        shop.warning("slow: %d ms", 7, extra={"query": ["a", 1]})
        print("one", 2)
        print("to stderr", file=sys.stderr)
        logging.getLogger().error("root")
        await asyncio.sleep(0)
        context.log.bind(page=2).error("gone")
        return 1

    lines = await ran(pipeline)
    assert told(lines) == [
        ("info", "read orders", {"rows": 3}),
        ("warning", "slow: 7 ms", {"logger": "shop", "query": ["a", 1]}),
        ("info", "one 2", {"stream": "stdout"}),
        ("info", "to stderr", {"stream": "stderr"}),
        ("error", "root", {}),
        ("error", "gone", {"page": 2}),
    ]
    assert {(line.asset, line.partition_key, line.attempt) for line in lines} == {("report", None, 1)}
    assert all(isinstance(line, LogLine) and line.at.tzinfo is not None for line in lines)
    out, err = capsys.readouterr()
    assert out == "one 2\n"
    assert "to stderr\n" in err


async def test_every_attempt_has_its_own_lines():
    """A line says which attempt it is of; a traceback is a field."""
    pipeline = Pipeline("sales")

    @pipeline.asset(retry=Retry(attempts=2, delay=0.0))
    def report(context: Context) -> int:
        print("try", context.attempt)
        try:
            raise OSError("no disk")
        except OSError:
            shop.exception("failed")
        if context.attempt == 1:
            raise ValueError("again")
        return 1

    lines = await ran(pipeline)
    assert [(line.message, line.attempt) for line in lines] == [
        ("try 1", 1),
        ("failed", 1),
        ("try 2", 2),
        ("failed", 2),
    ]
    assert lines[1].fields["exception"].endswith("OSError: no disk")
    assert "Traceback" in lines[1].fields["exception"]


async def test_whatever_runs_in_the_context_of_an_attempt_speaks_for_it():
    """Its tasks, its threads with a copied context, `to_thread`; and `context.log` from any thread."""
    pipeline = Pipeline("sales")

    def run(target):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

    @pipeline.asset
    async def report(context: Context) -> int:
        await asyncio.create_task(speak("a task"))
        await asyncio.to_thread(shop.info, "to_thread")
        await asyncio.to_thread(run, lambda: shop.info("a stranger"))
        copied = contextvars.copy_context()
        await asyncio.to_thread(run, lambda: copied.run(print, "a thread"))
        await asyncio.to_thread(run, lambda: context.log.info("context.log"))
        return 1

    async def speak(text):
        shop.info(text)

    lines = await ran(pipeline)
    assert [line.message for line in lines] == ["a task", "to_thread", "a thread", "context.log"]


async def test_two_steps_that_run_at_the_same_time_do_not_mix():
    """On the loop and in threads, and two runtimes in one process."""
    pipelines = []
    for number in range(2):
        pipelines.append(pipeline := Pipeline(f"p{number}"))
        both = threading.Barrier(2)

        def left(both=both, number=number) -> int:
            for turn in range(20):
                both.wait(5)
                print(f"left {number} {turn}")
            return 1

        def right(both=both, number=number) -> int:
            for turn in range(20):
                both.wait(5)
                shop.info("right %d %d", number, turn)
            return 1

        def report(left: int, right: int) -> int:
            return left + right

        for function in (left, right):
            pipeline.asset(run_in="thread", name=function.__name__)(_without_arguments(function))
        pipeline.asset(report)

    found = await asyncio.gather(*map(ran, pipelines))
    for number, lines in enumerate(found):
        for asset in ("left", "right"):
            mine = [line.message for line in lines if line.asset == asset]
            assert mine == [f"{asset} {number} {turn}" for turn in range(20)]


def _without_arguments(function):
    def call() -> int:
        return function()

    return call


async def test_lines_of_items_are_lines_of_their_step():
    """Each says which item it is about."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    def files() -> list[str]:
        return ["a", "b"]

    @pipeline.asset(each=Each("files", max_parallel=1))
    def report(files: str, context: Context) -> str:
        print("read", files, end="")
        context.log.info("done")
        return files

    lines = await ran(pipeline)
    assert [(line.message, line.fields["item"]) for line in lines if line.message == "done"] == [
        ("done", 0),
        ("done", 1),
    ]
    assert [(line.message, line.fields["item"]) for line in lines if line.message != "done"] == [
        ("read a", 0),
        ("read b", 1),
    ]
    assert {(line.asset, line.attempt) for line in lines} == {("report", 1)}


async def test_what_nobody_emits_is_not_kept_but_for_what_is_said_to_the_context(caplog):
    """Levels of loggers decide; `context.log` is kept from "info" on whatever they are, or from `log_level` on."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    def report(context: Context) -> int:
        shop.setLevel(logging.DEBUG)
        shop.debug("emitted, and too low")
        shop.setLevel(logging.ERROR)
        shop.warning("not emitted")
        context.log.debug("too low")
        context.log.info("told")
        return 1

    logging.getLogger("flowstone.asset.report").setLevel(logging.CRITICAL)
    try:
        assert [line.message for line in await ran(pipeline)] == ["told"]
        lines = await ran(pipeline, log_level="debug")
    finally:
        logging.getLogger("flowstone.asset.report").setLevel(logging.NOTSET)
    assert [line.message for line in lines] == ["emitted, and too low", "too low", "told"]
    assert not [record for record in caplog.records if record.name.startswith("flowstone.asset")]


async def test_what_cannot_be_read_is_said_to_be_so():
    """Nothing that is logged or printed can fail a step."""
    pipeline = Pipeline("sales")

    class Odd:
        def __str__(self):
            raise RuntimeError("no")

        __repr__ = __str__

    @pipeline.asset
    def report(context: Context) -> int:
        shop.info("%s", Odd())
        shop.info("%d %d", 1)
        shop.info("odd", extra={"odd": Odd()})
        context.log.info("said", odd=Odd(), deep={"odd": Odd()}, many=[float("nan")])
        print("half \ud800")
        return 1

    logging.raiseExceptions = False
    try:
        lines = await ran(pipeline)
    finally:
        logging.raiseExceptions = True
    assert [line.message for line in lines][:4] == [
        "<its message cannot be read: RuntimeError>",
        "<its message cannot be read: TypeError>",
        "odd",
        "said",
    ]
    assert "RuntimeError" in lines[3].fields["odd"]


async def test_secrets_are_not_kept():
    """In messages, in fields, by name or by shape, and in tracebacks."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    def report(context: Context) -> int:
        print("at postgresql://me:s3cret@host/db")
        context.log.info("in", password="s3cret", deep={"api_key": "s3cret", "url": "x?token=s3cret&a=1"})
        shop.info("password=%s", "s3cret")
        return 1

    lines = await ran(pipeline)
    assert len(lines) == 3
    assert "s3cret" not in repr(lines)
    assert "***" in lines[0].message


async def test_what_code_outside_of_attempts_says_is_nobodys(capsys, monkeypatch):
    """And when the runtime is left, everything is as it was."""
    left = getattr(logging.Logger.callHandlers, "capture", None)
    if left is not None:  # Another test let a runtime die without leaving it.
        monkeypatch.setattr(logging.Logger, "callHandlers", left._before)
    pipeline = Pipeline("sales")

    @pipeline.asset
    def report() -> int:
        return 1

    before = sys.stdout, sys.stderr, logging.Logger.callHandlers
    async with Runtime(pipeline) as runtime:
        async with Runtime(pipeline):
            print("outside")
        shop.warning("outside")
        result = await runtime.materialize("report")
        print("after")
        (run,) = await runtime.runs()
        assert result.run_id == run.id
        assert await lines_of(runtime, run.id) == []
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, logging.Logger.callHandlers) == before
    assert capsys.readouterr().out == "outside\nafter\n"


async def test_logs_are_asked_for_by_step_and_from_a_number_on():
    """The whole, an asset, a partition, and what comes after a line; an unknown run is said to be so."""
    from flowstone import StaticPartitions

    pipeline = Pipeline("sales")

    @pipeline.asset(partitions=StaticPartitions(["a", "b"]))
    def report(context: Context) -> int:
        print(context.partition)
        return 1

    @pipeline.asset
    def total(report: dict[str, int]) -> int:
        print("total")
        return 2

    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all("total")
        run = result.run_id
        lines = await lines_of(runtime, run)
        assert sorted(line.message for line in lines) == ["a", "b", "total"]
        assert [line.message for line in await lines_of(runtime, run, "report", "b")] == ["b"]
        assert [line.message for line in await lines_of(runtime, run, total)] == ["total"]
        rest = [line async for line in await runtime.logs(run, after=lines[0].number)]
        assert rest == lines[1:]
        assert [line async for line in runtime.logs(run, limit=2)] == lines[:2]
        with pytest.raises(RunNotFound):
            await runtime.logs("nobody")
        with pytest.raises(RunNotFound):
            await anext(runtime.logs("nobody"))
        with pytest.raises(ValueError, match="Give asset="):
            runtime.logs(run, partition="a")
        with pytest.raises(ValueError, match="limit"):
            runtime.logs(run, limit=-1)
        with pytest.raises(AssetNotFound):
            await runtime.logs(run, len)


async def test_who_follows_is_told_while_the_run_goes_on():
    """Lines come before the step ends, and the iteration ends with the run."""
    pipeline = Pipeline("sales")
    goes_on = asyncio.Event()

    @pipeline.asset
    async def report() -> int:
        print("begun")
        await goes_on.wait()
        print("done", end="")
        return 1

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("report")
        found = []
        async for line in runtime.logs(run.id, follow=True):
            found.append(line.message)
            goes_on.set()
        assert found == ["begun", "done"]


async def test_logs_outlive_the_runtime(tmp_path):
    """They are in the store when the runtime has been left, however soon."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    def report() -> int:
        print("kept")
        return 1

    store = f"file://{tmp_path}/runs"
    for place in (store, MemoryStore()):
        options = {} if place is not store else {"io": {"default": FileIO(tmp_path / "values")}}
        async with Runtime(pipeline, store=place, **options) as runtime:
            result = await runtime.materialize_all("report")
        async with Runtime(pipeline, store=place, **options) as runtime:
            assert [line.message async for line in runtime.logs(result.run_id)] == ["kept"]


async def test_the_newest_lines_are_read_first():
    """However long the log is; who follows gets what comes after them."""
    pipeline = Pipeline("sales")
    goes_on = asyncio.Event()
    said = asyncio.Event()

    @pipeline.asset
    async def report(context: Context) -> int:
        for number in range(50):
            context.log.info("line %d", number)
        said.set()
        await goes_on.wait()
        context.log.info("the end")
        return 1

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("report")
        await said.wait()
        async with asyncio.timeout(30):
            while not [line async for line in runtime.logs(run.id, tail=1)]:
                await asyncio.sleep(0)
        newest = [line.message async for line in runtime.logs(run.id, "report", tail=3)]
        assert newest == ["line 47", "line 48", "line 49"]
        lines = runtime.logs(run.id, tail=2, follow=True)
        followed = [await anext(lines), await anext(lines)]
        goes_on.set()
        followed += [line async for line in lines]
        assert [line.message for line in followed] == ["line 48", "line 49", "the end"]
        assert not any(line.held for line in followed)
        with pytest.raises(ArgumentError):
            runtime.logs(run.id, after=7, tail=2)


async def test_what_a_chatty_attempt_says_is_seen_before_it_ends(monkeypatch):
    """Lines that are held for its end are the newest ones; nobody reads a secret in them, either."""
    monkeypatch.setattr(attempt_logs, "_HEAD", 1_000)
    pipeline = Pipeline("sales")
    goes_on = asyncio.Event()

    @pipeline.asset
    async def report(context: Context) -> int:
        for number in range(100):
            context.log.info("line %d password=hunter2", number)
        await goes_on.wait()
        return 1

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("report")
        async with asyncio.timeout(30):
            while not (lines := [line async for line in runtime.logs(run.id, tail=3)])[-1:]:
                await asyncio.sleep(0)
            while lines[-1].message != "line 99 password=***":
                await asyncio.sleep(0)
                lines = [line async for line in runtime.logs(run.id, tail=3)]
        assert [(line.message[:7], line.held) for line in lines] == [
            ("line 97", True),
            ("line 98", True),
            ("line 99", True),
        ]
        assert [line async for line in runtime.logs(run.id, "report", after=lines[-1].number)] == []
        following = runtime.logs(run.id, tail=3, follow=True)
        followed = [await anext(following)]
        goes_on.set()
        followed += [line async for line in following]
        assert not any(line.held for line in followed)  # It gets them once they are kept.
        numbers = [line.number for line in followed]
        assert numbers == sorted(set(numbers))
        assert followed[-1].message == "line 99 password=***"
        await run.wait()
        kept = [line async for line in runtime.logs(run.id, after=lines[-1].number, follow=True)]
        assert (kept[-1].message, kept[-1].held) == ("line 99 password=***", False)
        assert [line.held async for line in runtime.logs(run.id, tail=1)] == [False]


def talkative() -> Pipeline:
    """Three thousand lines, of which few are loud."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def report(context: Context) -> int:
        for number in range(3_000):
            if number % 1_000 == 7:
                try:
                    raise ZeroDivisionError(f"day {number}")
                except ZeroDivisionError:
                    shop.exception("caught")
            else:
                context.log.info("read", customer=f"Cö{number}")
        shop.warning("slow")
        return 1

    return pipeline


@pytest.fixture(params=["memory", "file", "postgres"])
def url(request, tmp_path):
    """Of each kind of store."""
    if request.param == "postgres":
        return request.getfixturevalue("database")
    return {"memory": "memory://", "file": f"file://{tmp_path}"}[request.param]


async def test_lines_are_looked_for_in_all_that_is_kept(url):
    """By their level, and by a text in message, fields, logger, traceback or step; page by page as well."""
    async with Runtime(talkative(), store=url) as runtime:
        run_id = (await runtime.materialize("report")).run_id
        assert len(await lines_of(runtime, run_id)) == 3_001

        async def found(**options):
            return [line.message async for line in runtime.logs(run_id, **options)]

        assert await found(level="error") == ["caught"] * 3
        assert await found(level="warning") == ["caught"] * 3 + ["slow"]
        assert await found(contains="CÖ2999") == ["read"]
        assert await found(contains="day 1007", level="error") == ["caught"]
        assert len(await found(contains="logger=shop")) == 4
        assert len(await found(contains="report")) == 3_001
        assert await found(contains="nothing like it") == []
        assert await found(level="warning", tail=2) == ["caught", "slow"]
        assert await lines_of(runtime, run_id, level="error") == [
            line async for line in runtime.logs(run_id, level="error")
        ]
        first = [line async for line in runtime.logs(run_id, level="warning", limit=3)]
        assert await found(level="warning", after=first[-1].number) == ["slow"]
        with pytest.raises(ArgumentError, match="no level"):
            runtime.logs(run_id, level="loud")
        with pytest.raises(ArgumentError, match="no text"):
            runtime.logs(run_id, contains=7)
