"""Numbers and choices on the command line, and settings in the environment: one sentence says what is taken."""

from __future__ import annotations

import re

import pytest
import typer.main

from flowstone.cli.app import app

COMMANDS = typer.main.get_command(app).commands
NUMBERS = [
    (command, option.opts[0])
    for command, found in COMMANDS.items()
    for option in found.params
    if option.metavar in {"N", "S"} and option.opts[0].startswith("-")
]


def words(result) -> str:
    """What stderr says, on one line."""
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(("command", "option"), NUMBERS)
def test_a_number_that_is_none(shop, cli, command, option):
    """The option, what it takes, and what was given; in no library's words."""
    result = cli(command, "shop.py", option, "x")
    assert result.status == 2
    assert re.search(rf"'{option}'( \(env var: '\w+'\))?: it takes a", words(result))
    assert words(result).count("not 'x'.") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["runs", "--limit", "99999999999999999999"],
            "'--limit': it takes a whole number of at most 2,147,483,647, not '99999999999999999999'.",
        ),
        (["runs", "--limit", "0"], "'--limit': it takes a whole number of at least 1, not '0'."),
        (["plan", "a", "b", "--limit", "-1"], "'--limit': it takes a whole number of at least 0, not '-1'."),
        (
            ["worker", "a", "--lease", "0"],
            "'--lease': it takes a number of seconds of at least 0.1, not '0'.",
        ),
        (["worker", "a", "--lease", "nan"], "at least 0.1, not 'nan'."),
        (["materialize", "a", "b", "--priority", "1.5"], "'--priority': it takes a whole number, not '1.5'."),
        (["plan", "a", "b", "--refresh", "no"], "'--refresh': 'no' is not one of 'all', 'stale', 'missing'."),
    ],
)
def test_what_an_option_takes(shop, cli, arguments, told):
    """The bounds are part of the sentence."""
    result = cli(*arguments)
    assert result.status == 2
    assert told in words(result)


def test_every_number_is_looked_at():
    """The commands have such options at all."""
    assert {("runs", "--limit"), ("backfill", "--max-parallel"), ("serve", "--port")} <= set(NUMBERS)


@pytest.mark.parametrize("command", [["plan", "shop.py", "total"], ["runs"]])
def test_a_misspelt_variable_is_told_once(shop, cli, monkeypatch, command):
    """On stderr, with the name that was meant and without the value."""
    monkeypatch.setenv("FLOWSTONE_LEESE", "hidden")
    result = cli(*command)
    assert result.status == 0
    assert result.stderr.count("FLOWSTONE_LEESE") == 1
    assert "Did you mean FLOWSTONE_LEASE?" in words(result)
    assert "hidden" not in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "verdict", "told"),
    [
        ("FLOWSTONE_LEESE", "3", "note", "Did you mean FLOWSTONE_LEASE?"),
        ("FLOWSTONE_PORT", "80", "note", ""),
        ("FLOWSTONE_LEASE", "abc", "wrong", "Give it such a value, or unset it."),
        ("FLOWSTONE_LEASE", "3", "ok", ""),
    ],
)
def test_the_doctor_looks_at_the_environment(shop, cli, monkeypatch, name, value, verdict, told):
    """What is no setting is noted, and what cannot be is wrong."""
    monkeypatch.setenv(name, value)
    checks = {check["name"]: check for check in cli("doctor", "--json").document["checks"]}
    assert checks["environment"]["verdict"] == verdict
    assert told in checks["environment"]["remedy"]
    assert (name in checks["environment"]["found"]) == (verdict != "ok")


def test_a_plan_of_what_is_computed_again_says_how_to_reuse(shop, cli):
    """`materialize --upstream` computes everything again, and its plan says which option changes that."""
    cli("materialize", "shop.py", "total", "--upstream")
    again = cli("plan", "shop.py", "total", "--upstream")
    assert "2 to run, 0 to reuse" in again.stdout
    assert "--refresh stale or --refresh missing reuses values" in words(again)
    stale = cli("plan", "shop.py", "total", "--upstream", "--refresh", "stale")
    assert "0 to run, 2 to reuse" in stale.stdout
    assert "--refresh" not in stale.stderr
