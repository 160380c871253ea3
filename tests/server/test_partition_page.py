"""The page of one partition: where its value comes from, what was made of it, and what happened."""

from __future__ import annotations

import re
from itertools import count
from urllib.parse import unquote

import pytest

from flowstone import DailyPartitions, Output, Pipeline, StaticPartitions
from flowstone.server.addresses import partition_path

DAYS = DailyPartitions("2025-01-01", "2025-01-03")
ODD = [
    "a/b",
    "a|b",
    "..",
    ".",
    "x/../y",
    "größe ☃",
    "<script>alert(1)</script>",
    "50%?x#y&z",
    "d:odd",
    " ",
    "\\",
]


def flights() -> Pipeline:
    pipeline = Pipeline("flights")
    pipeline.fails = False

    @pipeline.asset(partitions=DAYS)
    async def raw(context) -> int:
        return context.partition.day

    @pipeline.asset(partitions=DAYS)
    async def delays(raw: int) -> Output[int]:
        if pipeline.fails:
            raise OSError("no <b>dep_delay</b>")
        return Output(raw, metadata={"rows": 14, "<i>": "<u>"}, data_version="v7")

    @pipeline.asset
    async def report(delays: dict) -> int:
        return len(delays)

    @pipeline.asset(partitions=StaticPartitions(ODD))
    async def odd() -> int:
        return 1

    return pipeline


def lines(page: str, part: str) -> list[str]:
    """The names in a part of the lineage table."""
    table = page.partition('class="tbl lin"')[2].partition("</table>")[0]
    above, _, below = table.partition('<tr class="self')
    return re.findall(r'class="nm" href="[^"]*">([^<]*)<', above if part == "from" else below)


async def test_its_lineage_is_one_table(visit):
    """What it was made from, to the beginning; what it goes into."""
    async with visit(flights()) as visitor:
        await visitor.runtime.materialize_all("report")
        page = (await visitor.get("/assets/delays/2025-01-02")).text
        assert lines(page, "from") == ["raw[2025-01-02]"]
        assert lines(page, "into") == ["report"]
        assert "Its value is current" in page
        assert "v7" in page
        assert "&lt;i&gt;" in page
        assert "&lt;u&gt;" in page
        of_report = (await visitor.get("/assets/report/")).text
        assert lines(of_report, "from")[:2] == ["delays[2025-01-01]", "raw[2025-01-01]"]
        assert 'href="/assets/delays/2025-01-01" rel="prev"' in page
        assert 'href="/assets/delays/2025-01-03" rel="next"' in page


async def test_what_was_made_from_an_earlier_value_was_not_made_of_this_one(visit):
    """It is named apart, until it is made again; what was used and is another one now says so."""
    pipeline = Pipeline("flights")
    turns = count()

    @pipeline.asset(partitions=DAYS)
    async def raw(context) -> int:
        return next(turns)

    @pipeline.asset
    async def report(raw: dict) -> int:
        return len(raw)

    async with visit(pipeline) as visitor:
        await visitor.runtime.materialize_all("report")
        await visitor.runtime.materialize("raw", partition="2025-01-02")
        page = (await visitor.get("/assets/raw/2025-01-02")).text
        assert lines(page, "into") == []
        assert "report: made from an earlier value of it." in page
        assert lines((await visitor.get("/assets/raw/2025-01-01")).text, "into") == ["report"]
        of_report = (await visitor.get("/assets/report/")).text
        assert of_report.count("has another value since") == 1
        await visitor.runtime.materialize("report")
        again = (await visitor.get("/assets/raw/2025-01-02")).text
        assert (lines(again, "into"), "earlier value" in again) == (["report"], False)


