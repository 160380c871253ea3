"""Definitions as an editor sees them: what the decorator keeps of a function. Read by mypy, never run."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, assert_type

from flowstone import Freshness
from flowstone.assets import (
    AllPartitions,
    Asset,
    AssetGraph,
    Context,
    DailyPartitions,
    Dependency,
    DynamicPartitions,
    HourlyPartitions,
    KeySlice,
    LastPartitions,
    MultiPartitions,
    Output,
    PartitionMapping,
    PartitionSet,
    PartitionView,
    Pipeline,
    Resource,
    Retry,
    Rollup,
    SamePart,
    SourceLine,
    StaticPartitions,
    TimeOffset,
    UpstreamKeys,
    decode_partition,
    encode_partition,
)

pipeline = Pipeline("typing")
DAYS = DailyPartitions("2025-01-01", date(2025, 12, 31), timezone="Europe/Berlin")


class Pool:
    """A resource."""


@pipeline.asset
async def raw(context: Context, limit: int = 3) -> list[int]:
    context.progress(0.5, "half")
    context.metadata["rows"] = limit
    context.log.info("read")
    return [context.attempt, context.resources.limit]


@pipeline.asset(deps=[raw, "config"], partitions=DAYS, mappings={"raw": AllPartitions()}, requires={"db"})
def report(raw: dict[date, list[int]], *, db: Annotated[Pool, Resource("db")]) -> Output[int]:
    _ = db
    return Output(len(raw), metadata={"rows": len(raw)}, data_version="1")


@pipeline.asset()
def bare() -> None: ...


config = pipeline.value("config", {"depth": 3}, description="Settings.")


def the_decorator_keeps_the_signature() -> None:
    """Parameters, defaults and the return type are the function's, for both ways to decorate."""
    _ = assert_type(raw(Context("raw"), 4), Coroutine[Any, Any, list[int]])
    assert_type(report({}, db=Pool()), Output[int])
    assert_type(config(), dict[str, int])
    bare()
    _ = raw("context")  # type: ignore[arg-type] # a str is no Context
    report([])  # type: ignore[call-arg, arg-type] # a list is no dict, and db is missing
    assert_type(
        pipeline.asset(freshness=Freshness(within=timedelta(hours=26)))(bare.function), Asset[[], None]
    )
    pipeline.asset(freshness=60)  # type: ignore[call-overload] # seconds of what
    pipeline.asset(timeot=3)  # type: ignore[call-overload] # no such option
    pipeline.asset(run_in="fork")  # type: ignore[call-overload] # no such place


def an_asset_tells_what_it_is() -> None:
    """The fields a runtime reads."""
    assert_type(report.name, str)
    assert_type(report.dependencies, tuple[Dependency, ...])
    assert_type(report.requires, frozenset[str])
    assert_type(report.retry, Retry | None)
    assert_type(report.source, SourceLine)
    assert_type(report.partitions, PartitionSet[Any] | None)
    anything: Asset[..., Any] = report
    _ = anything


def sets_have_typed_keys() -> None:
    """Days are dates, hours are datetimes, dimensions are tuples."""
    assert_type(DAYS[0], date)
    assert_type(DAYS.latest(3), KeySlice[date])
    assert_type(DAYS.between("2025-01-01", date(2025, 1, 3)), Sequence[date])
    assert_type(DAYS.parse("2025-01-01"), date)
    assert_type(HourlyPartitions("2025-01-01").keys()[0], datetime)
    assert_type(list(DAYS), list[date])
    grid = MultiPartitions(region=StaticPartitions(["eu"]), day=DAYS, who=DynamicPartitions("customers"))
    assert_type(grid[0], tuple[Any, ...])
    assert_type(date(2025, 1, 1) in DAYS, bool)
    assert_type(encode_partition(("eu", date(2025, 1, 1))), str)
    assert_type(decode_partition("eu"), Any)


def mappings_are_mappings() -> None:
    """Every mapping fits where one is wanted."""
    mappings: list[PartitionMapping] = [LastPartitions(3), TimeOffset(days=-1), Rollup(), SamePart("day")]
    _ = mappings


def graphs_answer() -> None:
    """What the planner asks."""
    graph = AssetGraph.of([pipeline])
    assert_type(graph.order(), list[str])
    assert_type(graph.upstream("report"), list[str])
    assert_type(graph["raw"], Asset[..., Any])
    view = PartitionView(graph, datetime.now(UTC), {"customers": ["acme"]})
    assert_type(view.upstream_keys("report", "raw", date(2025, 1, 1)), UpstreamKeys)
    assert_type(view.keys("report"), Sequence[Any])
