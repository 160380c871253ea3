"""The public API as a user writes it: what this asserts is what an editor shows. Read by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal, assert_type

from flowstone import (
    Approval,
    Asset,
    Config,
    Context,
    DailyPartitions,
    Event,
    Failure,
    FileIO,
    IOManager,
    LastPartitions,
    Materialization,
    MaterializationFailed,
    MemoryIO,
    MonthlyPartitions,
    MultiPartitions,
    Output,
    Pipeline,
    PostgresIO,
    QueuedStep,
    Resource,
    ResourceProvider,
    Retry,
    Rollup,
    Run,
    RunFailed,
    RunningStep,
    RunRecord,
    RunResult,
    Runtime,
    Settings,
    StaticPartitions,
    Status,
    Stored,
    Target,
    WaitingStep,
    WebhookAlert,
    decode_partition,
    encode_partition,
    materialize,
)
from flowstone.runs.automation_events import AssetOverdue

DAYS = DailyPartitions("2025-01-01")
pipeline = Pipeline("typing")


@dataclass
class Database:
    """What a resource provides."""

    dsn: str


class Databases(ResourceProvider[Database]):
    """A provider with all three methods."""

    async def setup(self) -> Database:
        return Database("memory")

    async def teardown(self, resource: Database) -> None:
        assert_type(resource.dsn, str)

    async def health(self, resource: Database) -> None:
        assert_type(resource, Database)


class Named(ResourceProvider[Database]):
    """A provider whose parameters have names of their own."""

    async def teardown(self, database: Database) -> None:
        assert_type(database.dsn, str)

    async def health(self, db: Database) -> None:
        assert_type(db, Database)


@asynccontextmanager
async def cache() -> AsyncIterator[dict[str, int]]:
    """A resource as a context manager."""
    yield {}


class Nowhere:
    """An IO manager is any class with these four methods."""

    async def store(self, target: Target, value: object) -> Stored:
        assert_type(target.asset, str)
        return Stored(location=f"{target.run_id}/{target.attempt}", size=0)

    async def load(self, location: str) -> object:
        return location

    async def delete(self, location: str) -> None: ...

    async def exists(self, location: str) -> bool:
        return bool(location)


@pipeline.asset
async def raw(context: Context) -> list[int]:
    assert_type(context.asset, str)
    assert_type(context.partition_key, str | None)
    assert_type(context.run_id, str)
    assert_type(context.attempt, int)
    context.progress(0.5, "half")
    context.metadata["rows"] = 3
    return [1, 2, 3]


@pipeline.asset(
    partitions=DAYS,
    mappings={"raw": LastPartitions(7)},
    io="files",
    retry=Retry(attempts=3, delay=1.0, backoff=2.0, max_delay=60.0, jitter=0.1, on=(OSError,)),
    timeout=30.0,
    run_in="thread",
    version="2",
    tags={"team": "core"},
    description="A day's total.",
)
def total(raw: dict[date, list[int]], db: Annotated[Database, Resource]) -> Output[int]:
    assert_type(db.dsn, str)
    return Output(sum(map(sum, raw.values())), metadata={"dsn": db.dsn}, data_version="1")


@pipeline.asset(partitions=MonthlyPartitions("2025-01-01"), mappings={"total": Rollup()}, deps=["raw"])
def monthly(total: Mapping[date, int], db: Annotated[Database, Resource("db")]) -> int:
    return sum(total.values())


@pipeline.asset
async def noted() -> Output[str]:
    return Output("said", metadata={"words": 1})


@pipeline.asset
async def optional() -> int | None:
    return None


@pipeline.asset
def untyped() -> Any:
    return 1


config = pipeline.value("config", {"depth": 3})
regions = MultiPartitions(region=StaticPartitions(["eu", "us"]), day=DAYS)


async def definitions() -> None:
    """A decorated function is an `Asset` that is still callable as the function."""
    assert_type(raw.name, str)
    asset: Asset[Any, Any] = raw
    assert_type(total({}, Database("")), Output[int])
    assert_type(pipeline.graph.order(), list[str])
    assert_type(pipeline.graph.to_mermaid(), str)
    pipeline.include(Pipeline("other"))
    assert_type(len(regions), int)
    assert_type(encode_partition(("eu", date(2025, 1, 1))), str)
    decode_partition("d:2025-01-01")
    _ = (asset,)


async def requests() -> None:
    """What each call of a runtime returns."""
    ios: dict[str, IOManager] = {"default": MemoryIO(), "files": FileIO("warehouse"), "nowhere": Nowhere()}
    ios["values"] = PostgresIO("json", limit=1_000_000)
    resources = {"db": Databases(), "cache": cache}
    settings = Settings(shutdown_timeout=5.0)
    async with Runtime(
        pipeline, store="memory://", io=ios, resources=resources, settings=settings
    ) as runtime:
        assert_type(runtime, Runtime)
        record = await runtime.materialize(total, partition=date(2025, 1, 15), timeout=3, tags={"by": "me"})
        assert_type(record, Materialization)
        assert_type(record.status, Status)
        assert_type(record.started_at, datetime | None)
        assert_type(record.duration, float | None)
        assert_type(record.failure, Failure | None)
        assert_type(await runtime.materialize([total, "raw+"]), RunResult)
        by_name = await runtime.materialize("total")  # Or a selection, which no type tells from a name.
        assert_type(by_name.status, Status | Any)

        result = await runtime.materialize_all(
            "monthly", partition="2025-01", refresh="missing", max_parallel=4
        )
        assert_type(result, RunResult)
        assert_type(result.run_id, str)
        assert_type(result.status, Status)
        failed: Sequence[Materialization] = result.failed
        assert_type(len(result), int)
        assert_type(await result.steps("failed", offset=10, limit=5), Sequence[Materialization])
        async for step in result.each(Status.SUCCEEDED):
            assert_type(step, Materialization)

        year = await runtime.backfill(total, start="2025-01-01", end=date(2025, 12, 31), upstream=True)
        assert_type(year, RunResult)
        await runtime.backfill("total", partitions=["2025-01-01"], raise_on_failure=True)

        run = await runtime.submit(total, partition="2025-01-15")
        assert_type(run, Run)
        assert_type(run.id, str)
        assert_type(await run.status(), Status)
        assert_type(await run.wait(timeout=1), RunResult)
        assert_type(await runtime.run(run.id), Run)
        assert_type(await runtime.submit_backfill(total, end="2025-02-01"), Run)
        await run.cancel()

        assert_type(await runtime.exists(raw), bool)
        assert_type(await runtime.status("raw"), Status)
        assert_type(await runtime.invalidate(raw, downstream=True), int)
        history: Sequence[Materialization] = await runtime.history(total, partition=date(2025, 1, 15))
        async with runtime.subscribe("step.succeeded", "step.failed") as events:
            async for event in events:
                assert_type(event.kind, str)
                assert_type(event.at, datetime)
                _ = (event.run_id, event.asset, event.partition_key)
        await runtime.drain(5.0)
        _ = (
            failed,
            history,
            runtime.tree(),
            await runtime.health(),
        )


async def values(runtime: Runtime, result: RunResult) -> None:
    """A value has the type that its asset declares, without `Output` and awaited; by name it may be anything."""
    assert_type(await runtime.load(raw), list[int])
    assert_type(await runtime.load(total, partition=date(2025, 1, 15)), int)
    assert_type(await runtime.load(monthly, partition="2025-01"), int)
    assert_type(await runtime.load(noted), str)
    assert_type(await runtime.load(config), dict[str, int])
    assert_type(await runtime.load(optional), int | None)
    assert_type(await runtime.load(untyped), Any)
    assert_type(await runtime.load("raw"), Any)
    assert_type(await runtime.load(pipeline.assets["raw"]), Any)
    assert_type(await result.value(total, partition=date(2025, 1, 15)), int)
    assert_type(await result.value(raw), list[int])
    assert_type(await result.value("raw"), Any)
    assert_type(await result.value(), Any)


async def inspection(runtime: Runtime) -> None:
    """What there is to see of runs."""
    found: Sequence[RunRecord] = await runtime.runs(
        status=["failed", Status.RUNNING], asset=total, tag="team"
    )
    assert_type(found[0].kind, Literal["materialize", "materialize_all", "backfill"])
    assert_type(found[0].asset, str)
    await runtime.runs("failed", tag={"team": "core"}, limit=10, before=found[-1].id)
    assert_type(runtime.node, str)
    assert_type(runtime.live_runs(), tuple[RunRecord, ...])
    assert_type(runtime.running_steps(), tuple[RunningStep, ...])
    assert_type(runtime.running_steps()[0].fraction, float | None)
    assert_type(runtime.queued_steps(), tuple[QueuedStep, ...])
    assert_type(runtime.queued_steps()[0].names, tuple[str, ...])
    assert_type(await runtime.waits(), Sequence[WaitingStep])
    assert_type(await runtime.approval(""), Approval)
    run = await runtime.submit(raw, upstream=False)
    assert_type(run.submitted, bool)
    assert_type(await run.record(), RunRecord)
    await runtime.reload([pipeline])


class TotalConfig(Config):
    """Settings of an asset."""

    threshold: int = 3
    label: str = ""


@pipeline.asset
async def configured(raw: list[int], config: TotalConfig) -> int:
    """An asset with a config."""
    assert_type(config.threshold, int)
    return len(raw) + config.threshold


async def configs(runtime: Runtime) -> None:
    """A config is passed as fields or as an instance; what is recorded is data."""
    record = await runtime.materialize(configured, config={"threshold": 5})
    assert_type(record.config, Mapping[str, Any] | None)
    await runtime.backfill(configured, config=TotalConfig(threshold=5))
    await runtime.submit(configured, config={"configured": TotalConfig(), "raw": {"size": 3}})
    assert_type((await runtime.runs())[0].config, Mapping[str, Mapping[str, Any]])
    TotalConfig(threshold="5")  # type: ignore[arg-type]  # A field has its type.


@pipeline.on("run.failed", "asset.overdue")
async def alert(event: Event) -> None:
    """A listener stays the function that it is, and an event says what it is by its type."""
    assert_type(event.asset, str)
    if isinstance(event, AssetOverdue):
        assert_type(event.within, float)


pipeline.on("step", asset=raw, timeout=5.0)(lambda event: None)
pipeline.add(WebhookAlert("https://example.com", kinds=("run.failed",), secret="s"))
pipeline.add(3)  # type: ignore[arg-type]  # It does not listen.


async def one_off() -> None:
    """The helper for scripts returns the run's result."""
    assert_type(await materialize(raw), RunResult)


def failures(error: RunFailed | MaterializationFailed) -> None:
    """What an exception carries."""
    if isinstance(error, RunFailed):
        assert_type(error.failures, tuple[Any, ...])
