"""A line that no command takes: what is said instead, in one line and with the status of wrong usage."""

from __future__ import annotations

import pytest

from flowstone.cli import app, mistakes

TOO_MANY = [
    (["materialize", "shop.py", "orders", "total"], "'total' is one word too many: materialize takes MODULE"),
    (["materialize", "shop.py", "orders", "total"], "Another ASSET takes a command of its own."),
    (["materialize", "shop.py", "visits", "2025-01-01"], "A partition is given as --partition 2025-01-01."),
    (["materialize", "shop.py", "visits", "a b"], "A partition is given as --partition 'a b'."),
    (["materialize", "shop.py", "total", "limits.high=5"], "A field of a config is given as --config limits.high="),
    (["backfill", "shop.py", "visits", "2025-01-01"], "A partition is given as --partition 2025-01-01."),
    (["backfill", "shop.py", "visits", "2025-01-01", "2025-01-03"], "as --start 2025-01-01 --end 2025-01-03."),
    (["plan", "shop.py", "visits", "2025-01-01"], "A partition is given as --partition 2025-01-01."),
    (["status", "visits", "2025-01-01"], "A partition is given as --partition 2025-01-01."),
    (["status", "visits", "postgresql://me:hush@db/x"], "A store is given as --store postgresql://me:***@db/x."),
    (["runs", "visits"], "runs takes only options. An asset is given as --asset visits."),
    (["cancel", "1a22", "1a23"], "cancel takes ID. Another ID takes a command of its own."),
    (["graph", "shop.py", "visits"], "graph takes MODULE:PIPELINE."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), TOO_MANY)
def test_a_word_too_many_is_told_where_it_belongs(shop, cli, arguments, words):
    """Nothing is computed; passwords are not shown."""
    said = cli(*arguments)
    assert (said.status, said.stdout) == (2, "")
    assert words in " ".join(said.stderr.split())
    assert "hush" not in said.stderr
    assert not (shop / ".flowstone").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rerun", "`flowstone retry MODULE:PIPELINE RUN`"),
        ("start", "`flowstone serve MODULE:PIPELINE`"),
        ("up", "`flowstone serve MODULE:PIPELINE`"),
        ("dev", "`flowstone serve MODULE:PIPELINE`"),
        ("list", "`flowstone assets MODULE:PIPELINE`"),
        ("stop", "`flowstone cancel RUN`"),
        ("asset", "Did you mean 'assets'"),
        ("materialise", "Did you mean 'materialize'?"),
    ],
)
def test_a_command_of_other_tools_leads_to_ours(cli, name, words):
    """Whatever follows it on the line."""
    for rest in ([], ["shop.py", "--all"]):
        said = cli(name, *rest)
        assert (said.status, said.stdout) == (2, "")
        assert repr(name) in said.stderr
        assert words in said.stderr


def test_no_command_is_told_about_that_there_is():
    """A command of that name would never be told about; one that is named exists."""
    assert not set(mistakes._INSTEAD) & app._NAMES
    for hint in mistakes._INSTEAD.values():
        for quoted in hint.split("`")[1::2]:
            words = quoted.removeprefix("flowstone ").split()
            assert words[0] in app._NAMES or words[0].startswith("--")
