"""The commands on a small pipeline: what they print, what they remember, how they end."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from flowstone import Pipeline, Retry, Runtime, StaticPartitions
from flowstone.store import MemoryStore


def test_assets_table(shop, cli):
    """Each asset is a row: partitions with their extent, dependencies, how it runs, what it is."""
    result = cli("assets", "shop.py")
    lines = result.stdout.splitlines()
    assert result.status == 0
    assert lines[0].split()[:2] == ["asset", "partitions"]
    assert lines[1].split() == ["orders", "-", "-", "default", "loop", "Every", "order's", "amount."]
    assert "10 (2025-01-01 to 2025-01-10)" in lines[3]
    assert all(line == line.rstrip() for line in lines)


def test_assets_json(shop, cli):
    """The same as data."""
    assets = {one["name"]: one for one in cli("assets", "shop:pipeline", "--json").document["assets"]}
    assert list(assets) == ["orders", "total", "visits", "visits_doubled"]
    assert assets["total"]["dependencies"] == [{"asset": "orders", "optional": False, "loads_value": True}]
    assert assets["visits"]["partitions"] == {
        "set": "DailyPartitions",
        "count": 10,
        "first": "2025-01-01",
        "last": "2025-01-10",
    }
    assert assets["visits"]["source"].startswith("shop.py:")


@pytest.mark.parametrize(
    ("drawing", "words"),
    [("ascii", "orders\n"), ("mermaid", "orders --> total"), ("dot", '"orders" -> "total"')],
)
def test_graph(shop, cli, drawing, words):
    """The graph in three notations."""
    result = cli("graph", "shop.py", "--format", drawing)
    assert result.status == 0
    assert words in result.stdout


def test_graph_json(shop, cli):
    """Edges as data."""
    document = cli("graph", "shop.py", "--json").document
    assert {"from": "visits", "to": "visits_doubled", "optional": False} in document["edges"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["assets", "shop.py:pipelin"], "Did you mean shop.py:pipeline?"),
        (["materialize", "shop.py", "totl"], "Did you mean 'total'?"),
        (["materialize", "shop.py", "visits"], "visits"),
        (["materialize", "shop.py", "visits", "--partition", "2024-12-31"], "2025-01-01 to 2025-01-10"),
        (["materialize", "shop.py", "total", "--refresh", "missing"], "--upstream"),
        (["materialize", "shop.py", "total", "--refresh", "sometimes", "--upstream"], "sometimes"),
        (["materialize", "shop.py", "total", "--store", "ftp://x"], "ftp://"),
        (["backfill", "shop.py", "total"], "--partition"),
        (["backfill", "shop.py", "visits", "--start", "2025-01-01", "--partition", "2025-01-02"], "--start"),
        (["backfill", "shop.py", "visits", "--start", "2025-01-09", "--end", "2025-01-02"], "2025-01-0"),
        (["backfill", "shop.py", "visits", "--max-parallel", "0"], "--max-parallel"),
        (["assetts", "shop.py"], "assets"),
        (["assets"], "MODULE:PIPELINE"),
        (["run", "nothing"], "flowstone runs"),
        (["runs", "--store", "memory://"], "--store"),
    ],
)
def test_wrong_usage_is_status_2(shop, cli, arguments, words):
    """A wrong name, key, option or module: one message that says what is right, and status 2."""
    result = cli(*arguments)
    assert result.status == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_two_commands_share_a_value(shop, cli):
    """What one command computed the next one finds: `.flowstone` in the current folder remembers."""
    not_yet = cli("materialize", "shop.py", "total")
    assert not_yet.status == 1
    assert "orders" in not_yet.stderr + not_yet.stdout
    first = cli("materialize", "shop.py", "orders")
    assert first.status == 0
    assert "reading orders" in first.stdout
    second = cli("materialize", "shop.py", "total")
    assert second.status == 0
    assert "succeeded: 1 step" in second.stdout
    assert (shop / ".flowstone").is_dir()


def test_upstream_and_refresh(shop, cli):
    """--upstream computes everything needed; --refresh missing takes what is there."""
    everything = cli("materialize", "shop.py", "total", "--upstream", "--json").document
    assert everything["counts"] == {"succeeded": 2}
    again = cli("materialize", "shop.py", "total", "--upstream", "--refresh", "missing", "--json").document
    assert again["counts"] == {"reused": 2}


def test_materialize_json(shop, cli):
    """One document on stdout, whatever the pipeline prints."""
    result = cli("materialize", "shop.py", "total", "--upstream", "--json")
    document = result.document
    assert document["status"] == "succeeded"
    assert document["interrupted"] is False
    steps = {step["asset"]: step for step in document["steps"]}
    assert steps["total"]["metadata"] == {"orders": 3}
    assert steps["total"]["run_id"] == document["run_id"]
    assert "reading orders" in result.stderr


def test_a_failed_step(shop, cli):
    """A failure names the step, its kind, its message and the attempt; status 1; a traceback on request."""
    result = cli("materialize", "shop.py", "visits", "--partition", "2025-01-05")
    assert result.status == 1
    assert "visits[2025-01-05] failed (error, attempt 1): ValueError: the counter was broken" in result.stdout
    lines = Path("shop.py").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "raise ValueError" in line)
    assert f"the counter was broken (shop.py:{number})" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    debug = cli("materialize", "shop.py", "visits", "--partition", "2025-01-05", "--debug")
    assert "Traceback" in debug.stdout
    assert "shop.py" in debug.stdout


def test_a_failed_step_can_be_looked_at_again(shop, cli):
    """The command that a failure names shows the whole traceback, with the frames of libraries."""
    result = cli("materialize", "shop.py", "visits", "--partition", "2025-01-05")
    command = re.search(r"`flowstone (run \w+ --debug)`", result.stderr).group(1)
    assert f"`flowstone {command}` shows" in cli(*command.split()[:2]).stderr
    shown = cli(*command.split())
    assert "Traceback (most recent call last)" in shown.stdout
    assert "shop.py" in shown.stdout
    assert "guard.py" in shown.stdout
    unkept = cli("materialize", "shop.py", "visits", "--partition", "2025-01-05", "--store", "memory://")
    assert "--debug shows the whole traceback." in unkept.stderr
    assert "flowstone run" not in unkept.stderr


def test_a_tolerated_failure(shop, cli):
    """It is told, and the command succeeds; of a run that failed nothing is tolerated."""
    (shop / "quotes.py").write_text(
        dedent("""
        from flowstone import Outcome, Pipeline
        pipeline = Pipeline("quotes")

        @pipeline.asset
        def south() -> int:
            raise ConnectionError("south does not answer")

        @pipeline.asset
        def best(south: Outcome[int]) -> str:
            return south.status
        """)
    )
    done = cli("materialize", "quotes.py", "best", "--upstream")
    assert done.status == 0
    assert "south failed (error, attempt 1): ConnectionError: south does not answer" in done.stdout
    assert "succeeded, 1 failure tolerated: 2 steps in" in done.stdout
    run = cli("runs", "--json").document["runs"][0]
    assert (run["status"], run["counts"]) == ("succeeded", {"succeeded": 1, "failed": 1})
    assert "status    succeeded, 1 failure tolerated" in cli("run", run["id"]).stdout
    assert "materialize all best: 1 succeeded, 1 failure tolerated" in " ".join(cli("runs").stdout.split())
    failed = cli("materialize", "quotes.py", "south", "--upstream")
    assert (failed.status, "tolerated" in failed.stdout) == (1, False)


def test_backfill(shop, cli):
    """One failing partition fails the run, skips what needs it and stops nothing else."""
    result = cli("backfill", "shop.py", "visits_doubled", "--upstream", "--json")
    assert result.status == 1
    document = result.document
    assert document["counts"] == {"succeeded": 18, "failed": 1, "skipped": 1}
    failed = [step for step in document["steps"] if step["status"] == "failed"]
    assert [(step["asset"], step["partition"]) for step in failed] == [("visits", "2025-01-05")]
    text = cli("backfill", "shop.py", "visits_doubled", "--upstream")
    assert "visits_doubled[2025-01-05] was skipped because visits[2025-01-05] failed" in text.stdout
    assert "18 reused" in text.stdout


@pytest.mark.parametrize(
    ("selection", "days"),
    [
        (["--start", "2025-01-08"], [8, 9, 10]),
        (["--end", "2025-01-02"], [1, 2]),
        (["--start", "2025-01-02", "--end", "2025-01-03"], [2, 3]),
        (["--partition", "2025-01-07", "--partition", "d:2025-01-01"], [1, 7]),
    ],
)
def test_backfill_selection(shop, cli, selection, days):
    """A range has both ends in it; keys may be repeated, readable or exact."""
    document = cli("backfill", "shop.py", "visits", *selection, "--json").document
    assert sorted(int(step["partition"][-2:]) for step in document["steps"]) == days


def test_steps_are_read_in_pages(shop, cli, monkeypatch):
    """However long a run is, a command holds a page of its steps; all are listed in order all the same."""
    run_id = cli("backfill", "shop.py", "visits_doubled", "--upstream", "--json").document["run_id"]
    whole = cli("run", run_id, "--json").stdout
    limits = []
    steps = MemoryStore.steps

    async def spied(self, run_id, *, status=None, offset=0, limit=None):
        limits.append(limit)
        return await steps(self, run_id, status=status, offset=offset, limit=limit)

    monkeypatch.setattr(MemoryStore, "steps", spied)
    monkeypatch.setattr("flowstone.cli.commands.run._STEPS", 3)
    monkeypatch.setattr("flowstone.cli.commands.status._PAGE", 3)
    assert cli("run", run_id, "--json").stdout == whole
    shown = cli("run", run_id, "--limit", "4")
    assert "ValueError: the counter was broken" in shown.stdout
    assert "16 more steps" in shown.stderr
    assert len(cli("status", "visits", "--limit", "30", "--json").document["recent"]) == 10
    assert None not in limits


def test_what_is_remembered(shop, cli):
    """runs, run, status and lineage tell what happened, from the store alone."""
    run_id = cli("backfill", "shop.py", "visits_doubled", "--upstream", "--json").document["run_id"]
    runs = cli("runs", "--json").document["runs"]
    assert [(run["id"], run["status"], run["total"]) for run in runs] == [(run_id, "failed", 20)]
    shown = cli("run", run_id[:10])
    assert "ValueError: the counter was broken" in shown.stdout
    assert len(cli("run", run_id, "--json").document["steps"]) == 20
    status = cli("status", "visits", "--json").document
    assert len(status["current"]) == 9
    assert cli("status", "visits", "--partition", "2025-01-05", "--json").document["status"] == "failed"
    assert cli("status", "visits").status == 0
    document = cli("lineage", "visits", "--partition", "2025-01-03", "--json").document
    assert document["downstream"] == [
        {
            "asset": "visits_doubled",
            "partition": "2025-01-03",
            "partition_key": "d:2025-01-03",
            "depth": 1,
        }
    ]
    whole = cli("lineage", "visits_doubled")
    assert "visits: 9 partitions, 2025-01-01 to 2025-01-10" in whole.stdout


def test_assets_are_listed_by_a_selection(shop, cli):
    """In the order of the graph; a selection that breaks is wrong usage, and shows where."""
    listed = cli("assets", "shop.py", "--select", "+visits_doubled", "--json").document["assets"]
    assert [asset["name"] for asset in listed] == ["visits", "visits_doubled"]
    wrong = cli("assets", "shop.py", "--select", "visits vsits")
    assert wrong.status == 2
    assert "Did you mean 'visits'?" in wrong.stderr


def test_why_names_the_root(shop, cli):
    """From the store alone; with a pipeline also what is stale, and names are checked."""
    cli("backfill", "shop.py", "visits_doubled", "--upstream")
    shown = cli("why", "visits_doubled", "--partition", "2025-01-05")
    assert "skipped because visits[2025-01-05] failed: ValueError: the counter was broken" in shown.stdout
    assert "└─ visits[2025-01-05]: failed" in shown.stdout
    document = cli("why", "visits_doubled", "--partition", "2025-01-05", "--json").document
    assert document["remedy"] == "Materialize visits_doubled[2025-01-05] with what it needs."
    assert shown.stderr.strip() == (
        "flowstone materialize MODULE:PIPELINE visits_doubled --partition 2025-01-05 --upstream --refresh stale"
    )
    unknown = cli("why", "vsits")
    assert "vsits: not known: no run here has asked for an asset of this name" in unknown.stdout
    assert "Materialize" not in unknown.stdout
    assert "Did you mean 'visits'?" in unknown.stderr
    assert [cause["partition"] for cause in document["causes"]] == ["2025-01-05"]
    current = cli("why", "visits", "--partition", "2025-01-03")
    assert "current, computed at" in current.stdout
    assert "MODULE:PIPELINE" in current.stderr
    assert cli("why", "visits", "--partition", "2025-01-03", "--pipeline", "shop.py").stderr == ""
    assert cli("why", "vsits", "--pipeline", "shop.py").status == 2


def test_status_with_a_pipeline_checks_the_name(shop, cli):
    """Without a pipeline an unknown asset was never materialized; with one it is a mistake."""
    assert cli("status", "vsits").status == 0
    checked = cli("status", "vsits", "--pipeline", "shop.py")
    assert checked.status == 2
    assert "Did you mean 'visits'?" in checked.stderr


def test_nothing_remembered_yet(shop, cli):
    """Looking creates nothing."""
    assert cli("runs").status == 0
    assert cli("runs", "--json").document == {"runs": []}
    assert cli("lineage", "orders").status == 1
    assert cli("doctor", "shop.py").status == 0
    assert not (shop / ".flowstone").exists()


def test_the_store_option_and_variable(shop, cli, monkeypatch):
    """--store, or FLOWSTONE_STORE, names another place; values live beside the history."""
    assert cli("materialize", "shop.py", "orders", "--store", "file://elsewhere").status == 0
    assert (shop / "elsewhere" / "values").is_dir()
    monkeypatch.setenv("FLOWSTONE_STORE", "file://elsewhere")
    assert len(cli("runs", "--json").document["runs"]) == 1
    assert not (shop / ".flowstone").exists()


def test_plan(shop, cli):
    """A plan says what would run and why, and runs nothing."""
    cli("materialize", "shop.py", "orders")
    result = cli("plan", "shop.py", "total", "--upstream", "--refresh", "missing")
    assert result.status == 0
    assert "2 steps: 1 to run, 1 to reuse" in result.stdout
    document = cli("plan", "shop.py", "total", "--upstream", "--refresh", "missing", "--json").document
    assert {step["asset"]: step["action"] for step in document["steps"]} == {
        "orders": "reuse",
        "total": "run",
    }
    assert all(step["reason"] for step in document["steps"])
    assert len(cli("runs", "--json").document["runs"]) == 1


def test_plan_of_partitions(shop, cli):
    """A range is planned as a backfill; a long plan is cut and says so."""
    result = cli("plan", "shop.py", "visits", "--start", "2025-01-02", "--limit", "3")
    assert result.stdout.splitlines()[1].split()[:2] == ["visits[2025-01-02]", "run"]
    assert "9 steps: 9 to run, 0 to reuse" in result.stdout
    assert "6 more steps" in result.stderr


def test_a_plan_that_is_cut_begins_with_what_would_run(shop, cli):
    """Of a year with one day missing, that day must not be hidden behind those that are there."""
    cli("backfill", "shop.py", "visits", "--end", "2025-01-09")
    result = cli("plan", "shop.py", "visits", "--limit", "3")
    listed = [line.split()[:2] for line in result.stdout.splitlines() if line.startswith("visits")]
    assert [action for _, action in listed] == ["run", "run", "reuse"]
    whole = cli("plan", "shop.py", "visits").stdout.splitlines()
    assert whole[1].split()[0] == "visits[2025-01-01]"


def test_tree(shop, cli):
    """The supervision tree, drawn and as data; nothing is left behind."""
    result = cli("tree", "shop.py")
    assert result.status == 0
    for name in ("store", "services", "io_managers", "default", "runs", "watchman"):
        assert name in result.stdout
    document = cli("tree", "shop.py", "--json").document
    assert {child["name"] for child in document["children"]} >= {"store", "services", "runs", "watchman"}
    assert not (shop / ".flowstone").exists()


NEEDY = """
from typing import Annotated
from flowstone.assets import Pipeline, Resource
pipeline = Pipeline("needy")

