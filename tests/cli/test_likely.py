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


ITEMS = """
from flowstone import DailyPartitions, Each, Pipeline

pipeline = Pipeline("files")


@pipeline.asset
async def files() -> list[str]:
    return ["a", "b"]


@pipeline.asset(each=Each("files"), partitions=DailyPartitions("2025-01-01", "2025-01-02"))
async def sizes(files: str) -> int:
    return len(files)
"""


def test_what_went_through_items_is_suggested(shop, cli):
    """An asset of the run, and a partition of it; one that is right gets no suggestion."""
    (shop / "files.py").write_text(ITEMS)
    assert cli("materialize", "files.py", "sizes", "--upstream", "--partition", "2025-01-01").status == 0
    run = cli("runs", "--json").document["runs"][0]["id"]

    def told(*arguments):
        return " ".join(cli("items", run, *arguments).stderr.split())

    assert cli("items", run, "sizes", "--partition", "2025-01-01").stdout.count("succeeded") == 2
    assert "no such items of size. Did you mean 'sizes'?" in told("size")
    assert "of sizes[2025-01-02]. Did you mean '2025-01-01'?" in told("sizes", "--partition", "2025-01-02")
    assert "Did you mean" not in told("sizes", "--partition", "2025-01-01", "--status", "failed")


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["status", "{}"], "name the asset, and its pipeline by --pipeline {}."),
        (["status", "{}", "--failed"], "name the asset, and its pipeline by --pipeline {}."),
        (["lineage", "{}"], "name the asset, and its pipeline by --pipeline {}."),
        (["materialize", "total", "{}"], "the pipeline comes first, and then the asset."),
        (["backfill", "sales", "{}"], "the pipeline comes first, and then the asset."),
        (["plan", "total", "{}"], "the pipeline comes first, and then the asset."),
        (["items", "1a", "{}"], "name one of its assets; the pipeline is not needed."),
        (["runs", "--asset", "{}"], "name one of its assets; the pipeline is not needed."),
        (["approvals", "--asset", "{}"], "name one of its assets; the pipeline is not needed."),
    ],
)
@pytest.mark.parametrize(
    "given", ["regions.py", "regions.py:pipeline", "app.regions:pipeline", "etl/misspelt.py"]
)
def test_a_pipeline_in_the_place_of_an_asset_is_recognised(shop, cli, arguments, remedy, given):
    """Nothing is said about an asset of that name: the line says how the pipeline is given."""
    (shop / "regions.py").write_text(REGIONS)
    said = cli(*(each.format(given) for each in arguments))
    told = " ".join(said.stderr.split())
    assert (said.status, said.stdout) == (2, "")
    assert f"{given!r} is a pipeline, not an asset: {remedy.format(given)}" in told


@pytest.mark.parametrize("command", [["status"], ["lineage"], ["materialize", "regions.py"], ["items", "1a"]])
def test_a_step_as_it_is_shown_is_recognised(shop, cli, command):
    """`sales[north west]` is copied from a table; the line says what to write."""
    (shop / "regions.py").write_text(REGIONS)
    said = cli(*command, "sales[north west]")
    assert said.status == 2
    told = " ".join(said.stderr.split())
    assert "is a partition: write sales --partition 'north west'." in told


OPENED = """
import contextlib, pathlib
from typing import Annotated
from flowstone import DailyPartitions, DynamicPartitions, Pipeline, Resource

pipeline = Pipeline("opened")


@contextlib.contextmanager
def database():
    pathlib.Path("opened").touch()
    yield 1


resources = {"database": database}


@pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-03"))
async def raw(database: Annotated[object, Resource]) -> int:
    return 1


@pipeline.asset
async def total() -> int:
    return 1


@pipeline.asset(partitions=DynamicPartitions("customers"))
async def customer() -> int:
    return 1
"""


@pytest.mark.parametrize("command", ["materialize", "backfill", "plan"])
@pytest.mark.parametrize(
    "arguments",
    [["rw"], ["raw", "--partition", "2025-01-09"]],
    ids=["asset", "partition"],
)
def test_names_are_checked_before_anything_is_opened(shop, cli, command, arguments):
    """Neither the store nor a resource is opened for what the pipeline alone can refuse."""
    (shop / "names.py").write_text(OPENED)
    assert cli(command, "names.py", *arguments).status == 2
    assert not (shop / "opened").exists()
    assert not (shop / ".flowstone").exists()


@pytest.mark.parametrize("command", ["backfill", "plan"])
@pytest.mark.parametrize("span", [["--start", "2024-01-01"], ["--end", "2026-01-01"]])
def test_the_ends_of_a_range_are_checked_before_anything_is_opened(shop, cli, command, span):
    """As the names of single partitions are."""
    (shop / "names.py").write_text(OPENED)
    assert cli(command, "names.py", "raw", *span).status == 2
    assert not (shop / "opened").exists()
    assert not (shop / ".flowstone").exists()


@pytest.mark.parametrize("command", ["status", "lineage"])
def test_a_pipeline_is_asked_before_its_store(shop, cli, command):
    """With --pipeline a store that cannot be opened does not hide that the name is wrong."""
    (shop / "names.py").write_text(OPENED)
    (shop / "afile").write_text("")
    result = cli(command, "rw", "--pipeline", "names.py", "--store", "file://afile")
    assert result.status == 2
    assert "Did you mean 'raw'?" in " ".join(result.stderr.split())


def test_a_key_of_a_dynamic_set_is_left_to_the_store(shop, cli):
    """The pipeline cannot tell which there are."""
    (shop / "names.py").write_text(OPENED)
    result = cli("materialize", "names.py", "customer", "--partition", "ada")
    assert "partitions add" in result.stderr
    assert (shop / ".flowstone").exists()
    told = cli("status", "customer", "--partition", "ada", "--pipeline", "names.py")
    assert (told.status, "never" in told.stdout) == (0, True)
