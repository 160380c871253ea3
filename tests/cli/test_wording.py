"""What a command says is in the words of the command line: options and commands, never arguments of Python."""

from __future__ import annotations

import re

import pytest

from flowstone import FlowstoneError, PartitionError
from flowstone.cli.problem import describe
from flowstone.remedies import Remedies

PIPELINE = """
from flowstone import Config, DailyPartitions, DynamicPartitions, MultiPartitions, Pipeline, StaticPartitions

pipeline = Pipeline("sales")
days = DailyPartitions("2025-01-01", "2025-01-10")


class RawConfig(Config):
    size: int


class ReportConfig(Config):
    threshold: int = 3
    raw: int = 0


@pipeline.asset
def raw(config: RawConfig) -> int:
    return config.size


@pipeline.asset
def report(raw: int, config: ReportConfig) -> int:
    return raw + config.threshold


@pipeline.asset
def letter(report: int) -> int:
    return report


@pipeline.asset(partitions=days)
def visits() -> int:
    return 1


@pipeline.asset(partitions=StaticPartitions(["north", "south"]))
def region() -> int:
    return 1


@pipeline.asset(partitions=DynamicPartitions("customers"))
def bills() -> int:
    return 1


@pipeline.asset(partitions=MultiPartitions(customer=DynamicPartitions("customers"), day=days))
def usage() -> int:
    return 1
"""

IN_PYTHON = re.compile(
    r"\w+=[\[{(…'\"]|\b(?:upstream|partition|config|start|end)=|runtime\.\w+\(|materialize_all|\w\(…?\)"
)

SAID = [
    ("materialize letter", "report has no value. Materialize upstream first, or add --upstream."),
    ("materialize raw", "size is required and has no default. Pass --config raw.size=VALUE."),
    ("materialize letter --upstream", "The config of asset 'raw' (…) is refused: size is required"),
    ("materialize raw --config size=x", "parse string as an integer. It is given as --config raw.size=VALUE."),
    ("materialize raw --config siez=5", "Did you mean 'size'? It is given as --config raw.size=VALUE."),
    ("materialize raw --config threshold=5", "The field 'threshold' of 'report' is --config report.threshold="),
    ("materialize letter --config size=5", "takes no config: annotate"),
    ("materialize letter --config size=5", "The field 'size' of 'raw' is --config raw.size=VALUE."),
    ("materialize report --config raw=5", "The field 'raw' of 'report' is --config report.raw=VALUE."),
    ("materialize letter --config raw=5", "takes the fields of RawConfig. Write --config raw.FIELD=VALUE."),
    ("plan report --config raw.size=5", "Leave them out, or compute it too with --upstream."),
    ("materialize visits", "say which partition. Write --partition 2025-01-10, for example."),
    ("materialize bills", "say which partition. Write --partition KEY."),
    ("materialize visits --partition 2025-02-01", "`flowstone plan MODULE:PIPELINE visits` lists its partitions."),
    ("materialize visits --partition x", "write it as YYYY-MM-DD. `flowstone plan MODULE:PIPELINE visits` lists"),
    ("materialize region --partition nort", "Did you mean 'north'? `flowstone plan MODULE:PIPELINE region` lists"),
    ("materialize bills --partition b'b", "`flowstone partitions add customers 'b'\"'\"'b'` adds it, and `list"),
    ("materialize usage --partition bob|2025-01-01", "`flowstone partitions add customers bob` adds it"),
    ("backfill letter", "Name its partitions with --partition, or use `flowstone materialize` for its one value."),
    ("plan letter --start 1", "has no partition set. Name its partitions with --partition, or use `flowstone"),
    ("backfill visits --start x", "Asset 'visits': 'x' is not a valid day of"),
    ("backfill visits --start x", "`flowstone plan MODULE:PIPELINE visits` lists its partitions."),
    ("backfill bills --start bob", "has no keys yet"),
]  # fmt: skip