@pipeline.asset(io="files")
async def kept() -> int:
    return 1

@pipeline.asset
async def asks(db: Annotated[object, Resource]) -> str:
    return db
"""


def test_io_managers_and_resources_beside_the_pipeline(shop, cli):
    """What an asset needs must stand beside the pipeline; a missing one is named with the line to write."""
    (shop / "needy.py").write_text(NEEDY)
    missing = cli("materialize", "needy.py", "kept")
    assert missing.status == 2
    assert 'io = {"files": FileIO("files")}' in missing.stderr
    (shop / "half.py").write_text(
        NEEDY + "from flowstone.io import FileIO\nio = {'files': FileIO('files')}\n"
    )
    missing = cli("materialize", "half.py", "kept")
    assert missing.status == 2
    assert 'resources = {"db": ...}' in missing.stderr
    (shop / "whole.py").write_text((shop / "half.py").read_text() + "resources = {'db': 'a database'}\n")
    assert cli("materialize", "whole.py", "kept").status == 0
    assert cli("materialize", "whole.py", "asks").status == 0
    assert (shop / "files").is_dir()


def test_doctor(shop, cli):
    """The doctor is content here, names what is wrong elsewhere, and says what to do about it."""
    well = cli("doctor", "shop.py", "--json")
    assert well.status == 0
    assert well.document["ok"] is True
    assert [check["name"] for check in well.document["checks"]] == [
        "python",
        "event loop",
        "extras",
        "clock",
        "environment",
        "store",
        "disk",
        "pipeline",
    ]
    (shop / "broken.py").write_text("import nothing_of_that_name\n")
    (shop / "afile").write_text("")
    ill = cli("doctor", "broken.py", "--store", "file://afile", "--json")
    assert ill.status == 1
    wrong = {check["name"]: check for check in ill.document["checks"] if check["verdict"] == "wrong"}
    assert set(wrong) == {"store", "pipeline"}
    assert "nothing_of_that_name" in wrong["pipeline"]["remedy"]


COMMANDS = ["demo", "doctor", "assets", "graph", "tree", "materialize", "backfill", "plan"]
COMMANDS += ["runs", "run", "status", "why", "lineage"]


def test_version_and_help(cli):
    """--version and --help answer without a pipeline, and help lists every command."""
    assert cli("--version").stdout.startswith("flowstone ")
    help_ = cli("--help")
    for command in COMMANDS:
        assert command in help_.stdout
    assert cli("materialize", "--help").status == 0


def test_as_a_module(program, shop):
    """`python -m flowstone` is the same program."""
    result = program("assets", "shop:pipeline", "--json")
    assert result.status == 0
    assert json.loads(result.stdout)["pipeline"] == "shop"


KINDS = """
from flowstone import *
pipeline = Pipeline("kinds")
both = MultiPartitions(region=StaticPartitions(["eu", "us"]), day=DailyPartitions("2025-01-01", "2025-01-03"))


