"""The Launch page: what would happen is what happens, or nothing does."""

from __future__ import annotations

import asyncio
import html
import re
import sys
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import (
    Automation,
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    PartitionError,
    Pipeline,
    StaticPartitions,
)
from flowstone.assets.partition_keys import encode_partition
from flowstone.server import ServerOptions
from flowstone.server.partition_ranges import Reader, ranges_text

DAYS = DailyPartitions("2025-01-01", "2025-01-31")


def shop(fails=()):
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DAYS)
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=DAYS)
    async def visits(raw: int) -> int:
        return raw

    @pipeline.asset
    async def report(visits: dict) -> int:
        return len(visits)

    return pipeline


def seen(page):
    """The fields of the form that a browser sends."""
    return re.search(r'name="seen" value="(\w+)"', page)[1]


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    """One store after the other."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")


async def test_nothing_is_chosen_at_first(visit):
    async with visit(shop()) as visitor:
        page = (await visitor.get("/launch")).text
        assert "Choose an asset" in page
        assert 'name="seen"' not in page
        page = (await visitor.get("/launch?asset=visits")).text
        assert "Choose partitions" in page
        assert 'data-ranges="2025-01-01:2025-01-31"' in page


async def test_what_is_shown_is_started_and_leads_to_the_run(visit, store):
    async with visit(shop(), store=store) as visitor:
        await visitor.runtime.backfill("visits", start="2025-01-01", end="2025-01-02", upstream=True)
        address = "/launch?asset=visits&partitions=2025-01-01:2025-01-03,+2025-01-31"
        page = (await visitor.get(address)).text
        assert "4 steps run, 4 values are reused" in page
        assert "it has no current value" in page
        assert "--partition 2025-01-31" in page
        fields = {"asset": "visits", "partitions": "2025-01-01:2025-01-03, 2025-01-31", "upstream": "yes"}
        fields |= {"parallel": "2", "reason": "new file", "shown": "yes", "seen": seen(page)}
        answer = await visitor.post("/launch", data=fields)
        assert answer.status_code == 303
        run = await visitor.runtime.run(answer.headers["location"].removeprefix("/runs/"))
        result = await run.wait()
        assert {step.name for step in result.succeeded} == {
            *("raw[2025-01-03]", "visits[2025-01-03]", "raw[2025-01-31]", "visits[2025-01-31]")
        }
        record = await run.record()
        assert (record.tags, record.request.max_parallel) == ({"reason": "new file"}, 2)
        assert record.request.by == "local"


async def test_a_plan_that_changed_is_shown_again_and_starts_nothing(visit):
    async with visit(shop()) as visitor:
        page = (await visitor.get("/launch?asset=visits&partitions=2025-01-01")).text
        await visitor.runtime.materialize("raw", partition="2025-01-01")
        fields = {"asset": "visits", "partitions": "2025-01-01", "upstream": "yes", "seen": seen(page)}
        answer = await visitor.post("/launch", data=fields)
        assert parse_qs(urlsplit(answer.headers["location"]).query)["changed"] == ["yes"]
        page = (await visitor.get(answer.headers["location"])).text
        assert "The plan has changed since you saw it" in page
        assert "1 step runs, 1 value is reused" in page
        assert len(await visitor.runtime.runs()) == 1


async def test_what_takes_it_and_is_not_planned_is_named(visit):
    """What goes stale, what follows by itself, and what was never made; nothing of what is planned."""
    pipeline = shop()

    @pipeline.asset(partitions=DAYS, automation=Automation.on_upstream_change())
    async def follower(raw: int) -> int:
        return raw

    async with visit(pipeline) as visitor:
        await visitor.runtime.backfill("visits", upstream=True, end="2025-01-02")
        page = (await visitor.get("/launch?asset=raw&partitions=2025-01-01&refresh=all")).text
        below = page.partition("<dt>Below</dt>")[2].partition("<dt>")[0]
        assert re.findall(r'/assets/(\w+)">\w+</a> <span class="dim">([^<]+)', below) == [
            ("visits", "goes stale where its inputs change"),
            ("report", "was never made"),
            ("follower", "follows by itself"),
        ]
        assert "1 of 4 assets" in page
        whole = (await visitor.get("/launch?asset=report")).text
        assert re.findall(r'/assets/(\w+)">\w+</a> <span class="dim">([^<]+)', whole) == [
            ("follower", "follows by itself")
        ]


async def test_stale_days_are_chosen_at_once_and_drawn(visit):
    """By the reasons that the runtime has; the plan says them."""
    pipeline = Pipeline("shop")
    later = Pipeline("shop")
    for each, version in ((pipeline, "1"), (later, "2")):

        @each.asset(partitions=DAYS, version=version)
        async def raw() -> int:
            return 1

    async with visit(pipeline) as visitor:
        await visitor.runtime.backfill("raw")
        await visitor.runtime.reload(later)
        await visitor.runtime.backfill("raw", end="2025-01-30", refresh="all")
        async with asyncio.timeout(60):
            while 'data-ranges="2025-01-31" >Stale' not in (
                page := (await visitor.get("/launch?asset=raw&partitions=2025-01-31")).text
            ):
                await asyncio.sleep(0)
        assert "the code version of raw changed from 1 to 2" in page
        assert '"ok", "stale"]' in page


async def test_what_is_current_may_be_redone(visit):
    async with visit(shop()) as visitor:
        await visitor.runtime.backfill("raw")
        page = (await visitor.get("/launch?asset=raw&partitions=2025-01-01:2025-01-31")).text
        assert "All 31 are current: nothing runs." in page
        again = (await visitor.get("/launch?asset=raw&partitions=2025-01-01:2025-01-31&refresh=all")).text
        assert "31 steps run, 0 values are reused" in again
        assert "Less than" in again


async def test_errors_are_sentences(visit):
    async with visit(shop()) as visitor:
        assert "Did you mean" in (await visitor.get("/launch?asset=vsits")).text
        page = (await visitor.get("/launch?asset=visits&partitions=2025-02-01")).text
        assert "is not in DailyPartitions" in page
        assert 'name="seen"' not in page
        wrong = (await visitor.get("/launch?asset=visits&partitions=2025-01-03:2025-01-01")).text
        assert "ends before it begins" in wrong
        assert 'aria-invalid="true"' in page
        answer = await visitor.post("/launch", data={"asset": "visits", "partitions": "2025-02-01"})
        assert (answer.status_code, await visitor.runtime.runs()) == (303, [])


async def test_an_asset_without_partitions_has_no_second_question(visit):
    async with visit(shop()) as visitor:
        page = (await visitor.get("/launch?asset=report")).text
        assert "Which partitions" not in page
        assert "63 steps run" in page
        alone = (await visitor.get("/launch?asset=report&upstream=no&refresh=all")).text
        assert "1 step runs" in alone
        assert "flowstone materialize MODULE:PIPELINE report" in alone


async def test_the_command_names_the_pipeline_where_a_module_has_it(visit, monkeypatch):
    """Of pages that are mounted in a service, which was given none on a command line."""
    pipeline = shop()
    module = ModuleType("my_service.flows")
    module.pipeline = pipeline
    monkeypatch.setitem(sys.modules, module.__name__, module)
    async with visit(pipeline) as visitor:
        page = (await visitor.get("/launch?asset=report")).text
        assert "flowstone materialize my_service.flows:pipeline report" in page
        assert "flowstone materialize my_service.flows:pipeline report" in (await visitor.get("/runs")).text


async def test_ten_thousand_partitions_are_chosen_at_once(visit):
    pipeline = Pipeline("long")

    @pipeline.asset(partitions=DailyPartitions("1998-01-01", "2025-05-18"))
    async def raw() -> int:
        return 1

    async with visit(pipeline) as visitor:
        page = (await visitor.get("/launch?asset=raw&partitions=1998-01-01:2025-05-18")).text
        assert "10,000 steps run" in page
        picked = ",".join(f"{year}-01-01:{year}-12-30" for year in range(1998, 2025))
        assert re.search(
            r"[\d,]+ steps run", (await visitor.get(f"/launch?asset=raw&partitions={picked}")).text
        )


async def test_who_may_only_read_sees_no_button(visit):
    async with visit(shop(), options=ServerOptions(open_on_loopback=False)) as visitor:
        assert (await visitor.post("/launch", data={"asset": "raw"})).status_code in {401, 403}


HOURS = HourlyPartitions("2025-01-01T00:00Z", "2025-01-01T23:00Z")
MONTHS = MonthlyPartitions("2014-01", "2015-12")
ODD = StaticPartitions(
    ["a", "b", "a,b", 'q"x', '"', ",", ":", "a:b", "b:c", "c", "x,y:z", '","', " s ", "1", '"q"']
)
READERS = [Reader(keys, [encode_partition(key) for key in keys]) for keys in (DAYS, HOURS, MONTHS, ODD)]


def test_every_range_of_odd_labels_is_read_as_it_is_written():
    """Of labels that are colons, commas and quotes there are not many, so each is tried."""
    reader = READERS[-1]
    for first in range(len(reader.labels)):
        for last in range(first, len(reader.labels)):
            places = list(range(first, last + 1))
            assert reader.ranges(ranges_text(places, reader.labels)) == places


@given(st.sampled_from(READERS), st.data())
def test_a_text_names_what_it_was_made_of(reader, data):
    """Whatever is chosen, and whether or not labels have colons, commas or quotes themselves."""
    places = sorted(data.draw(st.sets(st.integers(0, len(reader.labels) - 1))))
    assert reader.ranges(ranges_text(places, reader.labels)) == places


@pytest.mark.parametrize(
    "text",
    [
        "x" + " " * 60_000 + "x",
        "x:" * 30_000,
        '"' * 60_001,
        '"a,' * 20_000,
        '"a"' * 20_000,
        ":" * 60_000,
        '"a":' * 15_000,
    ],
)
def test_no_text_takes_longer_than_it_is_long(text):
    """A regular expression took 14 seconds for the first; whoever may look can send any of them."""
    reader = READERS[-1]
    looked = 0
    place = reader._place

    def counted(end):
        nonlocal looked
        looked += len(end)
        return place(end)

    reader._place = counted
    try:
        with pytest.raises(PartitionError):
            reader.ranges(text)
    finally:
        del reader._place
    assert looked <= 40 * len(text)


def test_a_thousand_times_all_are_all():
    """Overlapping ranges give each partition once."""
    assert READERS[0].ranges(", ".join(["2025-01-01:2025-01-31"] * 1_000)) == list(range(31))
    assert READERS[0].ranges("2025-01-05:2025-01-20, 2025-01-07, 2025-01-18:2025-01-22, 2025-01-01") == [
        0,
        *range(4, 22),
    ]


@pytest.mark.parametrize("text", ["2025-01-32", "2025-01-02:", "x:y", "2025-01-05:2025-01-01", ":"])
def test_what_is_no_partition_is_refused(text):
    with pytest.raises(PartitionError):
        READERS[0].ranges(text)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("2014-07", [6]),
        ("2014-07:2014-09", [6, 7, 8]),
        ("2014-07-01", [6]),
        ("d:2014-07-01, 2015-12", [6, 23]),
    ],
)
def test_months_are_written_as_people_write_them(text, places):
    """As the command line and the API take them, alone and in ranges."""
    assert READERS[2].ranges(text) == places


def test_what_is_no_partition_is_told_by_its_set():
    """Which knows how its partitions are written and which there are, and names no other year."""
    with pytest.raises(PartitionError, match="2014-01-01 to 2015-12-01") as told:
        READERS[2].ranges("2016-01")
    assert "2015-06" not in str(told.value)


async def test_months_are_typed_on_the_page(visit):
    """What is written there is planned, and the example lies in the set."""
    pipeline = Pipeline("stats")

    @pipeline.asset(partitions=MONTHS)
    async def monthly(context) -> int:
        return 1

    async with visit(pipeline) as visitor:
        page = (await visitor.get("/launch?asset=monthly&partitions=2014-07:2014-09")).text
        assert "3 steps run" in page
        assert 'placeholder="2015-03-01:2015-12-01"' in page
        assert 'placeholder="2015-03-01:2015-12-01"' in (await visitor.get("/assets/monthly")).text


async def test_a_plan_of_which_nothing_is_left_says_that_it_changed(visit):
    """Somebody else has computed all of it since it was seen."""
    async with visit(shop()) as visitor:
        fields = {"asset": "raw", "partitions": "2025-01-01:2025-01-02", "shown": "yes"}
        page = (await visitor.get("/launch", params=fields)).text
        await visitor.runtime.backfill("raw", start="2025-01-01", end="2025-01-02")
        answer = await visitor.post("/launch", data=fields | {"seen": seen(page)})
        again = (await visitor.get(answer.headers["location"])).text
        assert "The plan has changed since you saw it" in again
        assert "All 2 are current: nothing runs." in again


async def test_nothing_is_started_where_other_partitions_would_run_than_were_seen(visit):
    """As many as before, of the same assets, with the same first one; also in the middle of many."""
    async with visit(shop()) as visitor:
        await visitor.runtime.backfill("raw", start="2025-01-03", end="2025-01-20")
        await visitor.runtime.invalidate("raw", partition="2025-01-07")
        fields = {"asset": "raw", "partitions": "2025-01-01:2025-01-20", "shown": "yes"}
        page = (await visitor.get("/launch", params=fields)).text
        assert "3 steps run" in page
        await visitor.runtime.materialize("raw", partition="2025-01-07")
        await visitor.runtime.invalidate("raw", partition="2025-01-15")
        answer = await visitor.post("/launch", data=fields | {"seen": seen(page)})
        assert "changed=yes" in answer.headers["location"]
        assert all(run.request.by is None for run in await visitor.runtime.runs())
        page = (await visitor.get("/launch", params=fields)).text
        answer = await visitor.post("/launch", data=fields | {"seen": seen(page)})
        assert answer.headers["location"].startswith("/runs/")


async def test_ten_thousand_partitions_picked_by_hand_are_planned_and_started(visit):
    """They are too long for an address, so a form has them; what has changed meanwhile is said there as well."""
    pipeline = Pipeline("many")
    keys = StaticPartitions([f"customer-{number:05}" for number in range(20_001)])

    @pipeline.asset(partitions=keys)
    async def raw() -> int:
        return 1

    async with visit(pipeline) as visitor:
        picked = ", ".join(f"customer-{number:05}" for number in range(0, 20_000, 2))
        fields = {"asset": "raw", "partitions": picked, "parallel": "64"}
        answer = await visitor.post("/launch/plan", data=fields)
        assert answer.status_code == 200
        assert "10,000 steps run" in answer.text
        assert await visitor.runtime.runs() == []
        await visitor.runtime.materialize("raw", partition="customer-00002")
        answer = await visitor.post("/launch", data=fields | {"seen": seen(answer.text)})
        assert answer.status_code == 409
        assert "The plan has changed" in answer.text
        assert "9,999 steps run" in answer.text
        answer = await visitor.post("/launch", data=fields | {"seen": seen(answer.text)})
        assert answer.headers["location"].startswith("/runs/")
        run = await visitor.runtime.run(answer.headers["location"].removeprefix("/runs/"))
        assert len(await run.wait()) == 10_000


async def test_several_assets_are_launched_by_a_selection(visit, store):
    """In the address: with the partitions that they have, one plan and one run, which has a title on every page."""
    async with visit(shop(), store=store) as visitor:
        address = "/launch?asset=raw%2B&partitions=2025-01-01:2025-01-03&upstream=no&refresh=missing"
        page = (await visitor.get(address)).text
        assert "7 steps run, 0 values are reused" in page
        assert "flowstone backfill MODULE:PIPELINE raw+" in page
        fields = {
            "asset": "raw+",
            "partitions": "2025-01-01:2025-01-03",
            "shown": "yes",
            "refresh": "missing",
        }
        answer = await visitor.post("/launch", data=fields | {"seen": seen(page)})
        run_id = answer.headers["location"].removeprefix("/runs/")
        run = await (await visitor.runtime.run(run_id)).record()
        assert run.assets == ("raw", "visits", "report")
        while not (await (await visitor.runtime.run(run_id)).status()).terminal:
            await asyncio.sleep(0.01)
        title = "raw, visits and report"
        shown = (await visitor.get(f"/runs/{run_id}")).text
        assert f"<title>Run {title}" in shown
        assert f"backfill {title}</span></h1>" in shown
        assert "asset=raw%2Cvisits%2Creport" in shown  # Launch with changes.
        assert title in (await visitor.get("/runs")).text
        assert title in (await visitor.get("/runs?asset=visits")).text


@pytest.mark.parametrize(
    ("asset", "problem"),
    [
        ("rw%2B", "There is no asset &#39;rw&#39;. Did you mean &#39;raw&#39;?"),
        ("raw -raw", "No asset is in this selection"),
    ],
)
async def test_a_selection_that_means_nothing_is_said_on_the_page(visit, asset, problem):
    async with visit(shop()) as visitor:
        page = await visitor.get(f"/launch?asset={asset}")
        assert page.status_code == 200
        assert problem in page.text


async def test_a_partition_with_a_comma_is_that_partition(visit):
    """Where its page leads to, and as it is written by hand."""
    pipeline = Pipeline("places")

    @pipeline.asset(partitions=StaticPartitions(["a", "b", "a,b"]))
    async def raw() -> int:
        return 1

    async with visit(pipeline) as visitor:
        page = (await visitor.get("/assets/raw/a,b")).text
        (link,) = {html.unescape(each) for each in re.findall(r'href="(/launch\?[^"]*)"', page)}
        page = (await visitor.get(link)).text
        assert "1 step runs" in page
        fields = {"asset": "raw", "partitions": '"a,b"', "seen": seen(page), "shown": "yes"}
        answer = await visitor.post("/launch", data=fields)
        run = await visitor.runtime.run(answer.headers["location"].removeprefix("/runs/"))
        assert [step.partition for step in (await run.wait()).succeeded] == ["a,b"]
