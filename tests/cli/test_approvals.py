"""What steps wait for is listed, decided and sent on the command line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from flowstone import Context, DailyPartitions, FileIO, Pipeline, Runtime, StaticPartitions
from flowstone.cli.commands import approvals as commands


@pytest.fixture
def waiting(shop):
    """Two approvals that are pending, and a token; what a program that is gone has left. Gives the token."""
    pipeline = Pipeline("shop")
    tokens = []

    @pipeline.asset(partitions=StaticPartitions(["north", "south"]))
    async def region(context: Context) -> str:
        return context.approval(
            "publish", message=f"all of {context.partition}", data={"rows": 3}, timeout=86_400
        ).by

    @pipeline.asset
    async def paid(context: Context) -> dict:
        tokens.append(context.signal_token("bank"))
        return context.signal("bank")

    async def leave():
        async with Runtime(pipeline, store="file://.flowstone", shutdown_timeout=0.1) as runtime:
            await runtime.submit_backfill("region")
            await runtime.submit("paid")
            while len(await runtime.runs(status="waiting")) < 2:
                await asyncio.sleep(0.01)

    asyncio.run(leave())
    return tokens[0]


@pytest.mark.usefixtures("waiting")
def test_approvals_are_listed_and_decided(cli):
    """The first decision stands; the beginning of an id is enough."""
    found = cli("approvals", "--json").document["approvals"]
    assert {(one["partition"], one["message"], one["status"]) for one in found} == {
        ("north", "all of north", "pending"),
        ("south", "all of south", "pending"),
    }
    assert found[0]["data"] == {"rows": 3}
    shown = cli("approvals")
    assert all(one["id"] in shown.stdout and one["message"] in shown.stdout for one in found)
    ids = [one["id"] for one in found]
    short = next(ids[0][:size] for size in range(1, 20) if not ids[1].startswith(ids[0][:size]))
    decided = cli("approve", short, "--by", "ada", "--reason", "fine", "--data", "[1]", "--json").document
    assert (decided["id"], decided["status"], decided["by"], decided["reason"]) == (
        ids[0],
        "approved",
        "ada",
        "fine",
    )
    assert "is rejected by bob" in cli("reject", ids[1], "--by", "bob").stdout
    again = cli("approve", ids[1], "--by", "ada")
    assert "was rejected by bob" in again.stderr
    assert "No pending approvals" in cli("approvals").stderr
    assert len(cli("approvals", "--status", "all", "--json").document["approvals"]) == 2
    assert [
        one["by"] for one in cli("approvals", "--status", "rejected", "--json").document["approvals"]
    ] == ["bob"]
    assert cli("approvals", "--asset", "other", "--status", "all", "--json").document["approvals"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["approve", "nothing", "--by", "ada"], "There is no approval nothing"),
        (["approve", "", "--by", "ada"], "There is no approval"),
        (["approvals", "--status", "open"], "pending, approved"),
        (["signal", "nothing", "{}"], "No step handed out this token"),
        (["signal", "nothing", "{"], "is no JSON"),
        (["approve", "x", "--by", "ada", "--data", "{"], "is no JSON"),
        (["signal", "nothing", "[" * 3_000], "error: JSON is no JSON"),
        (["approve", "x", "--by", "ada", "--data", "[" * 3_000], "error: --data is no JSON"),
        (["signal", "nothing", "NaN"], "error: The payload of a signal cannot be kept"),
        (["approve", "x", "--by", "ada", "--data", "NaN"], "error: The data of a decision cannot be kept"),
        (["approve", "\udcff", "--by", "ada"], "There is no approval"),
    ],
)
@pytest.mark.usefixtures("waiting")
def test_what_is_wrong_is_told(cli, arguments, words):
    """In one sentence."""
    done = cli(*arguments)
    assert done.status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("waiting")
def test_nobody_decides_nothing(cli):
    """`--by` may not be empty."""
    (first, _) = cli("approvals", "--json").document["approvals"]
    assert "--by takes one." in cli("approve", first["id"], "--by", " ").stderr


def test_whoever_answers_is_told_that_nobody_drives_the_run(cli, waiting):
    """Where no process has the store: the run says so as well, until `serve` goes on with it."""
    north, south = cli("approvals", "--json").document["approvals"]
    told = f"Nobody drives run {north['run_id']} now: `flowstone serve MODULE:PIPELINE` goes on with it."
    parked = cli("run", north["run_id"])
    assert "status    waiting\n" in parked.stdout
    assert "No process has the store now: `flowstone serve" in parked.stdout
    assert told in cli("approve", north["id"], "--by", "ada").stderr
    assert told in cli("reject", south["id"], "--by", "ada").stderr
    sent = cli("signal", waiting, "1")
    assert "Nobody drives run" in sent.stderr
    assert cli("runs").stdout.count("running, no process") == 2
    left = cli("run", north["run_id"])
    assert "status    running, no process\n" in left.stdout
    waits = "for a process, and none has the store: `flowstone serve MODULE:PIPELINE` goes on with it"
    assert f"waits     {waits}\n" in left.stdout
    assert [run["waits"] for run in cli("runs", "--json").document["runs"]] == [waits] * 2


@pytest.mark.usefixtures("waiting")
def test_approvals_that_nobody_decided_in_time_are_expired(cli, monkeypatch):
    """Also where no process is there to record it; a decision that comes late is refused by any part of the id."""
    (first, _) = cli("approvals", "--json").document["approvals"]

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(days=2)

    monkeypatch.setattr(commands, "datetime", Later)
    assert "No pending approvals" in cli("approvals").stderr
    expired = cli("approvals", "--status", "expired", "--json").document["approvals"]
    assert [one["status"] for one in expired] == ["expired", "expired"]
    late = cli("approve", first["id"][:18], "--by", "ada")
    assert (late.status, "has expired at" in late.stderr) == (1, True)


def test_a_signal_is_sent_once(cli, waiting):
    """Its payload is JSON."""
    sent = cli("signal", waiting, '{"id": 42}', "--json").document
    assert (sent["asset"], sent["name"]) == ("paid", "bank")
    assert "has come before" in cli("signal", waiting, "1").stderr


DESK = """
from flowstone import Context, Pipeline, Skip