@pipeline.asset(partitions=both)
async def sales(context) -> str:
    return str(context.partition)


@pipeline.asset(partitions=HourlyPartitions("2025-01-01T00:00", "2025-01-01T05:00"))
async def hourly() -> int:
    return 1


@pipeline.asset(partitions=MonthlyPartitions("2025-01-01", "2025-12-01"))
async def monthly() -> int:
    return 1


@pipeline.asset
async def free(context) -> str:
    return type(context.partition).__name__
"""


@pytest.mark.parametrize(
    ("asset", "written", "shown"),
    [
        ("sales", "us|2025-01-02", "us|2025-01-02"),
        ("hourly", "2025-01-01T03:00Z", "2025-01-01T03:00Z"),
        ("hourly", "2025-01-01T03:00", "2025-01-01T03:00Z"),
        ("monthly", "2025-07", "2025-07-01"),
        ("free", "anything at all", "anything at all"),
        ("free", "i:5", "5"),
    ],
)
def test_what_one_command_prints_the_next_one_takes(shop, cli, asset, written, shown):
    """A partition of any kind is found again by what was printed, with the pipeline and without it."""
    (shop / "kinds.py").write_text(KINDS)
    step = cli("materialize", "kinds.py", asset, "--partition", written, "--json").document["steps"][0]
    assert step["partition"] == shown
    for word in (written, shown, step["partition_key"]):
        found = cli("status", asset, "--partition", word, "--json").document
        assert (found["partition_key"], found["status"]) == (step["partition_key"], "succeeded")
    for word in (written, step["partition_key"]):
        checked = cli("status", asset, "--partition", word, "--pipeline", "kinds.py", "--json").document
        assert checked["partition_key"] == step["partition_key"]


def test_a_setting_that_cannot_be(shop, cli, monkeypatch):
    """A wrong environment variable is named with what it may be."""
    monkeypatch.setenv("FLOWSTONE_LOG_LEVEL", "loud")
    result = cli("materialize", "shop.py", "orders")
    assert result.status == 2
    told = "FLOWSTONE_LOG_LEVEL takes debug, info, warning or error, not 'loud'."
    assert told in " ".join(result.stderr.split())


def test_home(shop, cli, monkeypatch):
    """FLOWSTONE_HOME moves the folder that remembers, odd characters included."""
    monkeypatch.delenv("FLOWSTONE_STORE")
    monkeypatch.setattr("flowstone.cli.default_store._asked_for", lambda: False)
    monkeypatch.setenv("FLOWSTONE_HOME", str(shop / "my home"))
    assert cli("materialize", "shop.py", "orders").status == 0
    assert (shop / "my home" / "values").is_dir()
    assert len(cli("runs", "--json").document["runs"]) == 1


def test_a_pipeline_that_cannot_be_run(shop, cli):
    """An unknown dependency and a cycle are shown with their place, whichever command meets them."""
    (shop / "wrong.py").write_text(
        "from flowstone import Pipeline\np = Pipeline('p')\n"
        "@p.asset\ndef a(ordres): ...\n@p.asset\ndef orders(): ...\n"
    )
    for command in (["assets", "wrong.py"], ["materialize", "wrong.py", "a"], ["plan", "wrong.py", "a"]):
        result = cli(*command)
        assert result.status == 2
        assert "wrong.py:" in result.stderr
        assert "'orders'" in result.stderr


def test_a_place_that_cannot_be_written(shop, cli):
    """A store where a file is in the way is one sentence with a remedy, and status 1."""
    (shop / "afile").write_text("")
    result = cli("materialize", "shop.py", "orders", "--store", "file://afile/deeper")
    assert result.status == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "afile" in result.stderr


LOGS = """
import logging
import library
from flowstone import DailyPartitions, Pipeline
pipeline = Pipeline("logs")

