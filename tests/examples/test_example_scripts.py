"""The examples that are scripts print what they promise."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from flowstone import Runtime

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path):
    """An example is under 120 lines, so that it can be read at one sitting."""
    assert len(path.read_text().splitlines()) < 120


def test_each_example_is_listed():
    """With its name, in the table of the folder."""
    listed = set(re.findall(r"^\| \[(\w+\.py)\]\(\1\)", (EXAMPLES / "README.md").read_text(), re.MULTILINE))
    assert listed == {path.name for path in EXAMPLES.glob("*.py")}


def test_quickstart_prints_bars_and_records(run_example):
    """The quick start shows its totals as bars and both steps as succeeded."""
    lines = run_example("quickstart").splitlines()
    assert lines[0].split()[0] == "Lisbon"
    assert lines[0].split()[-1] == "1,515"
    assert [line.split()[0] for line in lines[1:3]] == ["Kyoto", "Oslo"]
    assert lines[4].split()[:2] == ["raw", "succeeded"]
    assert "'cities': 3" in lines[5]


def test_flights_prints_a_year(run_example):
    """The flights example counts every departure and draws twelve months."""
    printed = run_example("nyc_flights")
    assert "336,776 flights, 379 steps" in printed
    assert all(month in printed for month in ("Jan", "Jun", "Dec"))
    assert printed.splitlines()[2].split()[0] == "UA"


async def test_flights_agree_with_a_direct_count(example):
    """The report computed day by day equals one computed from the whole table at once."""
    module = example("nyc_flights")
    rows = module.flights()
    direct = rows.filter(carrier="UA", date=date(2013, 7, 4))
    async with Runtime(module.pipeline) as runtime:
        await runtime.materialize("flights")
        record = await runtime.materialize("delays", partition=date(2013, 7, 4))
        day = await runtime.load("delays", partition="2013-07-04")
    assert record.metadata["flights"] == len(rows.filter(date=date(2013, 7, 4)))
    assert day.filter(carrier="UA").row(0, named=True) == {
        "carrier": "UA",
        "flights": len(direct),
        "cancelled": direct["dep_delay"].null_count(),
        "minutes_late": direct["dep_delay"].sum(),
    }


def test_shades_go_from_green_to_red(example):
    """On time is green, half an hour late is red, and nothing leaves the scale."""
    shade = example("nyc_flights").shade
    assert "rgb(0,200,90)" in shade(-3)
    assert "rgb(255,73,90)" in shade(500)


def test_account_balance_goes_on_after_the_statement_is_corrected(run_example):
    """The days after the broken one are skipped because of it, then all balances are right."""
    assert run_example("account_balance").splitlines() == [
        "1 failed, 4 skipped",
        "Skipped because payments[checking|2025-03-04] failed.",
        "checking 159.35",
        "savings 600.00",
    ]


def test_the_scraper_gets_what_can_be_had(run_example):
    """What is gone is skipped, what is broken is tolerated after its retries, and the rest is there."""
    assert run_example("scrape").splitlines() == [
        "{'tool': 40, 'toy': 38, 'book': 39}",
        "/product/40 skipped in attempt 1",
        "/product/41 skipped in attempt 1",
        "/product/13 failed in attempt 5",
    ]


def test_exchange_rates_tell_of_each_day(run_example):
    """One source is enough, no trade is no failure, and a jump is held back."""
    told = run_example("exchange_rates").splitlines()
    assert told[0] == "Mon 03 held, 1.0476 is out of bounds"
    assert told[3] == "Thu 06 booked at 1.0785"
    assert told[5] == "Sat 08 no trade on a Saturday"
    assert told[-1] == "succeeded, without bank[2025-03-06], market[2025-03-04]"
