"""`flowstone invalidate`, and what leads to it: a step that failed with values of earlier runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowstone.cli.earlier_inputs import earlier_inputs_hint
from flowstone.runs.records import Failure, Input, Materialization, Status

BROKEN = """
from pathlib import Path

from flowstone import Pipeline

pipeline = Pipeline("broken")


@pipeline.asset
def rows() -> list[int]:
    return [3] if Path("fixed").exists() else []


@pipeline.asset
def mean(rows: list[int]) -> float:
    return sum(rows) / len(rows)
"""


@pytest.mark.usefixtures("shop")
def test_values_are_no_longer_current(cli):
    """Of the partitions that are named, or of all; a run with `--refresh missing` computes them again."""
    cli("backfill", "shop.py", "visits_doubled", "--upstream", "--start", "2025-01-01", "--end", "2025-01-04")
    done = cli("invalidate", "visits", "--partition", "2025-01-02", "--partition", "d:2025-01-03")
    assert (done.status, done.stdout) == (0, "visits (2 partitions): 2 values are no longer current\n")
    assert "A run with --upstream computes them again, also with --refresh missing." in done.stderr
    again = ("backfill", "shop.py", "visits", "--start", "2025-01-01", "--end", "2025-01-04", "--json")
    assert cli(*again).document["counts"] == {"succeeded": 2, "reused": 2}
    document = cli("invalidate", "visits", "--json").document
    assert document == {"asset": "visits", "partition_keys": None, "invalidated": 4}
    assert cli(*again).document["counts"] == {"succeeded": 4}
    one = cli("invalidate", "visits", "--partition", "2025-01-04", "--pipeline", "shop.py")
    assert one.stdout == "visits[2025-01-04]: 1 value is no longer current\n"


@pytest.mark.usefixtures("shop")
def test_what_was_computed_from_them_goes_with_them(cli):
    """If it is asked for; in the other case it stands."""
    cli("backfill", "shop.py", "visits_doubled", "--upstream", "--start", "2025-01-01", "--end", "2025-01-02")
    assert cli("invalidate", "visits", "--partition", "2025-01-01").status == 0

    def current(day):
        return len(cli("status", "visits_doubled", "--partition", day, "--json").document["current"])

    assert current("2025-01-01") == 1
    done = cli("invalidate", "visits", "--downstream")
    told = "visits[2025-01-02]: 2 values, with what was computed from them, are no longer current\n"
    assert done.stdout == told
    assert current("2025-01-02") == 0


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["visits"], 1, "visits has no current value in file://.flowstone. `flowstone status visits` shows"),
        (["order"], 1, "order has no current value in file://.flowstone. Did you mean 'orders'?"),
        (["visit", "--pipeline", "shop.py"], 2, "Did you mean 'visits'?"),
        (["visits", "--pipeline", "shop.py", "--partition", "2024-01-01"], 2, "2025-01-01 to 2025-01-10"),
        (["visits", "--store", "memory://"], 2, "A memory store remembers nothing"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_what_was_meant_is_said(cli, words, status, told):
    """Where nothing is invalidated, nothing is said to be."""
    cli("materialize", "shop.py", "orders")
    done = cli("invalidate", *words)
    assert (done.status, done.stdout) == (status, "")
    assert told in " ".join(done.stderr.split())


def test_a_failure_tells_which_inputs_were_reused(cli, shop):
    """And how to compute them again; not when they were computed in the same run."""
    (shop / "broken.py").write_text(BROKEN)
    first = cli("materialize", "broken.py", "mean", "--upstream")
    assert (first.status, "reused" in first.stderr) == (1, False)
    (shop / "fixed").touch()
    told = (
        "Inputs reused from earlier runs: rows. `--upstream --refresh all` computes it again; so does "
        "`--upstream --refresh missing` after `flowstone invalidate rows`."
    )
    for words in (["--upstream", "--refresh", "missing"], []):
        assert told in cli("materialize", "broken.py", "mean", *words).stderr
        (run, *_) = cli("runs", "--json").document["runs"]
        assert told in cli("run", run["id"]).stderr
    assert cli("invalidate", "rows").status == 0
    assert cli("materialize", "broken.py", "mean", "--upstream", "--refresh", "missing").status == 0


def test_only_what_a_function_raised_is_laid_to_its_inputs():
    """Of many inputs the first are named."""
    inputs = tuple(Input("raw", f"d:2025-01-0{day}", "r0", 1) for day in range(1, 6))
    failed = Materialization(
        "report", None, None, "r1", Status.FAILED, failure=Failure("error", "no"), inputs=inputs
    )
    assert earlier_inputs_hint([failed, failed]) == (
        "Inputs reused from earlier runs: raw[2025-01-01], raw[2025-01-02], raw[2025-01-03] and 2 more. "
        "`--upstream --refresh all` computes them again; `--upstream --refresh missing` only those that are "
        "invalidated before, the first by `flowstone invalidate raw --partition 2025-01-01`."
    )
    assert earlier_inputs_hint([replace(failed, failure=Failure("timeout", "too long"))]) is None
    assert earlier_inputs_hint([replace(failed, run_id="r0")]) is None
