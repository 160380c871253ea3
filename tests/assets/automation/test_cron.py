"""Cron expressions: what can be written, and which instants it means on days without a clock change."""

from __future__ import annotations

import copy
import pickle
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets.automation.cron import Cron
from flowstone.errors import ArgumentError, DefinitionError

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)  # A Sunday.


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("0 6 * * *", ["2026-11-30 06:00", "2026-12-01 06:00"]),
        ("30 8-10/2 * * MON", ["2026-11-30 08:30", "2026-11-30 10:30", "2026-12-07 08:30"]),
        ("0 0 * JAN,mar 7", ["2027-01-03 00:00", "2027-01-10 00:00"]),
        ("59 23 L * *", ["2026-11-30 23:59", "2026-12-31 23:59", "2027-01-31 23:59", "2027-02-28 23:59"]),
        ("0 9 LW * *", ["2026-11-30 09:00", "2026-12-31 09:00", "2027-01-29 09:00"]),
        ("0 9 * * 5#2", ["2026-12-11 09:00", "2027-01-08 09:00"]),
        ("0 9 * * MON#1", ["2026-12-07 09:00", "2027-01-04 09:00"]),
        ("0 9 * * 5L", ["2026-12-25 09:00", "2027-01-29 09:00"]),
        ("0 0 13 * 5", ["2026-12-04 00:00", "2026-12-11 00:00", "2026-12-13 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("*/20 12 * * *", ["2026-11-29 12:20", "2026-11-29 12:40", "2026-11-30 12:00"]),
        ("@hourly", ["2026-11-29 13:00", "2026-11-29 14:00"]),
        ("@daily", ["2026-11-30 00:00", "2026-12-01 00:00"]),
        ("@weekly", ["2026-12-06 00:00", "2026-12-13 00:00"]),
        ("@monthly", ["2026-12-01 00:00", "2027-01-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00"]),
    ],
)
def test_ticks_of_an_expression(text, ticks):
    """The next ones after a moment, and the same ones backwards."""
    cron = Cron.of(text)
    expected = [datetime.fromisoformat(f"{tick}+00:00") for tick in ticks]
    found = [cron.after(NOON)]
    while len(found) < len(expected):
        found.append(cron.after(found[-1]))
    assert found == expected
    assert cron.between(NOON, expected[-1]) == (expected, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0 6 * * *", "has 6 of the five fields.*counts no seconds"),
        ("0 0 6 * * * 2026", "has 7 of the five fields"),
        ("0 6 * *", "has 4 of the five fields.*'0 6 \\* \\* \\*'"),
        ("", "has 0 of the five fields"),
        ("@dayly", "none of @hourly.*Did you mean '@daily'"),
        ("@reboot", "none of @hourly, @daily, @weekly, @monthly, @yearly. Write five fields"),
        ("60 * * * *", "the minute '60' cannot be read. It takes minutes from 0 to 59"),
        ("* 24 * * *", "the hour '24' cannot be read"),
        ("* * 0 * *", "the day of the month '0' cannot be read"),
        ("* * * FEB-JAN *", "the month 'FEB-JAN' cannot be read"),
        ("* * * * FRIL", "the weekday 'FRIL' cannot be read.*5L"),
        ("*/0 * * * *", "the minute '\\*/0' cannot be read"),
        ("0 0 30 2 *", "never fires.*L is the last one"),
        ("0 0 31 2,4,6,9,11 *", "never fires"),
        ("0 0 31 4 */2", "never fires"),
        (f"{'0,' * 600}0 * * * *", "more than 1,000 characters"),
        (f"{'9' * 900} * * * *", "cannot be read"),
        (3, "takes a str of five fields"),
        (None, "takes a str of five fields"),
    ],
)
def test_what_is_no_cron_is_refused(text, words):
    """In a sentence that says what is wrong, and what to write."""
    with pytest.raises(DefinitionError, match=words):
        Cron.of(text, "Europe/Oslo")


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Europe/Olso", "no time zone 'Europe/Olso'. Did you mean 'Europe/Oslo'"),
        ("europe/oslo", "Did you mean 'Europe/Oslo'"),
        ("oslo", "Did you mean 'Europe/Oslo'"),
        ("New York", "Did you mean 'America/New_York'"),
        ("", "no time zone ''. Write it like"),
        ("../x", "no time zone '../x'. Write it like"),
        ("/etc/passwd", "no time zone"),
        ("Europe", "no time zone 'Europe'"),
        ("a\0b", "no time zone"),
        ("\ud800", "no time zone"),
        ("x" * 5_000, "no time zone 'x{90,100}"),
        (None, "timezone=None is not the name"),
        (b"UTC", "is not the name"),
        (3, "is not the name"),
    ],
)
def test_an_unknown_zone_is_refused(zone, words):
    """Whatever the file system says to such a name."""
    with pytest.raises(DefinitionError, match=words) as caught:
        Cron.of("@daily", zone)
    assert len(str(caught.value)) < 200


