"""Schedules and sensors are listed, paused, resumed and fired on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flowstone import Permanent, Pipeline, Runtime
from flowstone.store.cluster import NodeReport

NIGHTLY = """
from flowstone import Pipeline, RunRequest

pipeline = Pipeline("sales")


@pipeline.asset
async def report() -> int:
    return 1


pipeline.schedule("nightly", cron="0 6 * * *", asset="report", timezone="Europe/Oslo")


@pipeline.schedule("failing", cron="@daily")
async def failing(tick):
    raise OSError("no route")


@pipeline.sensor("files", every=5)
async def files(context):
    yield RunRequest("report", key="a")
"""

FILES = """
from flowstone import FileSensor, Pipeline, StaticPartitions

pipeline = Pipeline("files")


@pipeline.asset(partitions=StaticPartitions(["no", "se"]))
async def sales() -> int:
    return 1


pipeline.add(
    FileSensor(
        "landing/*.csv", asset="sales", existing=True, settle=0, name="files", partition=lambda file: file.name[:-4]
    )
)
"""

AT = ("--store", "file://runs")


@pytest.fixture
def nightly(shop):
    """A pipeline with a schedule and a sensor, which a runtime has driven."""
    Path("nightly.py").write_text(NIGHTLY)
    scope = {}
    exec(NIGHTLY, scope)
    pipeline: Pipeline = scope["pipeline"]

    async def drive():
        async with (
            Runtime(pipeline, store="file://runs", automate=True) as runtime,
            runtime.subscribe("run.finished") as events,
        ):
            await anext(events)

    asyncio.run(drive())


@pytest.mark.usefixtures("nightly")
def test_automations_are_listed(cli):
    """With when they act next, and what became of what they did."""
    head, failing, files, nightly = [
        [cell for cell in line.split("  ") if cell.strip()]
        for line in cli("automations", *AT).stdout.splitlines()
    ]
    assert [cell.strip() for cell in head] == [
        "name", "kind", "pipeline", "when", "next", "last", "what became of it",
    ]  # fmt: skip
    assert files[1].strip() == "sensor"
    assert files[-1].strip() == "1 run: succeeded"
    assert nightly[3].strip() == "0 6 * * * Europe/Oslo"
    assert nightly[4].strip().startswith("in ")
    assert failing[3].strip() == "@daily UTC"
    told = cli("automations", *AT, "--json").document["automations"]
    assert [each["name"] for each in told] == ["failing", "files", "nightly"]
    assert told[1]["last_fires"][0]["runs"][0]["status"] == "succeeded"


def test_what_no_run_could_be_made_of_is_told(shop, cli):
    """Beside the runs that were, with the file and the reason."""
    Path("landing").mkdir()
    for name in ("no", "atlantis"):
        Path(f"landing/{name}.csv").write_text("1")
    Path("files.py").write_text(FILES)
    done = cli("fire", "files.py:pipeline", "files", *AT)
    assert done.status == 0
    assert done.stdout.startswith("files asked for 1 run\n")
    (told,) = cli("automations", *AT, "--json").document["automations"]
    assert told["last_fires"][0]["reason"].startswith("No run can be made of landing/atlantis.csv: Partition")
    assert "1 run: succeeded. No run can be made of landing/atlantis.csv: " in cli("automations", *AT).stdout


@pytest.mark.usefixtures("nightly")
def test_a_run_says_which_automation_asked_for_it(cli):
    """By its tags."""
    (run,) = cli("runs", *AT, "--tag", "automation=files", "--json").document["runs"]
    assert "tags      automation=files\n" in cli("run", run["id"], *AT).stdout


def test_there_are_none_yet(shop, cli):
    """It says who makes them known."""
    done = cli("automations", *AT)
    assert done.stdout == ""
    assert "No automations in file://runs" in done.stderr
    assert "flowstone serve" in done.stderr


@pytest.mark.usefixtures("nightly")
def test_one_is_paused_and_resumed(cli):
    """By its name, or by its pipeline and name; it stays so."""
    done = cli("pause", "nightly", *AT, "--by", "ada", "--reason", "holiday")
    assert done.stdout == "schedule nightly of sales is paused\n"
    listed = cli("automations", *AT)
    assert "paused" in listed.stdout
    assert "nightly is paused since just now by ada: holiday; `flowstone resume nightly`" in listed.stderr
    (told,) = [
        each
        for each in cli("automations", *AT, "--json").document["automations"]
        if each["name"] == "nightly"
    ]
    assert (told["paused_by"], told["paused_because"]) == ("ada", "holiday")
    assert told["paused_at"] is not None
    done = cli("resume", "sales/nightly", *AT)
    assert done.stdout == "schedule nightly of sales is resumed\n"
    assert not cli("automations", *AT, "--json").document["automations"][2]["paused"]


@pytest.mark.usefixtures("nightly")
def test_an_unknown_one_is_refused(cli):
    """With the nearest name."""
    done = cli("pause", "nigthly", *AT)
    assert done.status == 2
    assert "There is no automation nigthly in file://runs. Did you mean 'nightly'?" in done.stderr


@pytest.mark.usefixtures("nightly")
def test_one_is_fired(cli):
    """Where nobody else takes its runs, the command waits for them."""
    done = cli("fire", "nightly.py", "nightly", *AT)
    assert done.status == 0
    first, second = done.stdout.splitlines()
    assert first == "nightly asked for 1 run"
    assert second.endswith(" succeeded")
    done = cli("fire", "nightly.py", "failing", *AT)
    assert done.status == 1
    assert "no route" in done.stderr
    assert "There is no automation" in cli("fire", "nightly.py", "nihgtly", *AT).stderr


@pytest.mark.usefixtures("nightly")
def test_it_is_said_where_nobody_is_there_to_act(cli):
    """Of a store that no process has, with what helps; "in 5 h" is when somebody is there again."""
    done = cli("automations", *AT)
    assert "No node is there for the pipeline sales" in done.stderr
    assert "`flowstone serve MODULE:PIPELINE`" in done.stderr


async def test_it_is_not_said_while_a_node_is_there(cli, database, monkeypatch):
    """On a database: its heartbeats tell; of nodes that only take runs it is said what they are."""
    scope = {}
    exec(NIGHTLY, scope)
    async with Runtime(scope["pipeline"], store=database, automate=True) as runtime:
        async with runtime.subscribe("run.finished") as events:
            await anext(events)
        done = await asyncio.to_thread(cli, "automations", "--store", database)
        monkeypatch.setattr("flowstone.cli.drivers._is_new", lambda _: False)
        async with asyncio.timeout(10):  # Until its beat has said that it automates.
            while (await asyncio.to_thread(cli, "automations", "--store", database)).stderr.count(
                "Only nodes"
            ):
                pass
        with monkeypatch.context() as patch:
            patch.setattr("flowstone.store.postgres.cluster.report_of", lambda *_: NodeReport())
            only = await asyncio.to_thread(cli, "automations", "--store", database)
    assert "Only nodes that take runs and do not automate are there for the pipeline sales" in only.stderr
    assert "nightly" in done.stdout
    assert "No node" not in done.stderr
    assert "do not automate" not in done.stderr
    done = await asyncio.to_thread(cli, "automations", "--store", database)
    assert "No node is there for the pipeline sales" in done.stderr


async def test_of_a_listener_it_is_said_what_is_left_to_tell(cli, shop):
    """And what was given up; neither is anybody's run."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def report() -> int:
        return 1

    @pipeline.on("run.succeeded")
    async def slow(_event):
        raise Permanent("never")

    @pipeline.on("run.succeeded")
    async def absent(_event): ...

    @pipeline.on("run.succeeded")
    async def failing(_event):
        raise OSError("no route")

    async with Runtime(pipeline, store="file://runs", automate=True) as runtime:
        await runtime.pause("absent")
        async with runtime.subscribe("automation.failed") as events:
            await runtime.materialize("report")
            await anext(events)
        while not any(each.failing for each in await runtime.automations()):
            await asyncio.sleep(0)
    done = await asyncio.to_thread(cli, "automations", *AT)
    lines = {line.split()[0]: line.rstrip() for line in done.stdout.splitlines()}
    assert lines["absent"].endswith("1 event to tell")
    assert lines["failing"].endswith("1 event to tell")
    assert lines["slow"].endswith("1 given up")
    assert "slow failed and gave up 1 event: Permanent: never" in done.stderr
    assert "failing fails: 1 event to tell, the oldest of just now; the last of " in done.stderr
    assert "OSError: no route" in done.stderr
    told = await asyncio.to_thread(cli, "automations", *AT, "--json")
    told = {each["name"]: each for each in told.document["automations"]}
    assert [(each["pending"], each["given_up"]) for each in told.values()] == [(1, 0), (1, 0), (0, 1)]
    assert told["failing"]["failing"] == "OSError: no route"
    assert told["failing"]["attempts"] >= 1
    assert told["failing"]["oldest"] is not None
