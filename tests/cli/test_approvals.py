"""What steps wait for is listed, decided and sent on the command line."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Context, Pipeline, Runtime, StaticPartitions


@pytest.fixture
def waiting(shop):
    """Two approvals that are pending, and a token; what a program that is gone has left. Gives the token."""
    pipeline = Pipeline("shop")
    tokens = []

    @pipeline.asset(partitions=StaticPartitions(["north", "south"]))
    async def region(context: Context) -> str:
        return context.approval("publish", message=f"all of {context.partition}", data={"rows": 3}).by

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
    assert "--by=" in cli("approve", first["id"], "--by", " ").stderr


def test_a_signal_is_sent_once(cli, waiting):
    """Its payload is JSON."""
    sent = cli("signal", waiting, '{"id": 42}', "--json").document
    assert (sent["asset"], sent["name"]) == ("paid", "bank")
    assert "has come before" in cli("signal", waiting, "1").stderr
