"""The ticks to come, as they are drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flowstone.runs.automation_status import AutomationStatus
from flowstone.server.views.automation_rows import row_of
from flowstone.server.views.day_lanes import AHEAD, WIDTH, lanes_of, place_of, ticks_ahead

NOW = datetime(2026, 11, 30, 5, 59, 43, tzinfo=UTC)


def schedule(cron: str, next_fire: datetime) -> AutomationStatus:
    return AutomationStatus("often", "schedule", "shop", f"{cron} UTC", next_fire=next_fire)


def test_a_schedule_of_each_minute_ticks_from_the_next_minute_on():
    """All of them, which is more than there is room for: they are one bar up to the end of the drawing."""
    often = schedule("* * * * *", NOW + timedelta(seconds=17))
    ticks = ticks_ahead(often, NOW)
    assert (ticks[0], ticks[-1], len(ticks)) == (
        NOW + timedelta(seconds=17),
        NOW + AHEAD - timedelta(seconds=43),
        960,
    )
    (lane,) = lanes_of([], [often], NOW)
    assert lane.label == "0 runs, 960 ticks to come"
    ((begin, width, shape),) = lane.marks
    assert (begin, shape) == (place_of(ticks[0], NOW), "next")
    assert begin + width == pytest.approx(WIDTH, abs=25)
    row = row_of(often, NOW)
    assert (len(row.ahead), row.label) == (1, "0 fires in the last day, 960 ticks to come")


def test_ticks_far_from_one_another_have_a_box_each():
    """Of a schedule that ticks every four hours."""
    row = row_of(schedule("0 */4 * * *", NOW + timedelta(hours=2, seconds=17)), NOW)
    assert [width for _, width in row.ahead] == [24.0] * 4
    assert "4 ticks to come" in row.label


def test_a_tick_that_has_passed_since_the_minute_began_is_none():
    """What is worked out once a minute is not shown after it was."""
    at_six = schedule("0 6 * * *", NOW + timedelta(days=1))
    assert ticks_ahead(at_six, NOW + timedelta(seconds=30)) == ()
    hourly = schedule("0 * * * *", NOW + timedelta(hours=1, seconds=17))
    assert ticks_ahead(hourly, NOW + timedelta(seconds=30))[0] == NOW + timedelta(hours=1, seconds=17)
