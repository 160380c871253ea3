"""Commands about several assets at once, trying a run again, and a pipeline before the asset."""

from __future__ import annotations

import asyncio
import re

import pytest

from flowstone import Runtime
from flowstone.cli.loading import load

FLAKY = """
import os
from flowstone import Config, DailyPartitions, Pipeline

pipeline = Pipeline("flaky")
days = DailyPartitions("2025-01-01", "2025-01-03")


class Limits(Config):
    threshold: int = 3
    label: str = ""


@pipeline.asset(partitions=days, tags={"team": "core"})
async def raw() -> int:
    return 1


@pipeline.asset(partitions=days)
async def clean(raw: int) -> int:
    if "BROKEN" in os.environ:
        raise ValueError("out of order")
    return raw


@pipeline.asset
async def report(clean: object, limits: Limits) -> str:
    return f"{limits.threshold}{limits.label}"


@pipeline.asset
async def notes(limits: Limits) -> int:
    return limits.threshold
"""


@pytest.fixture
def flaky(shop):
    (shop / "flaky.py").write_text(FLAKY)
    return shop


def assets_of(document):
    return sorted({step["asset"] for step in document["steps"]})


def last_run(cli):
    return cli("runs", "--json").document["runs"][0]


def test_commands_take_selections(flaky, cli):
    """One run of all that is meant, and nothing else; its title says so."""
    planned = cli("plan", "flaky.py", "raw+", "--json").document
    assert (planned["to_run"], assets_of(planned)) == (7, ["clean", "raw", "report"])
    done = cli("backfill", "flaky.py", "raw+", "--json")
    assert done.status == 0
    assert assets_of(done.document) == ["clean", "raw", "report"]
    run = last_run(cli)
    assert (run["asset"], run["assets"]) == ("clean", ["raw", "clean", "report"])
    shown = cli("run", run["id"]).stdout
    assert (
        "what      backfill raw, clean and report, 2025-01-01 to 2025-01-03 of the pipeline 'flaky'" in shown
    )
    one = cli("materialize", "flaky.py", "* -report", "--partition", "2025-01-02", "--json")
    assert assets_of(one.document) == ["clean", "notes", "raw"]
    assert "materialize raw, clean and notes, 2025-01-02: 3 succeeded" in cli("runs").stdout
    assert len(cli("runs", "--asset", "notes", "--json").document["runs"]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["materialize", "flaky.py", "rw+"], "There is no asset 'rw'. Did you mean 'raw'?"),
        (["materialize", "flaky.py", "raw,clean"], "Asset 'clean' is partitioned by"),
        (["materialize", "flaky.py", "raw,clean", "--partition", "2024-12-31"], "2025-01-01 to 2025-01-03"),
        (["backfill", "flaky.py", "raw,clean", "--start", "2024-12-31"], "2025-01-01 to 2025-01-03"),
        (["backfill", "flaky.py", "report,notes"], "has no partition set"),
        (["plan", "flaky.py", "raw -raw"], "No asset is in this selection"),
        (["materialize", "flaky.py", "report,notes", "--config", "threshold=5"], "whose fields these are"),
        (
            ["materialize", "flaky.py", "notes,report", "--config", "report.treshold=5"],
            "Did you mean 'threshold'",
        ),
        (["retry", "flaky.py", "abc"], "knows no run 'abc'"),
        (["retry", "flaky.py"], "Name the pipeline: `flowstone retry MODULE:PIPELINE"),
        (["why", "flaky.py"], "name the asset after it, as in `flowstone why flaky.py ASSET`"),
        (["why", "flaky.py", "clan", "--partition", "2025-01-01"], "Did you mean 'clean'?"),
        (
            ["why", "flaky.py", "clean", "--pipeline", "flaky.py"],
            "The pipeline is named twice. Leave out",
        ),
        (["why", "flaky.py", "clean", "raw"], "is one word too many: why takes [MODULE:PIPELINE] ASSET"),
    ],
)
def test_wrong_selections_and_words_are_status_2(flaky, cli, arguments, words):
    """One sentence that says what is right; nothing is computed."""
    result = cli(*arguments)
    assert (result.status, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.split())


