"""A mistyped asset or partition: each command that looks for one names the nearest that there is."""

from __future__ import annotations

import pytest

REGIONS = """
from flowstone import DailyPartitions, MultiPartitions, Pipeline, StaticPartitions

pipeline = Pipeline("shop")
regions = StaticPartitions(["europe", "america"])


@pipeline.asset(partitions=regions)
async def sales() -> int:
    return 1


@pipeline.asset
async def total(sales: dict[str, int]) -> int:
    return sum(sales.values())


@pipeline.asset(partitions=MultiPartitions(region=regions, day=DailyPartitions("2025-01-01", "2025-01-02")))
async def visits() -> int:
    return 1
"""


@pytest.fixture
def remembered(shop, cli):
    """A store that knows `total` and both regions of `sales`."""
    (shop / "regions.py").write_text(REGIONS)
    assert cli("materialize", "regions.py", "total", "--upstream").status == 0


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["status", "totl"], "total"),
        (["status", "sale"], "sales"),
        (["status", "sales", "--partition", "eurpe"], "europe"),
        (["status", "sales", "--partition", "eurpe", "--pipeline", "regions.py"], "europe"),
        (["status", "totl", "--pipeline", "regions.py"], "total"),
        (["lineage", "totl"], "total"),
        (["lineage", "sale"], "sales"),
        (["lineage", "sales", "--partition", "eurpe"], "europe"),
        (["materialize", "regions.py", "sales", "--partition", "eurpe"], "europe"),
        (["materialize", "regions.py", "visits", "--partition", "eurpe|2025-01-01"], "europe"),
        (["backfill", "regions.py", "sales", "--partition", "eurpe"], "europe"),
        (["plan", "regions.py", "totl"], "total"),
    ],
)
def test_the_nearest_is_suggested(remembered, cli, arguments, meant):
    """In the note or the error, whether the pipeline knows the names or only the store does."""
    assert f"Did you mean {meant!r}?" in " ".join(cli(*arguments).stderr.split())


@pytest.mark.parametrize(
    "arguments", [["status", "zzzz"], ["status", "sales", "--partition", "zzzz"], ["lineage", "zzzz"]]
)
def test_a_stranger_gets_no_suggestion(remembered, cli, arguments):
    """Where nothing is near, the remedy is the general one."""
    told = " ".join(cli(*arguments).stderr.split())
    assert "Did you mean" not in told
    assert "name another store with --store" in told
