"""Text that would drive the terminal, pushed through every command: nothing of it acts, and JSON stays exact."""

from __future__ import annotations

import json
import os
import re

import pytest

from flowstone.printable import printable

HOSTILE = "a\x1b]0;owned\x07\x1b[31m\r\u202egnp\u202c\u2066\x9b2J[red]b\nc[/red]\u200b"
PIPELINE = f"""
import logging
from flowstone import Output, Pipeline, StaticPartitions
HOSTILE = {HOSTILE!r}
pipeline = Pipeline("p")
keys = StaticPartitions([HOSTILE, "plain"])
io = {{}}
resources = {{HOSTILE: object()}}

@pipeline.asset(partitions=keys, description=HOSTILE, tags={{HOSTILE: HOSTILE}}, version=HOSTILE)
def good(context) -> Output[int]:
    print("told")
    context.log.warning(HOSTILE, said=HOSTILE)
    logging.getLogger(HOSTILE).warning("%s", HOSTILE)
    context.progress(0.5, HOSTILE)
    return Output(1, metadata={{HOSTILE: HOSTILE}})

@pipeline.asset(partitions=keys)
def bad(context, good: int) -> int:
    raise ValueError(HOSTILE)

@pipeline.asset(partitions=keys)
def skipped(bad: int) -> int:
    return 1
"""
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ud800-\udfff]")


def harmless(result, *, traceback=False):
    """Nothing acts in what a command said, and what is a line of it is ours."""
    said = result.stdout + result.stderr
    assert said
    assert ACTING.search(said) is None, ACTING.search(said)
    assert traceback or not re.search("^c\\[/red\\]", said, re.MULTILINE)
    return result


@pytest.fixture
def hostile(shop):
    (shop / "hostile.py").write_text(PIPELINE, encoding="utf-8")
    return shop


@pytest.fixture
def ran(hostile, cli):
    """What a run of it left behind, and the run's id."""
    harmless(cli("backfill", "hostile.py", "skipped", "--upstream"))
    return cli("runs", "--json").document["runs"][0]["id"]


@pytest.mark.parametrize(
    "command",
    [
        ("assets", "hostile.py"),
        ("graph", "hostile.py"),
        ("graph", "hostile.py", "--format", "mermaid"),
        ("graph", "hostile.py", "--format", "dot"),
        ("plan", "hostile.py", "skipped"),
        ("plan", "hostile.py", "skipped", "--partition", HOSTILE),
        ("doctor", "hostile.py"),
        ("materialize", "hostile.py", "good", "--partition", HOSTILE),
        ("materialize", "hostile.py", "skipped", "--partition", HOSTILE, "--upstream"),
        ("backfill", "hostile.py", "skipped", "--upstream"),
        ("backfill", "hostile.py", "good", "--start", HOSTILE),
        ("runs",),
        ("run", "RUN"),
        ("status", "good"),
        ("status", "good", "--pipeline", "hostile.py", "--partition", HOSTILE),
        ("status", "bad", "--failed"),
        ("status", HOSTILE, "--failed"),
        ("status", "--missing", "--pipeline", "hostile.py"),
        ("partitions", "add", "set", HOSTILE),
        ("partitions", "list", HOSTILE),
        ("runs", "--asset", HOSTILE, "--tag", HOSTILE),
        ("lineage", "good"),
        ("cancel", "RUN", "--by", HOSTILE, "--reason", HOSTILE),
        ("invalidate", "good", "--by", HOSTILE, "--reason", HOSTILE),
        ("audit",),
        ("audit", "--by", HOSTILE, "--asset", HOSTILE),
        ("tree",),
    ],
    ids=" ".join,
)
def test_what_a_pipeline_says_drives_no_terminal(ran, cli, command):
    """Keys, descriptions, tags, metadata, messages, tracebacks and log lines, in every command; JSON is exact."""
    command = [ran if word == "RUN" else word for word in command]
    harmless(cli(*command))
    harmless(cli(*command, "--debug"), traceback=True)
    result = harmless(cli(*command, "--json"))
    document = json.dumps(result.document)
    if command[:2] in (["assets", "hostile.py"], ["run", ran], ["status", "good"]):
        assert json.dumps(HOSTILE)[1:-1] in document


@pytest.mark.parametrize(
    "arguments",
    [
        (HOSTILE,),
        (f"--{HOSTILE}",),
        ("assets", HOSTILE),
        ("assets", f"{HOSTILE}.py"),
        ("assets", f"hostile.py:{HOSTILE}"),
        ("assets", "hostile.py", HOSTILE),
        ("graph", "hostile.py", "--format", HOSTILE),
        ("materialize", "hostile.py", HOSTILE),
        ("materialize", "hostile.py", "good", "--partition", f"x{HOSTILE}"),
        ("backfill", "hostile.py", "good", "--max-parallel", HOSTILE),
        ("runs", "--store", HOSTILE),
        ("runs", "--store", f"file://{HOSTILE}"),
        ("runs", "--store", f"postgresql://{HOSTILE}@/x"),
        ("runs", "--before", HOSTILE),
        ("runs", "--status", HOSTILE),
        ("partitions", HOSTILE, "set"),
        ("partitions", "list", "set", HOSTILE),
        ("partitions", "list", HOSTILE, "--pipeline", "hostile.py"),
        ("run", HOSTILE),
        ("status", HOSTILE),
        ("lineage", HOSTILE),
        ("cancel", HOSTILE),
        ("audit", "--run", HOSTILE),
        ("audit", "--before", HOSTILE),
        ("serve", "hostile.py", "--store", f"memory://{HOSTILE}"),
        ("worker", "hostile.py", "--store", f"file://{HOSTILE}"),
        ("migrate", "--store", f"file://{HOSTILE}"),
        ("runs", "--store", os.fsdecode(b"file://\xff\x1b[31m")),
    ],
    ids=lambda arguments: printable(" ".join(arguments))[:40],
)
@pytest.mark.parametrize("more", [(), ("--json",), ("--debug",)])
def test_what_was_typed_is_repeated_harmlessly(hostile, cli, arguments, more):
    """An argument may come from a script, and the parser's own errors repeat it."""
    harmless(cli(*arguments, *more), traceback="--debug" in more)


def test_a_module_that_cannot_be_imported_drives_no_terminal(hostile, cli):
    """What its exception says, and its lines of source, are somebody's text."""
    (hostile / "broken.py").write_text(f"raise ValueError({HOSTILE!r})  # \u202e\n", encoding="utf-8")
    harmless(cli("assets", "broken.py"))
    harmless(cli("assets", "broken.py", "--debug"), traceback=True)
    harmless(cli("assets", "broken.py", "--json"))
