"""The benchmark harness: verdicts follow from figures, rounds alternate, and made functions are real ones."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import importlib
import inspect
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

TIMES = "\N{MULTIPLICATION SIGN}"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _benchmarks_are_importable(monkeypatch):
    """The benchmarks are a folder of the repository, not part of the distribution."""
    monkeypatch.syspath_prepend(str(ROOT))


def figure(**given):
    """A figure with the given facts."""
    return importlib.import_module("benchmarks.figure").Figure(
        **{"name": "n", "unit": "µs", "ours": 1.0, **given}
    )


@pytest.mark.parametrize(
    ("given", "verdict", "target"),
    [
        ({}, "-", ""),
        ({"ours": 5, "at_most": 5}, "met", "≤ 5 µs"),
        ({"ours": 5.1, "at_most": 5}, "MISSED", "≤ 5 µs"),
        ({"ours": 30, "bare": 10, "ratio_at_most": 4, "stretch": 2}, "met", f"≤ 4{TIMES} bare"),
        ({"ours": 20, "bare": 10, "ratio_at_most": 4, "stretch": 2}, "stretch", f"≤ 4{TIMES} bare"),
        ({"ours": 41, "bare": 10, "ratio_at_most": 4, "stretch": 2}, "MISSED", f"≤ 4{TIMES} bare"),
        ({"ours": 20, "ratio_at_most": 4}, "-", f"≤ 4{TIMES} bare"),
    ],
)
def test_a_verdict_follows_from_the_target(given, verdict, target):
    """A figure is judged by its ratio where it has one to meet, else by its value, else not at all."""
    row = figure(**given)
    assert (row.verdict, row.target) == (verdict, target)


async def test_rounds_alternate_and_the_best_counts(monkeypatch):
    """Bare and FlowStone rounds take turns, each behind a collection, and each side keeps its fastest."""
    collected: list[None] = []  # Six collections of all that a session of tests holds take a minute.
    monkeypatch.setattr(gc, "collect", lambda: collected.append(None))
    turns, times = [], iter([3.0, 30.0, 1.0, 10.0, 2.0, 20.0])

    def side(name):
        async def one_round():
            turns.append(name)
            return next(times)

        return one_round

    best = await importlib.import_module("benchmarks.timing").best(3, side("bare"), side("ours"))
    assert turns == ["bare", "ours"] * 3
    assert best == (1.0, 10.0)
    assert len(collected) == 6


async def test_seconds_measures_the_work():
    """The time of an awaitable is what its loop's clock saw pass, give or take scheduling."""
    taken = await importlib.import_module("benchmarks.timing").seconds(asyncio.sleep(0.01))
    assert 0.009 < taken < 5


async def test_made_functions_have_the_parameters_asked_for():
    """A made function is a coroutine function whose signature and name are those of a typed one."""
    made = importlib.import_module("benchmarks.functions").function("total", ["a", "b"], "return a + b")
    assert made.__name__ == "total"
    assert list(inspect.signature(made).parameters) == ["a", "b"]
    assert await made(1, 2) == 3


@pytest.mark.parametrize("name", ["core", "durable"])
def test_every_listed_benchmark_can_measure(name):
    """Each name on the list is a module with `measure(*, quick)`, and each module is on the list."""
    suite = importlib.import_module(f"benchmarks.{name}")
    files = {path.stem for path in (ROOT / "benchmarks" / name).glob("*.py")} - {"__init__"}
    assert set(suite.BENCHMARKS) == files
    assert set(suite.BENCHMARKS) >= suite.LOOPLESS
    for each in suite.BENCHMARKS:
        measure = importlib.import_module(f"benchmarks.{name}.{each}").measure
        assert list(inspect.signature(measure).parameters) == ["quick"]


@pytest.mark.parametrize("suite", ["core", "durable"])
def test_the_readme_lists_every_benchmark(suite):
    """The table of benchmarks names each module."""
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    names = importlib.import_module(f"benchmarks.{suite}").BENCHMARKS
    assert [name for name in names if f"({suite}/{name}.py)" not in readme] == []


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (0.034, "0.03"), (9.94, "9.94"), (40.123, "40.1"), (12345.6, "12,346")]
)
def test_amounts_have_three_figures(value, shown):
    """Amounts are short enough to compare at a glance."""
    assert importlib.import_module("benchmarks.report").amount(value) == shown


