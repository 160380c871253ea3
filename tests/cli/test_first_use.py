"""What a command loads: nothing of what it does not use, because somebody waits for its prompt."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from flowstone.cli import main

sys.argv = ["flowstone", *sys.argv[1:]]
try:
    main()
except SystemExit:
    print(*sys.modules)
"""

HEAVY = ("flowstone.runtime.runtime", "flowstone.actors", "structlog", "rich.console", "pydantic", "asyncio")


def loaded(*arguments):
    """The modules that a command has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_version_loads_no_command():
    """It only looks into the package's metadata."""
    modules = loaded("--version")
    assert not set(HEAVY) & modules
    assert not [name for name in modules if name.startswith("flowstone.cli.commands.")]


def test_looking_loads_no_pydantic(shop, cli, monkeypatch):
    """Neither to read the line, with a number and a choice of its own, nor for the environment's store."""
    assert cli("materialize", "shop.py", "total", "--upstream").status == 0
    monkeypatch.delenv("FLOWSTONE_CONNECT_TIMEOUT")
    for line in (
        ["status", "total"],
        ["status", "total", "--store", "file://.flowstone", "--limit", "3", "--json"],
        ["runs", "--asset", "total", "--limit", "5"],
        ["lineage", "total"],
        ["approvals"],
    ):
        modules = loaded(*line)
        assert "flowstone.cli.screen" in modules
        assert not {"pydantic", "pydantic_settings", "asyncpg"} & modules, line


def test_a_command_loads_no_other_one():
    """Nor what only they need."""
    modules = loaded("runs", "--help")
    assert [name for name in modules if name.startswith("flowstone.cli.commands.")] == [
        "flowstone.cli.commands.runs"
    ]
