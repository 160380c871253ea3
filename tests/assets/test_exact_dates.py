"""Dates and datetimes are known for what they are, also by a program whose time a test has frozen."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from flowstone import DailyPartitions, HourlyPartitions, decode_partition, encode_partition
from flowstone.assets.exact_dates import REAL, is_date, is_datetime, real_kind

freezegun = pytest.importorskip("freezegun")

DAY = date(2025, 1, 15)
NOON = datetime(2025, 1, 15, 12, tzinfo=UTC)


class Day(date):
    """A subclass of the user's."""


def test_exactly_a_date_and_exactly_a_datetime():
    """A datetime is no date, and a subclass of the user's is neither."""
    assert [is_date(value) for value in (DAY, NOON, Day(2025, 1, 1), "2025-01-15", None)] == [
        True,
        *[False] * 4,
    ]
    assert [is_datetime(value) for value in (NOON, DAY, Day(2025, 1, 1), 1)] == [True, False, False, False]
    assert [real_kind(kind) for kind in (date, datetime, Day, int)] == [date, datetime, Day, int]


def test_a_frozen_time_changes_no_key():
    """Real keys and those made meanwhile have the same texts and lie in the same sets, then and afterwards."""
    with freezegun.freeze_time("2025-01-15T12:00:00Z") as frozen:
        made = [REAL.date(2025, 1, 15), frozen().date(), REAL.datetime(2025, 1, 15, 12, tzinfo=UTC)]
        made.append(sys.modules["datetime"].datetime.now(UTC))
        assert_known(made)
    assert_known(made)


def assert_known(made):
    days, hours = DailyPartitions("2025-01-01", "2025-01-31"), HourlyPartitions("2025-01-01", "2025-01-31")
    real, other, moment, another = made
    assert encode_partition(real) == encode_partition(other) == "d:2025-01-15"
    assert encode_partition(moment) == encode_partition(another) == "dt:2025-01-15T12:00:00Z"
    assert real in days
    assert other in days
    assert moment in hours
    assert another in hours
    for key, kind in ((other, REAL.date), (another, REAL.datetime)):
        assert type(decode_partition(encode_partition(key))) is kind


FROZEN_FIRST = """
import asyncio, sys
from freezegun import freeze_time

freezer = freeze_time("2025-01-15T12:00:00Z")
freezer.start()
import datetime
import flowstone
from flowstone.assets.exact_dates import REAL

pipeline = flowstone.Pipeline()

@pipeline.asset(io="files", partitions=flowstone.DailyPartitions("2025-01-01"))
async def a(context: flowstone.Context) -> object:
    now = datetime.datetime.now(datetime.UTC)
    real = REAL.datetime(2025, 1, 15, 12, tzinfo=datetime.UTC)
    return {"now": now, "real": real, "day": now.date(), "partition": context.partition, real.date(): (now, real)}

def expected():
    noon, day = REAL.datetime(2025, 1, 15, 12, tzinfo=datetime.timezone.utc), REAL.date(2025, 1, 15)
    return {"now": noon, "real": noon, "day": day, "partition": REAL.date(2025, 1, 14), day: (noon, noon)}

async def main(store):
    io = {"files": flowstone.FileIO(sys.argv[1] + "/values")}
    async with flowstone.Runtime(pipeline, store=store, io=io) as runtime:
        for partition in ("2025-01-14", REAL.date(2025, 1, 14), datetime.date(2025, 1, 14)):
            record = await runtime.materialize("a", partition=partition)
            assert record.partition_key == "d:2025-01-14", record
            value = await runtime.load("a", partition=partition)
            assert value == expected(), value
            kinds = {type(each) for each in value.values() if not isinstance(each, tuple)}
            assert kinds == {REAL.date, REAL.datetime}, kinds
        [first, *_] = await runtime.history("a", partition="2025-01-14")
        assert type(first.partition) is REAL.date, first

for place in ("memory://", "file://" + sys.argv[1] + "/store"):
    asyncio.run(main(place))
freezer.stop()
from flowstone.io.codecs.classes import Classes
from flowstone.io.codecs.encoding import decode_tree, encode_tree
for value in (datetime.datetime.now(datetime.timezone.utc), datetime.date.today(), expected()):
    back = decode_tree(encode_tree(value, Classes()), Classes())
    assert back == value and type(back) is type(value), back
assert datetime.date(2025, 1, 2) in flowstone.DailyPartitions("2025-01-01")
assert flowstone.encode_partition(datetime.date(2025, 1, 2)) == "d:2025-01-02"
"""


def test_a_program_that_froze_the_time_before_it_imported_us_works(tmp_path):
    """Values, keys and records are the real ones, while the time stands still and afterwards."""
    command = [sys.executable, "-c", FROZEN_FIRST, str(tmp_path)]
    subprocess.run(command, check=True, timeout=200)