def test_a_report_is_json_for_programs(monkeypatch):
    """The JSON report holds each figure with its loop, ratio and verdict, and says where it was taken."""
    report = importlib.import_module("benchmarks.report")
    row = report.Row("uvloop", figure(ours=30, bare=10, ratio_at_most=4))
    told = json.loads(report.as_json([row]))
    assert told["cores"]
    expected = dataclasses.asdict(row.figure) | {"loop": "uvloop", "ratio": 3.0, "verdict": "met"}
    assert told["figures"] == [expected]


@pytest.mark.parametrize(("judged", "verdict"), [(True, "MISSED"), (False, "-")])
def test_a_report_is_a_table_for_people(monkeypatch, judged, verdict):
    """The table shows ratio, target and verdict; small sizes are not judged."""
    report = importlib.import_module("benchmarks.report")
    printed = io.StringIO()
    monkeypatch.setattr(report, "Console", lambda **_: Console(file=printed, width=140))
    report.as_table([report.Row("asyncio", figure(ours=50, bare=10, ratio_at_most=4))], judged=judged)
    cells = next(line for line in printed.getvalue().splitlines() if "asyncio" in line).split("│")
    assert [cell.strip() for cell in cells][-2] == verdict
    assert f"5.0{TIMES}" in printed.getvalue()


def test_a_report_is_markdown_for_documents():
    """The Markdown report is a table whose rows have as many cells as its heading."""
    report = importlib.import_module("benchmarks.report")
    told = report.as_markdown([report.Row("asyncio", figure(ours=5, at_most=6))], judged=True).splitlines()
    assert told[2].startswith("| what | loop |")
    assert told[4] == "| n | asyncio | 5.00 |  |  | µs | ≤ 6 µs | met |"
    assert len({line.count("|") for line in told[2:]}) == 1


@pytest.mark.parametrize(
    "given", [["other"], ["core", "--only", "submitting"], ["durable", "--only", "chain"]]
)
def test_the_command_line_refuses_what_it_does_not_know(given):
    """A suite or benchmark that is not there ends with the status of a usage error."""
    command = [sys.executable, "-m", "benchmarks", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert given[-1] in done.stderr


async def test_the_baseline_of_the_durable_benchmarks_records_as_much(database):
    """The bare program of the durable benchmarks writes as many rows as the journal did, batch for batch."""
    postgres = importlib.import_module("benchmarks.postgres")
    connection = await postgres.prepared(database)
    with postgres.batches() as seen:
        async with importlib.import_module("flowstone").Runtime(
            importlib.import_module("benchmarks.durable.backfill").year(5), store=database
        ) as runtime:
            await runtime.backfill("report", upstream=True)
    await postgres.bare(connection, seen.sent)
    pairs = {
        "bare_ends": "materializations",
        "bare_events": "events",
        "bare_inputs": "inputs",
        "bare_values": "payloads",
    }
    for bare, ours in pairs.items():
        counts = [
            await connection.fetchval(f"select count(*) from {table}")
            for table in (bare, f"flowstone.{ours}")
        ]
        assert counts[0] == counts[1] > 0
    starts = [
        await connection.fetchval(f"select sum(cardinality(at)) from {table}")
        for table in ("bare_starts", "flowstone.starts")
    ]
    assert starts == [15, 15]
    await connection.close()


def test_the_command_line_measures_and_reports():
    """`python -m benchmarks core` runs a benchmark in a fresh interpreter and prints its figures."""
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "core",
        "--only",
        "mailbox",
        "--loop",
        "uvloop",
        "--quick",
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)["figures"]
    assert [row["name"] for row in figures] == ["cast to an actor", "call to an actor"]
    assert all(row["ours"] > 0 and row["bare"] > 0 for row in figures)