@pytest.fixture
def sales(tmp_path, monkeypatch):
    """A folder with a pipeline of which much can be asked in a wrong way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWSTONE_STORE", "file://.flowstone")
    (tmp_path / "sales.py").write_text(PIPELINE)
    return tmp_path


@pytest.mark.parametrize(("line", "words"), SAID)
def test_what_to_do_is_said_in_options_and_commands(sales, cli, line, words):
    """In the sentence itself no argument of Python is left either."""
    command, asset, *options = line.split()
    result = cli(command, "sales.py", asset, *options)
    told = re.sub(r"\(sales\.py:\d+\)", "(…)", " ".join(result.stderr.split()))
    assert words in told
    for definition in re.findall(r"\w+Partitions\(.*?\)\)?", told):
        told = told.replace(definition, "")
    assert IN_PYTHON.search(told) is None, told


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("runs --status foo", "'foo' is not a status of a run. --status takes queued, running, waiting,"),
        ("approvals --status foo", "'foo' is not a status of an approval. --status takes pending, approved,"),
        ("approve 1a --by ", "'' is not a text of 1 to 10,000 characters. --by takes one."),
        (
            "materialize sales.py raw --submit --key ",
            "'' cannot be the key of a run. --key takes text of 1 to",
        ),
        (
            "materialize sales.py raw --submit --priority 9999999999",
            "--priority': it takes a whole number of at most",
        ),
    ],
)
def test_a_value_that_an_option_does_not_take_is_told_with_what_it_takes(
    sales, cli, monkeypatch, line, words
):
    """Of Python's arguments nothing is said, nor of None for all."""
    monkeypatch.setattr("flowstone.cli.submission.shares", lambda _store: True)
    result = cli(*line.split(" "))
    told = " ".join(result.stderr.split())
    assert result.status == 2
    assert words in told
    assert IN_PYTHON.search(told) is None
    assert "None" not in told


def test_the_remedy_is_a_field_of_its_own_for_programs(sales, cli):
    """With `--json`, as everywhere."""
    error = cli("materialize", "sales.py", "region", "--partition", "nort", "--json").document["error"]
    assert error["message"].endswith("Did you mean 'north'?")
    assert error["remedy"] == "`flowstone plan MODULE:PIPELINE region` lists its partitions."


def test_fields_of_the_asset_may_stand_beside_those_of_another(sales, cli):
    """Without its name, as alone; the last one wins, whichever way it is written."""
    result = cli(
        "materialize", "sales.py", "report", "--upstream", "--json",
        "--config", "raw.size=5", "--config", "report.threshold=1", "--config", "threshold=2",
    )  # fmt: skip
    assert result.status == 0, result.stderr
    configs = {step["asset"]: step["config"] for step in result.document["steps"]}
    assert configs == {"raw": {"size": 5}, "report": {"threshold": 2, "raw": 0}}


def test_an_empty_backfill_says_how_a_set_gets_keys(sales, cli):
    """It succeeds, and is not what was wanted."""
    result = cli("backfill", "sales.py", "bills")
    assert result.status == 0
    assert "`flowstone partitions add customers KEY ...` adds some." in result.stderr


def test_an_error_has_its_remedy_in_the_words_of_each_interface():
    """`str` is for Python; the sentence is for all, the other remedy for the command line."""
    error = PartitionError("It has no such key.", remedies=Remedies("Call add().", "Use `add`."))
    assert (str(error), error.sentence) == ("It has no such key. Call add().", "It has no such key.")
    problem = describe(error)
    assert (problem.message, problem.remedy) == ("It has no such key.", "Use `add`.")
    assert str(PartitionError("No.", remedies=Remedies(command="Use `add`."))) == "No."


def test_an_error_of_a_class_that_calls_no_constructor_is_shown():
    """Whoever subclasses an error may forget it."""

    class Odd(FlowstoneError):
        def __init__(self, code: int) -> None:
            self.code = code

    assert (str(Odd(5)), describe(Odd(5)).remedy) == ("5", "")
