"""`flowstone logs`: what attempts logged and printed, of a run, an asset or a partition."""

from __future__ import annotations

import json
import re

import pytest

SPEAKING = """
import logging
from flowstone import Pipeline, StaticPartitions

pipeline = Pipeline("speaking")


@pipeline.asset(partitions=StaticPartitions(["a", "b"]))
def raw(context) -> int:
    context.log.info("read", rows=3)
    print("escape \\x1b[31m")
    if context.partition == "b":
        try:
            raise OSError("no disk")
        except OSError:
            logging.getLogger("shop.db").exception("oh password=%s", "s3cret")
        raise ValueError("no b")
    return 1


@pipeline.asset
def silent() -> int:
    return 1
"""
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ")


@pytest.fixture
def run_id(shop, cli):
    """Of a backfill of which one step failed, and said where to look."""
    (shop / "speaking.py").write_text(SPEAKING)
    ran = cli("backfill", "speaking.py", "raw", "--max-parallel", "1")
    assert ran.status == 1
    told = re.search(r"`flowstone logs (\w+)` what was logged", ran.stderr)
    return told[1]


def test_the_log_of_a_run_is_shown(cli, run_id):
    """With fields behind the message and a traceback below it; nothing in it acts on the terminal."""
    shown = cli("logs", run_id[:20])
    assert (shown.status, shown.stderr) == (0, "")
    lines = [LINE.sub("", line) for line in shown.stdout.splitlines()]
    assert lines[:4] == [
        "[info] raw[a]: read rows=3",
        "[info] raw[a]: escape \\x1b[31m",
        "[info] raw[b]: read rows=3",
        "[info] raw[b]: escape \\x1b[31m",
    ]
    assert lines[4] == "[error] raw[b]: shop.db: oh password=***"
    assert lines[5] == "    Traceback (most recent call last):"
    assert lines[-1] == "    OSError: no disk"
    assert "s3cret" not in shown.stdout


def test_lines_are_chosen_by_asset_partition_and_level(cli, run_id):
    """Where there are none, that is said."""
    shown = cli("logs", run_id, "raw", "--partition", "a")
    assert len(shown.stdout.splitlines()) == 2
    assert "raw[b]" not in shown.stdout
    assert cli("logs", run_id, "raw", "--level", "warning").stdout.count("raw[b]") == 1
    nothing = cli("logs", run_id, "row")
    assert nothing.stdout == ""
    assert nothing.stderr == f"Run {run_id} has kept no such lines of row. Did you mean 'raw'?\n"
    wrong = cli("logs", run_id, "--partition", "a")
    assert wrong.status == 2


def test_logs_are_documents(cli, run_id):
    """One of all, or one a line for who follows; a run that has ended is followed to its end."""
    document = cli("logs", run_id, "raw", "--partition", "b", "--json").document
    assert document["run"] == run_id
    first, *_, last = document["lines"]
    assert (first["message"], first["fields"], first["attempt"]) == ("read", {"rows": 3}, 1)
    assert last["fields"]["logger"] == "shop.db"
    followed = cli("logs", run_id, "raw", "--partition", "b", "--json", "-f")
    assert [json.loads(line) for line in followed.stdout.splitlines()] == document["lines"]


def test_the_newest_lines_alone_are_shown(cli, run_id):
    """So many of all, or of one step."""
    shown = cli("logs", run_id, "--tail", "1")
    assert "OSError: no disk" in shown.stdout
    assert shown.stdout.count("raw[") == 1
    first = cli("logs", run_id, "raw", "--partition", "a", "--tail", "1").stdout
    assert LINE.sub("", first) == "[info] raw[a]: escape \\x1b[31m\n"
    assert cli("logs", run_id, "--tail", "100").stdout == cli("logs", run_id).stdout
    assert cli("logs", run_id, "--tail", "0").status == 2