def test_config_of_several_is_given_by_asset(flaky, cli):
    """A text stays one where the field takes text."""
    cli("backfill", "flaky.py", "raw+")
    given = ["--config", "report.threshold=5", "--config", "report.label=7", "--config", "notes.threshold=1"]
    done = cli("materialize", "flaky.py", "report,notes", *given, "--json")
    configs = {step["asset"]: step["config"] for step in done.document["steps"]}
    assert configs == {"report": {"threshold": 5, "label": "7"}, "notes": {"threshold": 1, "label": ""}}


def test_a_run_is_retried_by_its_id(flaky, cli, monkeypatch):
    """Or how that begins: what failed and what it held up is computed, the rest reused."""
    monkeypatch.setenv("BROKEN", "yes")
    assert cli("backfill", "flaky.py", "raw+").status == 1
    run = last_run(cli)["id"]
    assert cli("retry", "flaky.py", run[:20]).status == 1
    monkeypatch.delenv("BROKEN")
    done = cli("retry", "flaky.py", run)
    assert done.status == 0
    assert "7 steps" in done.stdout
    assert "(4 succeeded, 3 reused)" in done.stdout
    again = last_run(cli)
    assert (again["retry_of"], again["assets"]) == (run, ["raw", "clean", "report"])
    nothing = cli("retry", "flaky.py", again["id"])
    assert nothing.status == 2
    assert "has failed or been skipped, so there is nothing to retry" in " ".join(nothing.stderr.split())
    other = cli("retry", "shop.py", run)
    assert other.status == 2
    assert "is of the pipeline 'flaky', and" in other.stderr


def test_why_takes_the_pipeline_before_the_asset(flaky, cli):
    """As `plan` does; what is stale is known then, and names are checked."""
    cli("backfill", "flaky.py", "raw+")
    told = cli("why", "flaky.py", "clean", "--partition", "2025-01-02")
    assert told.status == 0
    assert told.stdout.startswith("clean[2025-01-02]: current, computed at")
    assert "because a backfill of raw, clean and report has it" in told.stdout
    assert told.stderr == ""
    alone = cli("why", "clean", "--partition", "2025-01-02")
    assert alone.stdout == told.stdout
    assert "flowstone why MODULE:PIPELINE ASSET" in alone.stderr


@pytest.mark.parametrize("named", [True, False], ids=["with its pipeline", "by its id alone"])
def test_a_run_of_a_database_is_left_to_its_nodes(flaky, cli, database, monkeypatch, named):
    """Whoever retries it needs no definitions: whichever node takes it has them."""
    at = ("--store", database)
    monkeypatch.setenv("BROKEN", "yes")
    assert cli("backfill", "flaky.py", "raw+", *at).status == 1
    (failed,) = cli("runs", *at, "--json").document["runs"]
    words = ("flaky.py", failed["id"], "--submit") if named else (failed["id"][:20],)
    left = cli("retry", *words, *at)
    assert left.status == 0
    assert re.fullmatch(r"run \w+ is submitted\n", left.stdout)
    assert "It waits for a node, and none is alive" in left.stderr
    new = cli("runs", *at, "--json").document["runs"][0]
    assert (new["status"], new["retry_of"], new["assets"]) == ("queued", failed["id"], failed["assets"])
    monkeypatch.delenv("BROKEN")
    counts = asyncio.run(finished_by_a_node(database, new["id"]))
    assert counts == {"succeeded": 4, "reused": 3}


async def finished_by_a_node(database, run_id):
    """What comes of a run when a node takes it."""
    pipeline = load("flaky.py").pipeline
    async with Runtime(pipeline, store=database) as runtime:
        run = await runtime.run(run_id)
        await run.wait()
        return dict((await run.record()).counts)


@pytest.mark.parametrize("selection", ["tag:team", "tag:team=core"])
def test_a_tag_is_no_pipeline(cli, flaky, selection):
    """Though it is written as one: with and without what it is worth."""
    assert assets_of(cli("plan", "flaky.py", selection, "--json").document) == ["raw"]


@pytest.mark.parametrize("selection", ["tag:nope", "tag:team=none"])
def test_a_tag_that_no_asset_has_is_said(cli, flaky, selection):
    """As what it is."""
    told = cli("plan", "flaky.py", selection)
    assert (told.status, "No asset has the tag" in told.stderr) == (2, True)
