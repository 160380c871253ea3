"""The page of an asset: its partitions, what became of them, and what it is defined as."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest

from flowstone import (
    DailyPartitions,
    Output,
    Pipeline,
    Retry,
    Skip,
    StaticPartitions,
)
from flowstone.assets.multi_partitions import MultiPartitions

DAYS = DailyPartitions("2025-01-01", "2025-01-10")
HOSTILE = "<img src=x onerror=alert(1)>"


def flights() -> Pipeline:
    pipeline = Pipeline("flights")
    pipeline.pool("warehouse", slots=4)

    @pipeline.asset(partitions=DAYS)
    async def raw(context) -> int:
        """Flights as they came."""
        if context.partition.day == 3:
            raise Skip(HOSTILE)
        return context.partition.day

    @pipeline.asset(
        partitions=DAYS,
        retry=Retry(attempts=2, delay=0.0),
        pool="warehouse",
        tags={"note": HOSTILE},
        description=HOSTILE,
    )
    async def delays(raw: int, context) -> Output[int]:
        if context.partition.day == 2:
            raise OSError(HOSTILE)
        return Output(raw, metadata={"rows": raw * 10, "text": HOSTILE, "flag": True})

    @pipeline.asset(partitions=MultiPartitions(region=StaticPartitions(["eu", "us"]), day=DAYS))
    async def regions(context) -> int:
        if context.partition == ("us", date(2025, 1, 2)):
            raise OSError("no file")
        return 1

    @pipeline.asset
    async def report() -> int:
        return 1

    return pipeline


def data_of(page: str, name: str):
    text = page.partition(f'<script type="application/json" id="{name}">')[2].partition("</script>")[0]
    return json.loads(text)


async def test_days_are_a_calendar_of_stretches(visit):
    """The first day, and neighbours of one state together."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("raw", end="2025-01-08")
        page = (await visitor.get("/assets/raw")).text
        assert data_of(page, "cells-data") == {
            "kind": "calendar",
            "first": "2025-01-01",
            "spans": [["ok", 2], ["skipd", 1], ["ok", 5], ["never", 2]],
        }
        assert "Flights as they came." in page
        assert "async def raw(context)" in page


async def test_two_dimensions_are_a_matrix_with_time_across(visit):
    """Whichever is declared first."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("regions")
        drawing = data_of((await visitor.get("/assets/regions")).text, "cells-data")
        assert (drawing["kind"], drawing["across"]) == ("matrix", False)
        assert drawing["columns"][:2] == ["2025-01-01", "2025-01-02"]
        assert drawing["rows"] == [
            {"name": "eu", "spans": [["ok", 10]]},
            {"name": "us", "spans": [["ok", 1], ["fail", 1], ["ok", 8]]},
        ]


async def test_time_that_is_declared_first_is_across_as_well(visit):
    """The rows are those of the other dimension."""
    pipeline = Pipeline("p")

    @pipeline.asset(partitions=MultiPartitions(day=DAYS, region=StaticPartitions(["eu", "us"])))
    async def regions(context) -> int:
        if context.partition == (date(2025, 1, 2), "us"):
            raise OSError("no file")
        return 1

    async with visit(pipeline) as visitor:
        await visitor.runtime.backfill("regions")
        drawing = data_of((await visitor.get("/assets/regions")).text, "cells-data")
        assert drawing["across"] is True
        assert drawing["rows"] == [
            {"name": "eu", "spans": [["ok", 10]]},
            {"name": "us", "spans": [["ok", 1], ["fail", 1], ["ok", 8]]},
        ]


async def test_the_table_says_the_same_and_can_be_narrowed(visit):
    """Newest first, each with its page; by state."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("raw")
        page = (await visitor.get("/assets/raw?view=table")).text
        assert page.index("/assets/raw/2025-01-10") < page.index("/assets/raw/2025-01-09")
        assert 'data-pick="2025-01-10"' in page
        narrowed = (await visitor.get("/assets/raw?view=table&state=skipd")).text
        listed = narrowed.partition('id="listing"')[2].partition('id="selbar"')[0]
        assert "/assets/raw/2025-01-03" in listed
        assert "/assets/raw/2025-01-10" not in listed


def long_ago() -> Pipeline:
    """Seven years of days, of which an early one fails."""
    pipeline = Pipeline("long")

    @pipeline.asset(partitions=DailyPartitions("2020-01-01", "2026-11-29"))
    async def readings(context) -> int:
        if context.partition == date(2020, 2, 3):
            raise OSError("no file")
        return 1

    return pipeline


