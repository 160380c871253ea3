"""`--config`: from a file and field by field, on every command that starts a run, and shown afterwards."""

from __future__ import annotations

import json

import pytest

PIPELINE = """
from flowstone import Config, DailyPartitions, Pipeline

pipeline = Pipeline("sales")


class RawConfig(Config):
    size: int = 3


class Limits(Config):
    low: int = 0
    high: int = 9


class ReportConfig(Config):
    threshold: int = 1
    label: str = "none"
    day: str | None = None
    limits: Limits = Limits()
    names: list[str] = []
    url: str = ""


@pipeline.asset
def raw(config: RawConfig) -> int:
    return config.size


@pipeline.asset
def report(raw: int, config: ReportConfig) -> dict:
    return {"raw": raw, **config.model_dump()}


@pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-03"))
def daily(config: ReportConfig) -> int:
    return config.threshold
"""


@pytest.fixture
def sales(tmp_path, monkeypatch):
    """A folder with a pipeline whose assets take a config."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWSTONE_STORE", "file://.flowstone")
    (tmp_path / "sales.py").write_text(PIPELINE)
    return tmp_path


def test_fields_and_files_are_put_together(sales, cli):
    """The last one wins; objects are merged; a text field gets the text that was typed."""
    (sales / "base.json").write_text(
        json.dumps({"raw": {"size": 7}, "report": {"threshold": 2, "names": ["a"]}})
    )
    result = cli(
        "materialize", "sales.py", "report", "--upstream", "--json",
        "--config", "base.json",
        "--config", "report.threshold=5",
        "--config", "report.label=5",
        "--config", "report.limits.high=3",
        "--config", "report.day=null",
    )  # fmt: skip
    assert result.status == 0, result.stderr
    steps = {step["asset"]: step["config"] for step in result.document["steps"]}
    assert steps["raw"] == {"size": 7}
    assert steps["report"] == {
        "threshold": 5,
        "label": "5",
        "day": None,
        "limits": {"low": 0, "high": 3},
        "names": ["a"],
        "url": "",
    }


def test_a_run_shows_its_config(sales, cli):
    """In words and as data, without what looks like a password."""
    url = "url=postgresql://me:hush@host/db"
    result = cli(
        "materialize", "sales.py", "report", "--upstream", "--config", "threshold=5", "--config", url
    )
    assert result.status == 0, result.stderr
    (head,) = cli("runs", "--json").document["runs"]
    assert head["config"] == {"report": {"threshold": 5, "url": "postgresql://me:***@host/db"}}
    shown = cli("run", head["id"]).stdout
    assert 'config    report: threshold=5, url="postgresql://me:***@host/db"' in shown
    assert "hush" not in cli("run", head["id"], "--json").stdout


def test_backfill_and_plan_take_a_config(sales, cli):
    """A plan says which values were computed with another one."""
    assert cli("backfill", "sales.py", "daily", "--config", "threshold=4").status == 0
    plan = cli("plan", "sales.py", "daily", "--config", "threshold=5", "--json").document
    assert plan["to_run"] == 3
    assert plan["steps"][0]["reason"] == "config"
    assert plan["steps"][0]["because"] == "config: threshold was 4 and is 5"
    assert cli("plan", "sales.py", "daily", "--config", "daily.threshold=4", "--json").document["to_run"] == 0


def test_values_that_are_reused_though_their_inputs_are_computed_again_are_told(sales, cli):
    """`--refresh missing` computes what the config changes, and takes what is downstream of it as it is."""
    chosen = ("sales.py", "report", "--upstream", "--config", "raw.size=5", "--refresh")
    assert cli("materialize", *chosen, "all").stderr == ""
    other = (*chosen[:4], "raw.size=6", "--refresh")
    told = "1 reused value is older than what it is computed from (report): values upstream {} computed again. {}"
    remedy = "--refresh stale computes it again as well."
    planned = cli("plan", *other, "missing")
    assert told.format("would be", remedy) in " ".join(planned.stderr.split())
    assert cli("plan", *other, "missing", "--json").document["outdated"] == 1
    assert cli("plan", *other, "stale", "--json").document["outdated"] == 0
    done = cli("materialize", *other, "missing")
    assert (done.status, told.format("were", remedy) in " ".join(done.stderr.split())) == (0, True)
    assert "(1 succeeded, 1 reused)" in done.stdout
    assert "older" not in cli("materialize", *other, "stale").stderr
    assert "older" not in cli("materialize", *other, "missing").stderr


def test_assets_lists_the_fields_of_a_config(sales, cli):
    """As data, and in a column where any asset has one."""
    head, raw, *_ = cli("assets", "sales.py").stdout.splitlines()
    assert head.split()[:5] == ["asset", "partitions", "depends", "on", "config"]
    assert raw.split()[:4] == ["raw", "-", "-", "size"]
    assets = {one["name"]: one["config"] for one in cli("assets", "sales.py", "--json").document["assets"]}
    assert assets["raw"] == ["size"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("treshold=5", "there is no field 'treshold'"),
        ("threshold=many", "threshold: Input should be a valid integer"),
        ("names=5", "names: Input should be a valid list"),
        ("other.threshold=5", "there is no field 'other'"),
        ("nothing.json", "'nothing.json' cannot be read: No such file or directory"),
        ("broken.json", "'broken.json' is not valid JSON"),
        ("list.json", "'list.json' holds no JSON object"),
        ("=5", "'=5' names no field"),
        ("report..x=5", "names no field"),
    ],
)
def test_what_makes_no_config_is_wrong_usage(sales, cli, option, words):
    """One sentence, and nothing is started."""
    (sales / "broken.json").write_text("{")
    (sales / "list.json").write_text("[]")
    for command in ("materialize", "plan"):
        result = cli(command, "sales.py", "report", "--upstream", "--config", option)
        assert result.status == 2
        assert words in result.stderr
        assert "Traceback" not in result.stderr
    assert cli("runs", "--json").document["runs"] == []
