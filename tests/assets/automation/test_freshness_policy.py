"""How old a value may become is checked where it is declared."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from flowstone import DefinitionError, Freshness, Pipeline
from flowstone.assets.snapshot import Snapshot


def test_periods_are_seconds_or_timedeltas():
    """Overdue is twice as much, unless it is said."""
    assert Freshness(within=timedelta(hours=26)).bounds == (93_600.0, 187_200.0)
    assert Freshness(60).bounds == (60.0, 120.0)
    assert Freshness(within=60, overdue=timedelta(minutes=5)).bounds == (60.0, 300.0)
    assert Freshness(within=60, overdue=60) == Freshness(within=timedelta(minutes=1), overdue=60.0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"within": 93_600}, "within 26 h, overdue after 52 h"),
        ({"within": 86_400}, "within 24 h, overdue after 2 d"),
        ({"within": 5400, "overdue": 7200}, "within 90 min, overdue after 2 h"),
        ({"within": 0.5}, "within 0.5 s, overdue after 1 s"),
    ],
)
def test_it_is_told_as_people_say_it(given, text):
    """In the longest unit of which it is a whole number."""
    assert str(Freshness(**given)) == text


@pytest.mark.parametrize(
    "given",
    [0, -1, True, "26h", None, math.nan, math.inf, 10**400, timedelta(0), timedelta(days=99_999)],
)
def test_what_is_no_period_is_refused(given):
    """In one sentence, whichever of the two it is."""
    with pytest.raises(DefinitionError, match="seconds or a timedelta"):
        Freshness(within=given)
    if given is not None:
        with pytest.raises(DefinitionError, match="seconds or a timedelta"):
            Freshness(within=1, overdue=given)


def test_what_is_overdue_has_been_late():
    """So it is the longer of the two."""
    with pytest.raises(DefinitionError, match="overdue= is the longer"):
        Freshness(within=60, overdue=59)


def test_an_asset_takes_a_policy_and_nothing_else():
    """The message names the asset and what to pass."""
    pipeline = Pipeline()
    with pytest.raises(DefinitionError, match=r"orders.*freshness=3600 takes Freshness\(within"):

        @pipeline.asset(freshness=3600)  # type: ignore[call-overload] # as somebody might write it
        async def orders() -> int:
            return 1


def test_the_policies_of_assets_are_automations():
    """Each of the pipeline in which its asset is found; in pipelines that are included as well."""
    inner, outer = Pipeline("inner"), Pipeline("outer")

    @inner.asset(freshness=Freshness(within=60))
    async def orders() -> int:
        return 1

    @outer.asset
    async def report(orders: int) -> int:
        return orders

    outer.include(inner)
    assert orders.freshness == Freshness(60)
    assert report.freshness is None
    found = Snapshot.of([outer]).automations
    assert {name: pipeline for name, (pipeline, _) in found.items()} == {"freshness:orders": "outer"}
    assert Snapshot.of([inner, outer]).automations["freshness:orders"][0] == "inner"


def test_nobody_else_takes_the_name_of_a_policy():
    """Schedules, sensors and listeners are refused where they are defined."""
    pipeline = Pipeline()
    with pytest.raises(DefinitionError, match="take another"):
        pipeline.sensor("freshness:orders", lambda _: None)
    with pytest.raises(DefinitionError, match="take another"):
        pipeline.on("asset", name="freshness:")(lambda event: None)