@pipeline.asset
async def talks(context) -> int:
    context.log.info("counted", rows=3)
    context.log.debug("in detail")
    logging.info("of %d rows", 3)
    logging.getLogger("shop").debug("every row\\nin turn")
    library.work()
    return 1

@pipeline.asset(partitions=DailyPartitions("2025-01-15", "2025-01-15"), run_in="process")
def elsewhere(context) -> int:
    context.log.warning("two\\nlines")
    return 1

logging.info("imported")
"""
LIBRARY = """
import logging

def work():
    logging.getLogger("library").warning("a library warns")
    logging.getLogger("library").info("a library chats")
"""


@pytest.fixture
def logs(shop, monkeypatch):
    """A pipeline that logs, and a library that does."""
    (shop / "logs.py").write_text(LOGS)
    (shop / "site-packages").mkdir()
    (shop / "site-packages" / "library.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(shop / "site-packages"))
    return shop


def test_logs_go_to_stderr(logs, cli):
    """What assets and their module log is on stderr; libraries are heard from warnings on; --debug is more."""
    result = cli("materialize", "logs.py", "talks")
    assert "counted" not in result.stdout
    assert "[info] talks: counted rows=3" in result.stderr
    assert "[info] root: of 3 rows" in result.stderr
    assert "[info] root: imported" in result.stderr
    assert "[warning] library: a library warns" in result.stderr
    assert "in detail" not in result.stderr
    assert "a library chats" not in result.stderr
    debug = cli("materialize", "logs.py", "talks", "--debug").stderr
    assert "in detail" in debug
    assert "[info] library: a library chats" in debug


def test_the_level_of_logs_can_be_chosen(logs, cli, monkeypatch):
    """By an option, or by the environment; the option wins."""
    assert "imported" not in cli("materialize", "logs.py", "talks", "--log-level", "warning").stderr
    monkeypatch.setenv("FLOWSTONE_LOG_LEVEL", "warning")
    assert "imported" not in cli("materialize", "logs.py", "talks").stderr
    result = cli("materialize", "logs.py", "talks", "--log-level", "debug")
    assert "[debug] shop: every row\n    in turn\n" in result.stderr


def test_a_process_is_heard_as_well(logs, cli):
    """Partitions are written as people write them, and a message keeps its lines."""
    result = cli("materialize", "logs.py", "elsewhere", "--partition", "2025-01-15")
    assert "[warning] elsewhere[2025-01-15]: two\n    lines\n" in result.stderr


def test_the_users_own_handlers_stay(logs, cli):
    """A module that logs to a file goes on doing so, and its lines on the terminal are not doubled."""
    before = (logs / "logs.py").read_text()
    setup = (
        "logging.getLogger().addHandler(logging.FileHandler('own.log'))\n"
        "logging.getLogger().addHandler(logging.StreamHandler())\n"
    )
    (logs / "logs.py").write_text(before.replace("pipeline =", setup + "pipeline =", 1))
    result = cli("materialize", "logs.py", "talks")
    assert "of 3 rows" in (logs / "own.log").read_text()
    assert result.stderr.count("counted") == 1


def test_structlog_itself_is_heard(shop, cli):
    """What a pipeline says through structlog goes the way of every log record, with its own fields."""
    (shop / "said.py").write_text(
        "import structlog\nfrom flowstone import Pipeline\np = Pipeline('p')\nlog = structlog.get_logger()\n"
        "@p.asset\ndef a() -> int:\n    log.info('said', rows=3)\n    return 1\n"
    )
    result = cli("materialize", "said.py", "a")
    assert "[info] said: said rows=3" in result.stderr
    assert "rows=3" not in result.stdout


def test_many_failures_are_cut(shop, cli):
    """A source that fails everywhere is told twenty times, and once if in the same words."""
    (shop / "bad.py").write_text(
        "from flowstone import *\np = Pipeline('p')\n"
        "@p.asset(partitions=DailyPartitions('2025-01-01', '2025-02-28'))\n"
        "async def broken(context) -> int:\n    raise OSError(f'\\x1b[2Jno route to {context.partition}')\n"
        "@p.asset(partitions=DailyPartitions('2025-01-01', '2025-02-28'))\n"
        "async def same() -> int:\n    raise OSError('no route')\n"
    )
    result = cli("backfill", "bad.py", "same")
    assert "same[2025-01-01] and 58 more failed (error, attempt 1): OSError: no route" in result.stdout
    assert result.stdout.count("OSError") == 1
    result = cli("backfill", "bad.py", "broken")
    assert result.status == 1
    assert result.stdout.count("OSError") == 20
    assert "39 more failed steps" in result.stdout
    assert "\x1b" not in result.stdout
    assert len(cli("backfill", "bad.py", "broken", "--json").document["steps"]) == 59


def test_runs_page_by_page(shop, cli):
    """`--before` goes on with what is older than a run, named by the beginning of its id."""
    for _ in range(3):
        cli("materialize", "shop.py", "orders")
    ids = [run["id"] for run in cli("runs", "--json").document["runs"]]
    older = cli("runs", "--before", ids[0][:14], "--limit", "1", "--json").document["runs"]
    assert [run["id"] for run in older] == [ids[1]]
    done = cli("runs", "--before", ids[2])
    assert (done.status, done.stderr) == (0, f"There are no runs before {ids[2]}.\n")
    assert cli("runs", "--before", "nothing").status == 2


async def test_the_steps_that_run_in_a_file_store(shop, cli):
    """Those whose start is recorded and whose end is not: another process may look while they run."""
    gate, begun = asyncio.Event(), asyncio.Event()
    pipeline = Pipeline("gated")

    @pipeline.asset(partitions=StaticPartitions(["a", "b"]), retry=Retry(attempts=2, delay=0))
    async def letter(context) -> str:
        if context.partition == "b" and context.attempt == 1:
            raise ValueError("not yet")
        if context.partition == "b":
            begun.set()
            await gate.wait()
        return context.partition

    async with Runtime(pipeline, store="file://.flowstone") as runtime:
        run = await runtime.submit_backfill(letter, max_parallel=1)
        await begun.wait()
        running = (await asyncio.to_thread(cli, "run", run.id, "--json")).document["running"]
        shown = (await asyncio.to_thread(cli, "run", run.id)).stdout
        gate.set()
        await run.wait()
    assert [(step["partition"], step["attempt"], step["fraction"]) for step in running] == [("b", 2, None)]
    assert "letter[b], attempt 2" in shown
    assert (await asyncio.to_thread(cli, "run", run.id, "--json")).document["running"] == []