pipeline = Pipeline("desk")


@pipeline.asset
async def report() -> str:
    return "3 rows"


@pipeline.asset
async def published(report: str, context: Context) -> str:
    return f"by {context.approval('publish', message=report).by}"


@pipeline.asset
def paid(context: Context) -> int:
    return context.signal("bank")


@pipeline.asset
def nothing() -> int:
    raise Skip("no data today")
"""


@pytest.fixture
def desk(shop):
    """A module whose assets wait for somebody."""
    Path("desk.py").write_text(DESK)


@pytest.mark.usefixtures("desk")
def test_a_command_leaves_a_run_that_nobody_could_answer_meanwhile(cli):
    """It says what answers it, and what goes on with it then."""
    left = cli("materialize", "desk.py", "published", "--upstream", "--store", "file://left")
    assert left.status == 75
    (asked,) = cli("approvals", "--json", "--store", "file://left").document["approvals"]
    told = f"published waits for the approval 'publish' (3 rows): `flowstone approve {asked['id']} --by NAME`"
    assert told in left.stderr
    assert "`flowstone serve desk.py:pipeline` goes on with the run" in left.stderr
    assert "s left" not in left.stderr
    assert "waiting: 1 step" in left.stdout
    assert "is approved by ada" in cli("approve", asked["id"], "--by", "ada", "--store", "file://left").stdout
    assert asyncio.run(gone_on_with(asked["run_id"])) == "by ada"


async def gone_on_with(run_id):
    """What the run gives, once a node has the store."""
    module = {}
    exec(DESK, module)
    kept = {"store": "file://left", "io": {"default": FileIO("left/values")}}
    async with asyncio.timeout(200), Runtime(module["pipeline"], **kept) as runtime:
        result = await (await runtime.run(run_id)).wait()
        assert result.status == "succeeded"
        return await runtime.load("published")


@pytest.mark.usefixtures("desk")
def test_a_command_tells_a_program_that_it_left_a_run(cli):
    """By its document and status; so does one that waits for a signal."""
    left = cli("materialize", "desk.py", "paid", "--json", "--store", "file://left")
    assert (left.status, left.document["status"], left.document["interrupted"]) == (75, "waiting", False)
    assert [one["id"] for one in cli("runs", "--json", "--store", "file://left").document["runs"]] == [
        left.document["run_id"]
    ]


@pytest.mark.usefixtures("desk")
def test_nobody_can_answer_a_run_in_memory(cli):
    """It ends with its command, which says so."""
    ended = cli("materialize", "desk.py", "paid", "--store", "memory://")
    assert ended.status == 1
    assert "Nobody can answer a run in memory" in ended.stderr
    assert "name a store with --store" in ended.stderr


@pytest.mark.usefixtures("desk")
def test_on_a_database_a_command_waits_until_somebody_has_answered(cli, database):
    """From another process, by the command that it tells."""
    command = [sys.executable, "-m", "flowstone", "materialize", "desk.py", "published", "--upstream"]
    waiting = subprocess.Popen([*command, "--store", database], stderr=subprocess.PIPE, text=True)
    try:
        for line in waiting.stderr:
            if "waits for the approval" in line:
                break
        words = line.partition("`flowstone ")[2].partition("`")[0].replace("NAME", "ada").split()
        assert "is approved by ada" in cli(*words, "--store", database).stdout
        assert waiting.wait(timeout=40) == 0
    finally:
        waiting.kill()
        waiting.communicate()


@pytest.mark.usefixtures("desk")
def test_an_asset_that_is_skipped_by_choice_is_no_failure(cli):
    """Nor asked for alone."""
    done = cli("materialize", "desk.py", "nothing")
    assert (done.status, "nothing was skipped by choice: no data today" in done.stdout) == (0, True)


@pytest.fixture
def booked(shop):
    """Two of ten days wait for an approval, and none has ever ended."""
    pipeline = Pipeline("bank")

    @pipeline.asset(partitions=DailyPartitions("2026-11-01", "2026-11-10"))
    async def booked(context: Context) -> str:
        return context.approval("book", timeout=86_400).by

    async def leave():
        async with Runtime(pipeline, store="file://.flowstone", shutdown_timeout=0.1) as runtime:
            await runtime.submit_backfill("booked", start=date(2026, 11, 3), end=date(2026, 11, 4))
            while not await runtime.runs(status="waiting"):
                await asyncio.sleep(0.01)

    asyncio.run(leave())


@pytest.mark.usefixtures("booked")
def test_what_waits_is_told_by_its_partition_before_anything_of_it_has_ended(cli):
    """By `why` and `status`, without the pipeline: a day is found by what waits, and another one by its kind."""
    explained = cli("why", "booked", "--partition", "2026-11-03", "--json").document
    assert (explained["status"], explained["partition_key"]) == ("waiting", "d:2026-11-03")
    assert 'waiting for approval "book"' in explained["sentence"]
    shown = cli("status", "booked", "--partition", "2026-11-03")
    assert shown.stdout.strip() == "booked[2026-11-03]: waiting"
    every = cli("status", "booked")
    assert every.stdout.strip() == "booked: 0 partitions with a current value, 2 waiting"
    other = cli("why", "booked", "--partition", "2026-11-05", "--json").document
    assert (other["status"], other["partition_key"]) == ("never", "d:2026-11-05")