async def test_what_failed_before_the_days_that_are_drawn_is_said_and_reached(visit):
    """The calendar has three years at a time; it counts what it does not show, and leads to earlier years."""
    async with visit(long_ago()) as visitor:
        await visitor.runtime.backfill("readings", start="2020-02-02", end="2020-02-04")
        page = (await visitor.get("/assets/readings")).text
        assert data_of(page, "cells-data")["first"] == "2023-11-26"
        beyond = page.partition('id="beyond"')[2].partition('id="cells"')[0]
        assert "1,425 more are not drawn" in beyond
        assert "1 of them failed" in beyond
        assert 'href="?view=table&amp;state=fail"' in beyond
        assert "no file" in page.partition('id="cause"')[2].partition("</section>")[0]
        assert 'href="?until=2023-11-25"' in beyond
        assert "Later" not in beyond
        earlier = (await visitor.get("/assets/readings?until=2023-11-25")).text
        assert data_of(earlier, "cells-data")["first"] == "2020-11-21"
        earliest = (await visitor.get("/assets/readings?until=2020-11-20")).text
        drawn = data_of(earliest, "cells-data")
        assert (drawn["first"], drawn["spans"][:4]) == (
            "2020-01-01",
            [["never", 32], ["ok", 1], ["fail", 1], ["ok", 1]],
        )
        beyond = earliest.partition('id="beyond"')[2].partition('id="cells"')[0]
        assert "of them failed" not in beyond
        assert "Earlier" not in beyond
        assert "Later" in beyond
        assert data_of((await visitor.get("/assets/readings?until=nonsense")).text, "cells-data")[
            "first"
        ] == ("2023-11-26")


async def test_the_table_has_all_partitions_page_by_page(visit):
    """The newest first, five hundred a page; a page that there is not is the nearest one."""
    async with visit(long_ago()) as visitor:
        first = (await visitor.get("/assets/readings?view=table")).text
        assert "1 to 500 of 2,525" in first
        assert 'href="?view=table&amp;page=2"' in first
        last = (await visitor.get("/assets/readings?view=table&state=never&page=99")).text
        assert "2,501 to 2,525 of 2,525" in last
        assert 'href="?view=table&amp;state=never&amp;page=5"' in last
        assert "/assets/readings/2020-01-01" in last
        assert "Older" not in last
        assert "1 to 500" in (await visitor.get(f"/assets/readings?view=table&page={'9' * 5000}")).text


async def test_columns_and_rows_that_a_matrix_does_not_draw_are_counted(visit):
    """What failed in them is said as well."""
    pipeline = Pipeline("wide")
    stations = StaticPartitions([f"s{number:03}" for number in range(210)])

    @pipeline.asset(partitions=MultiPartitions(day=DAYS, station=stations))
    async def readings(context) -> int:
        raise OSError("no file")

    async with visit(pipeline) as visitor:
        await visitor.runtime.backfill("readings", partitions=[("2025-01-02", "s205")])
        page = (await visitor.get("/assets/readings")).text
        assert "100 more are not drawn" in page
        assert "1 of them failed" in page


async def test_history_says_why_each_ran_and_by_whom(visit):
    """The automation and its reason, or what was asked for with its tags."""
    pipeline = flights()
    pipeline.schedule("nightly", cron="0 6 * * *", asset="report")
    async with visit(pipeline, automate=True) as visitor:
        (run,) = await visitor.runtime.fire("nightly", by="grace")
        await run.wait()
        await visitor.runtime.materialize("report", tags={"why": "new counter"}, by="ada")
        page = (await visitor.get("/assets/report")).text
        happened = page.partition('id="happened"')[2].partition("</section>")[0]
        assert "new counter" in happened
        assert "by ada" in happened
        assert "schedule nightly" in happened
        assert "by grace" in happened
        assert 'href="/automation">nightly' in page


async def test_what_others_wrote_is_text(visit):
    """Messages, tags, metadata, descriptions."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("delays", upstream=True)
        for path in ("/assets/delays", "/assets/raw", "/"):
            page = await visitor.get(path)
            assert page.status_code == 200
            assert HOSTILE not in page.text, path
        page = (await visitor.get("/assets/delays")).text
        assert "2 attempts" in page
        assert "warehouse, 1 slot" in page


async def test_numbers_of_metadata_are_drawn_by_partition(visit):
    """What is no number is not, nor is what is true or false."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("delays", upstream=True)
        data = data_of((await visitor.get("/assets/delays")).text, "series-data")
        assert list(data["series"]) == ["rows", "seconds"]
        assert data["labels"][0] == "2025-01-01"
        assert data["series"]["rows"][:4] == [10, None, None, 40]


@pytest.mark.parametrize("path", ["/assets/nope", "/assets/%3Cscript%3E"])
async def test_an_unknown_asset_is_a_page_that_says_so(visit, path):
    """404, with the way back, and nothing of the address as markup."""
    async with visit(flights()) as visitor:
        page = await visitor.get(path)
        assert page.status_code == 404
        assert page.headers["content-type"].startswith("text/html")
        assert "Nothing is at this address." in page.text
        assert "<script>" not in page.text.partition("<main")[2].partition("</main>")[0]
        assert 'aria-label="Main"' in page.text


async def test_an_asset_without_partitions_has_a_row_of_what_became_of_it_lately(visit):
    """The newest at the right, each with its run; where there is nothing yet, the way to plan it."""
    async with visit(flights()) as visitor:
        page = (await visitor.get("/assets/report")).text
        lately = page.partition('id="lately"')[2].partition("</section>")[0]
        assert "It has never been computed." in lately
        assert 'href="/launch?asset=report"' in lately
        runs = [(await visitor.runtime.materialize("report")).run_id for _ in range(3)]
        page = (await visitor.get("/assets/report")).text
        lately = page.partition('id="lately"')[2].partition("</section>")[0]
        assert re.findall(r'href="/runs/(\w+)"', lately) == runs
        assert "data-tip" not in (await visitor.get("/assets/raw")).text.partition('id="lately"')[2][:200]