async def test_what_was_skipped_says_what_it_would_be_made_from(visit):
    """Also when that is current by now."""
    pipeline = Pipeline("flights")
    broken = [True]

    @pipeline.asset(partitions=DAYS)
    async def raw(context) -> int:
        if broken:
            raise OSError("no file")
        return 1

    @pipeline.asset(partitions=DAYS)
    async def delays(raw: int) -> int:
        return raw

    async with visit(pipeline) as visitor:
        await visitor.runtime.backfill("delays", partitions=["2025-01-02"], upstream=True)
        broken.clear()
        await visitor.runtime.materialize("raw", partition="2025-01-02")
        page = (await visitor.get("/assets/delays/2025-01-02")).text
        assert "It would be made from" in page
        assert lines(page, "from") == ["raw[2025-01-02]"]


async def test_a_failed_try_keeps_the_value_from_before(visit):
    """Both are said, with the message as text; each has its own lineage."""
    pipeline = flights()
    async with visit(pipeline) as visitor:
        await visitor.runtime.materialize_all("delays", partition="2025-01-02")
        pipeline.fails = True
        failed = await visitor.runtime.backfill("delays", partitions=["2025-01-02"], refresh="all")
        page = (await visitor.get("/assets/delays/2025-01-02")).text
        assert "The last try failed</a>; the value from before is kept." in page
        assert "no &lt;b&gt;dep_delay&lt;/b&gt;" in page
        assert f"/runs/{failed.run_id}" in page
        assert "Kept value" in page


async def test_what_was_never_computed_says_what_it_would_need(visit):
    """And leads to where it is planned."""
    async with visit(flights()) as visitor:
        page = (await visitor.get("/assets/delays/2025-01-02")).text
        assert "It was never computed" in page
        assert "It would be made from" in page
        assert lines(page, "from") == ["raw[2025-01-02]"]
        assert 'href="/launch?asset=delays&amp;partitions=2025-01-02"' in page


@pytest.mark.parametrize("key", ODD)
async def test_keys_of_any_kind_have_a_page(visit, key):
    """Slashes, dots, bars, signs of addresses, markup: the link of the list leads there."""
    async with visit(flights()) as visitor:
        await visitor.runtime.backfill("odd")
        listed = (await visitor.get("/assets/odd")).text
        hrefs = [each.replace("&amp;", "&") for each in re.findall(r'href="(/assets/odd/[^"]*)"', listed)]
        path = partition_path("odd", await visitor.runtime.partition_key("odd", key))
        assert path in hrefs
        segments = unquote(path.partition("?")[0]).split("/")
        assert {".", ".."}.isdisjoint(segments)  # Browsers take these for steps.
        page = await visitor.get(path)
        assert page.status_code == 200
        assert "Its value is current" in page.text
        assert "<script>alert" not in page.text


@pytest.mark.parametrize(
    "path", ["/assets/delays/2031-01-01", "/assets/delays/", "/assets/nope/x", "/assets/delays/%3Cb%3E"]
)
async def test_what_there_is_not_is_a_page_that_says_so(visit, path):
    """404 in HTML, whatever was asked for."""
    async with visit(flights()) as visitor:
        page = await visitor.get(path)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "Nothing is at this address." in page.text
        assert "<b>" not in page.text.partition("<main")[2].partition("</main>")[0]


async def test_a_value_is_invalidated_with_what_was_made_of_it(visit):
    """By the form of the page, which leads back to it."""
    async with visit(flights()) as visitor:
        await visitor.runtime.materialize_all("report")
        answer = await visitor.post("/assets/delays/2025-01-02", data={"downstream": "yes"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/assets/delays/2025-01-02")
        assert not await visitor.runtime.exists("report")
        assert await visitor.runtime.exists("raw", partition="2025-01-02")
        page = (await visitor.get("/assets/delays/2025-01-02")).text
        assert "Its value is invalidated" in page
        assert "Invalidate…" not in page
        await visitor.post("/assets/raw/2025-01-02", data={})
        assert not await visitor.runtime.exists("raw", partition="2025-01-02")


async def test_another_origin_invalidates_nothing(visit):
    """A page of somebody else cannot do it with the browser of one who may."""
    async with visit(flights()) as visitor:
        await visitor.runtime.materialize_all("report")
        answer = await visitor.post("/assets/report/", headers={"origin": "https://elsewhere.example"})
        assert answer.status_code == 403
        assert await visitor.runtime.exists("report")
