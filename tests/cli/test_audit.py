"""`flowstone audit` lists who did what, and commands say who gave them."""

from __future__ import annotations

import getpass

import pytest

pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture(autouse=True)
def user(monkeypatch):
    """The user of the operating system."""
    monkeypatch.setattr(getpass, "getuser", lambda: "nina")


def entries(cli, *words):
    """Who did what to what, the oldest first."""
    found = cli("audit", *words, "--json").document["entries"]
    return [(each["by"], each["action"], each["asset"] or each["name"]) for each in reversed(found)]


def test_each_command_says_who_gave_it(cli):
    """The user of the operating system, unless it is told otherwise."""
    run = cli("materialize", "shop.py", "orders", "--json").document["run_id"]
    cli("invalidate", "orders", "--reason", "they were wrong")
    cli("partitions", "add", "customers", "ada", "eve", "--by", "bob")
    cli("partitions", "remove", "customers", "eve")
    cli("token", "create", "ci", "--role", "read")
    cli("token", "revoke", "ci")
    assert entries(cli) == [
        ("nina", "run.queued", "orders"),
        ("nina", "asset.invalidated", "orders"),
        ("bob", "partitions.added", "customers"),
        ("nina", "partitions.removed", "customers"),
        ("nina", "token.created", "ci"),
        ("nina", "token.revoked", "ci"),
    ]
    assert entries(cli, "--by", "bob") == [("bob", "partitions.added", "customers")]
    assert entries(cli, "--asset", "orders", "--limit", "1") == [("nina", "asset.invalidated", "orders")]
    assert entries(cli, "--run", run[:14]) == entries(cli, "--run", run) == [("nina", "run.queued", "orders")]
    assert entries(cli, "--before", "2") == [("nina", "run.queued", "orders")]


def test_it_reads_as_a_table(cli):
    """With the reason, and what else there is to say."""
    assert "Nobody has done anything in file://.flowstone yet." in cli("audit").stderr
    cli("backfill", "shop.py", "visits", "--start", "2025-01-01", "--end", "2025-01-03")
    cli("invalidate", "visits", "--partition", "2025-01-02", "--by", "bob", "--reason", "counted twice")
    lines = [line.split() for line in cli("audit").stdout.splitlines()]
    assert lines[0] == ["number", "when", "who", "did", "what", "run", "why"]
    assert lines[1][-6:] == ["bob", "invalidated", "visits[2025-01-02]", "-", "counted", "twice"]
    assert " ".join(lines[2]).endswith("backfill, 2025-01-01 to 2025-01-03")
    assert " asked for a run visits " in " ".join(lines[2])
    assert "matches" in cli("audit", "--by", "eve").stderr
    assert cli("audit", "--run", "nothing").status == 2
    assert cli("audit", "--limit", "0").status == 2


def test_a_cancelled_run_says_by_whom_and_why(cli, shop):
    """`run` shows it, and who asked for the run."""
    (shop / "waits.py").write_text(
        "from flowstone import Context, Pipeline\n"
        "pipeline = Pipeline('waits')\n"
        "@pipeline.asset\n"
        "async def asks(context: Context) -> int:\n"
        "    context.approval('publish')\n"
        "    return 1\n"
    )
    run = cli("materialize", "waits.py", "asks", "--json").document["run_id"]
    assert cli("cancel", run, "--by", "bob", "--reason", "not this week").status == 0
    told = cli("run", run)
    assert "by        nina" in told.stdout
    assert "because   bob asked for it: not this week" in told.stdout
    document = cli("run", run, "--json").document
    assert (document["by"], document["cancel_reason"]) == ("nina", "asked")
    assert (document["cancelled_by"], document["cancel_comment"]) == ("bob", "not this week")
    assert entries(cli) == [("nina", "run.queued", "asks"), ("bob", "run.cancel_requested", "asks")]