def test_a_cron_is_a_value():
    """It compares by what was written, prints it, and can be copied."""
    cron = Cron.of(" 0  6 * * mon ", "Europe/Oslo")
    assert (str(cron), repr(cron)) == ("0 6 * * mon", "Cron.of('0 6 * * mon', 'Europe/Oslo')")
    assert cron == Cron.of("0 6 * * mon", ZoneInfo("Europe/Oslo")) != Cron.of("0 6 * * mon")
    for twin in (pickle.loads(pickle.dumps(cron)), copy.deepcopy(cron)):
        assert twin == cron
        assert hash(twin) == hash(cron)
        assert twin.after(NOON) == cron.after(NOON)
    with pytest.raises(AttributeError):
        cron.text = "@daily"


def test_instants_have_a_zone():
    """A naive one may mean any; one of another zone is that instant, and answers are in UTC."""
    cron = Cron.of("@hourly", "Asia/Kolkata")
    naive = NOON.replace(tzinfo=None)
    for ask in (cron.after, cron.at_or_before, lambda instant: cron.between(instant, NOON)):
        with pytest.raises(ArgumentError, match=r"no aware datetime: add a time zone"):
            ask(naive)
    tick = cron.after(NOON.astimezone(ZoneInfo("America/New_York")))
    assert (tick, tick.tzinfo) == (NOON + timedelta(minutes=30), UTC)


def test_a_frozen_time_fires_as_the_real_one():
    """A test that freezes the time at the second 02:10 of a day has to wait for 03:30 as long as clocks do."""
    freezegun = pytest.importorskip("freezegun")
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    with freezegun.freeze_time(second):
        cron, now = Cron.of("30 3 * * *", "Europe/Oslo"), sys.modules["datetime"].datetime.now(UTC)
        ticks = [cron.after(now), cron.at_or_before(now)]
    assert ticks == [second + timedelta(minutes=80), second - timedelta(hours=23, minutes=40)]
    assert [type(tick) for tick in ticks] == [datetime, datetime]


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, None])
def test_a_limit_is_a_number_of_ticks(limit):
    """At least one."""
    with pytest.raises(ArgumentError, match="takes a whole number"):
        Cron.of("@daily").between(NOON, NOON, limit=limit)


def test_only_the_last_ticks_of_a_long_time_are_looked_at():
    """Of all minutes of the calendar the last ones; that there are more is said."""
    ticks, more = Cron.of("* * * * *").between(datetime.min.replace(tzinfo=UTC), NOON)
    assert (len(ticks), ticks[-1], ticks[0], more) == (1000, NOON, NOON - timedelta(minutes=999), True)
    assert Cron.of("* * * * *").between(NOON - timedelta(minutes=3), NOON, limit=3)[1] is False
    assert Cron.of("* * * * *").between(NOON - DAY, NOON, limit=1) == ([NOON], True)
    assert Cron.of("@daily").between(NOON, NOON - DAY) == ([], False)


def test_days_without_a_tick_are_leapt_over(monkeypatch):
    """From one 29 February to the next over eight years, in either direction, with a look at a few days."""
    looks, within = [], Cron._within
    monkeypatch.setattr(Cron, "_within", lambda cron, *ends: looks.append(ends) or within(cron, *ends))
    cron = Cron.of("0 12 29 2 *", "Europe/Oslo")
    early, late = (datetime(year, 2, 29, 11, tzinfo=UTC) for year in (2096, 2104))
    assert cron.after(early) == late
    assert cron.at_or_before(late - SECOND) == early
    assert len(looks) < 20
    assert all(end - begin <= DAY for begin, end in looks)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize("text", ["* * * * *", "0 0 29 2 *", "@yearly", "59 23 31 12 *"])
def test_the_ends_of_the_calendar_are_no_traceback(text, zone):
    """Before it there is no tick; after it a sentence says so."""
    cron = Cron.of(text, zone)
    first, last = datetime.min.replace(tzinfo=cron._zone), datetime.max.replace(tzinfo=cron._zone)
    assert cron.at_or_before(first) is None
    assert cron.after(first).year in {1, 2, 4}
    assert cron.at_or_before(last).year in {9996, 9998}
    with pytest.raises(ArgumentError, match="no tick after"):
        cron.after(last)


crons = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "0 */5 * * *",
        "15 1-4 * * *",
        "0 0 L * *",
        "0 2 * * 0#5",
        "0 0 29 2 *",
    ]
)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Antarctica/Troll"]
)
instants = st.timedeltas(-80 * 365 * DAY, 60 * 365 * DAY).map(NOON.__add__)


@given(crons, zones, instants, st.timedeltas(timedelta(0), timedelta(hours=30)))
def test_all_questions_have_one_answer(text, zone, begin, length):
    """`after`, `at_or_before` and `between` agree, and ticks are in order."""
    cron, end = Cron.of(text, zone), begin + length
    ticks, more = cron.between(begin, end, limit=2_000)
    assert not more
    assert ticks == sorted(set(ticks))
    walked, at = [], begin
    while (at := cron.after(at)) <= end:
        walked.append(at)
    assert walked == ticks
    assert cron.between(begin, end, limit=3) == (ticks[-3:], len(ticks) > 3)
    last = cron.at_or_before(end)
    assert last == ticks[-1] if ticks else last <= begin
    assert cron.after(last) == at
    assert cron.after(last - SECOND) == last
