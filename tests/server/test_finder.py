"""Find or do: by letters in their order, whatever they are letters of."""

from __future__ import annotations

import pytest

from flowstone import DailyPartitions, Pipeline, StaticPartitions
from flowstone.server.finder import distance


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-31"))
    async def revenue() -> int:
        return 1

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-03-31"))
    async def visits() -> int:
        return 1

    @pipeline.asset(partitions=StaticPartitions(["EU/north", "US"]))
    async def stock() -> int:
        return 1

    @pipeline.asset
    async def order_report(context) -> int:
        context.approval("publish", message="Publish the report?")
        return 1

    return pipeline


@pytest.mark.parametrize(
    ("name", "words", "far"),
    [
        ("orders", "", -1000),
        ("orders", "ord", -1000),
        ("orders", "ods", 3),
        ("order_report", "rep", -994),
        ("orders", "rev", None),
        ("orders", "srO", None),
    ],
)
def test_how_far_a_name_is(name, words, far):
    """Letters between those that are looked for; a beginning is nearest, and a missing letter is no name."""
    assert distance(name, words) == far


async def test_what_is_found(visit):
    """Assets, pages, runs, partitions and what is to be answered; the nearest first."""
    async with visit(shop()) as visitor:

        async def found(words):
            return [
                (hit["name"], hit["path"]) for hit in (await visitor.get("/find", params={"q": words})).json()
            ]

        run = await visitor.runtime.submit("order_report")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        (approval,) = await visitor.runtime.approvals()
        assert (await found("ord"))[:2] == [
            ("orders", "/assets/orders"),
            ("order_report", "/assets/order_report"),
        ]
        assert (await found("graph"))[0] == ("Graph", "/graph")
        assert ("Publish the report?", f"/waiting/{approval.id}") in await found("publish")
        assert (await found(run.id[:12]))[0][1] == f"/runs/{run.id}"
        for words in ("revenue[2025-01-07]", "revenue 2025-01-07", "Revenue[2025-01-07"):
            assert (await found(words))[0] == ("revenue[2025-01-07]", "/assets/revenue/2025-01-07")
        assert (await found("stock[EU/north]"))[0] == ("stock[EU/north]", "/assets/stock/EU/north")
        assert (await found("US"))[0] == ("stock[US]", "/assets/stock/US")
        assert (await found("2025-01-07"))[:2] == [
            ("revenue[2025-01-07]", "/assets/revenue/2025-01-07"),
            ("visits[2025-01-07]", "/assets/visits/2025-01-07"),
        ]
        assert (await found("2025-03-07"))[0] == ("visits[2025-03-07]", "/assets/visits/2025-03-07")
        assert await found("revenue[2024-01-07]") == []
        assert len(await found("")) >= 8


async def test_what_is_looked_for_is_no_markup_and_no_trap(visit):
    """Long, empty and strange words have an answer."""
    async with visit(shop()) as visitor:
        for words in (
            "<script>",
            "\x00",
            "a" * 10_000,
            "[",
            "revenue[]",
            "%00",
            "../..",
            "revenue[\U0001f600]",
        ):
            answer = await visitor.get("/find", params={"q": words})
            assert answer.status_code == (422 if "\0" in words else 200)
