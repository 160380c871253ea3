"""The page about the command line says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from flowstone.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined] # a group, by construction


def test_the_help_lists_every_command_with_the_first_sentence_of_its_own(cli):
    """The list is made without importing them; and with what the exit status says."""
    listed = cli("--help").stdout
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.help.splitlines()[0])}$", listed, re.MULTILINE)
    assert "Exit status: 0 all succeeded" in " ".join(listed.split())
    assert "75 not done yet" in " ".join(listed.split())
    assert "141 nobody reads" in " ".join(listed.split())


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"], ["nope"], ["status", "--nope"]])
def test_help_and_wrong_usage_need_no_screen(program, arguments):
    """Neither the library that draws tables, nor what a run needs, is imported to say how a command is used."""
    told = program(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"}).stderr
    imported = set(re.findall(r"\|\s*(\S+)$", told, re.MULTILINE))
    assert "flowstone.cli.app" in imported
    assert {each for each in imported if each.startswith(("rich.markdown", "typer.rich_utils"))} == set()
    commands = {each for each in imported if each.startswith("flowstone.cli.commands.")}
    assert commands <= {f"flowstone.cli.commands.{name}" for name in arguments}


def options(name):
    return {word for param in COMMANDS[name].params for word in param.opts if word.startswith("--")}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_on_the_page(name):
    """Each command is described, takes --json and --debug, and its help fits a line."""
    assert re.search(rf"`(flowstone )?{name}\b", PAGE)
    assert options(name) >= {"--json", "--debug"}
    summary = (COMMANDS[name].help or "").splitlines()[0]
    assert 10 < len(summary) < 70


def test_every_command_is_in_the_table_at_the_top():
    """So that one who looks for it finds it."""
    table = PAGE[: PAGE.index("\n## ")]
    rows = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert [name for name in COMMANDS if not re.search(rf"(flowstone |`){name}\b", rows)] == []


@pytest.mark.parametrize("option", sorted({option for name in COMMANDS for option in options(name)}))
def test_every_option_is_on_the_page(option):
    """No option is a secret."""
    assert option in PAGE


def documented(command):
    """The keys of a command's JSON document as the page lists them."""
    rows = [
        line for line in PAGE.splitlines() if line.startswith("|") and f"`{command}`" in line.split("|")[1]
    ]
    row = next(row for row in rows if "`" in row.split("|")[2] and "[" not in row.split("|")[2])
    return set(re.findall(r"`([a-z_]+)`", row.split("|")[2]))


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("materialize", ["shop.py", "orders"]),
        ("backfill", ["shop.py", "visits", "--end", "2025-01-02"]),
        ("plan", ["shop.py", "visits"]),
        ("assets", ["shop.py"]),
        ("graph", ["shop.py"]),
        ("runs", []),
        ("status", ["orders"]),
        ("status", ["orders", "--failed"]),
        ("status", ["--missing", "--pipeline", "shop.py"]),
        ("partitions", ["list", "customers"]),
        ("partitions", ["add", "customers", "ada"]),
        ("lineage", ["orders"]),
        ("invalidate", ["orders"]),
        ("tree", ["shop.py"]),
        ("doctor", []),
    ],
)
def test_documents_have_the_keys_on_the_page(shop, cli, command, arguments):
    """Every top-level key of a document is on the page, and no other."""
    cli("materialize", "shop.py", "orders")
    keys = set(cli(command, *arguments, "--json").document)
    listed = documented(command)
    assert keys <= listed


@pytest.mark.parametrize(
    "command",
    ["graph shop.py", "graph shop.py --format mermaid", "tree shop.py", "materialize shop.py total"],
)
def test_sessions_show_what_the_program_shows(tmp_path, monkeypatch, cli, command):
    """A session on the page whose output is the same each time, with the file that the page has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWSTONE_STORE", "memory://")
    (tmp_path / "shop.py").write_text(PAGE.partition("```python\n")[2].partition("```")[0])
    session = PAGE.partition(f"$ flowstone {command}\n")[2]
    shown = re.split(r"^(?:```|\$ )", session, maxsplit=1, flags=re.MULTILINE)[0]
    result = cli(*command.split())
    assert (result.stdout + result.stderr).strip() == shown.strip()
