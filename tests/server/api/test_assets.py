"""`/api/v1/assets`: what there is, and what has become of it."""

from __future__ import annotations

from flowstone import DailyPartitions, Pipeline
from tests.server.api.shops import shop


async def test_assets_come_after_those_they_depend_on(visit):
    """A page at a time."""
    async with visit(shop()) as visitor:
        page = (await visitor.get("/api/v1/assets?limit=2")).json()
        assert [each["name"] for each in page["items"]] == ["visits", "report"]
        rest = (await visitor.get("/api/v1/assets", params={"cursor": page["next"]})).json()
        assert ([each["name"] for each in rest["items"]], rest["next"]) == (["broken"], None)
        assert page["items"][1]["dependencies"] == ["visits"]


async def test_an_asset_says_what_has_become_of_it(visit):
    """How many partitions there are of each status."""
    async with visit(shop()) as visitor:
        await visitor.runtime.materialize("visits", partition="2025-01-03")
        found = (await visitor.get("/api/v1/assets/visits")).json()
        assert found["counts"] == {"succeeded": 1, "never": 30}
        assert (found["partitions"], found["tags"]) == ("DailyPartitions", {"team": "core"})


async def test_an_unknown_asset_is_not_found(visit):
    """Everywhere, with a suggestion."""
    async with visit(shop()) as visitor:
        for path in ("visit", "visit/partitions", "visit/history"):
            problem = await visitor.get(f"/api/v1/assets/{path}")
            assert (problem.status_code, problem.json()["type"]) == (404, "AssetNotFound")
            assert "Did you mean 'visits'?" in problem.json()["detail"]


async def test_partitions_are_written_as_people_do(visit):
    """By their status, and in the order of their set."""
    async with visit(shop()) as visitor:
        await visitor.runtime.backfill("visits", start="2025-01-03", end="2025-01-05")
        path = "/api/v1/assets/visits/partitions"
        page = (await visitor.get(path, params={"status": "succeeded", "limit": 2})).json()
        assert page["items"] == [
            {
                "partition": "2025-01-03",
                "partition_key": "d:2025-01-03",
                "status": "succeeded",
                "recorded": "succeeded",
                "cause": None,
            },
            {
                "partition": "2025-01-04",
                "partition_key": "d:2025-01-04",
                "status": "succeeded",
                "recorded": "succeeded",
                "cause": None,
            },
        ]
        more = {"status": "succeeded", "limit": 2, "cursor": page["next"]}
        assert (await visitor.get(path, params=more)).json()["items"] == [
            {
                "partition": "2025-01-05",
                "partition_key": "d:2025-01-05",
                "status": "succeeded",
                "recorded": "succeeded",
                "cause": None,
            }
        ]
        both = await visitor.get(path, params=[("status", "succeeded"), ("status", "never")])
        assert len(both.json()["items"]) == 31


async def test_history_goes_on_where_it_was(visit):
    """Whatever is recorded meanwhile: nothing comes twice, nothing is left out."""
    async with visit(shop()) as visitor:
        runtime = visitor.runtime
        for _ in range(4):
            await runtime.materialize("visits", partition="2025-01-03")
        before = [record.run_id for record in await runtime.history("visits", partition="2025-01-03")]
        path, query = "/api/v1/assets/visits/history", {"partition": "2025-01-03", "limit": 2}
        first = (await visitor.get(path, params=query)).json()
        for _ in range(3):
            await runtime.materialize("visits", partition="2025-01-03")
        second = (await visitor.get(path, params=query | {"cursor": first["next"]})).json()
        assert [each["run_id"] for each in first["items"] + second["items"]] == before
        assert second["next"] is None
        assert first["items"][0]["partition"] == "2025-01-03"
        assert first["items"][0]["finished_at"].endswith("Z")


async def test_a_failure_shows_no_password(visit):
    """And its traceback only to whoever asks for it."""
    async with visit(shop()) as visitor:
        run = await visitor.runtime.submit("broken")
        async for _ in run.events():
            pass
        path = "/api/v1/assets/broken/history"
        (record,) = (await visitor.get(path)).json()["items"]
        assert record["failure"]["traceback"] is None
        assert "shops.py:" in record["failure"]["where"]
        (record,) = (await visitor.get(path, params={"traceback": True})).json()["items"]
        assert "OSError: disk at postgres://ada:***@db/shop is full" in record["failure"]["traceback"]
        assert "secret" not in str(record)


async def test_a_partition_that_does_not_parse_is_refused(visit):
    """In a sentence, with what to do in the words of the API."""
    async with visit(shop()) as visitor:
        path = "/api/v1/assets/visits/history"
        problem = (await visitor.get(path, params={"partition": "2025-13-01"})).json()
        assert (problem["type"], problem["status"]) == ("PartitionError", 422)
        assert problem["remedy"] == "`GET /api/v1/assets/visits/partitions` lists them."
        assert "Give `partition`" in (await visitor.get(path)).json()["remedy"]


async def test_values_are_made_no_longer_current(visit):
    """One, or all, and what was computed from them."""
    async with visit(shop()) as visitor:
        await visitor.runtime.materialize_all("report")
        path = "/api/v1/assets/visits/invalidate"
        one = await visitor.post(path, json={"partition": "2025-01-03"})
        assert one.json() == {"invalidated": 1}
        assert (await visitor.post(path, json={"downstream": True})).json() == {"invalidated": 31}
        assert not await visitor.runtime.exists("report")
        assert (await visitor.post(path)).json() == {"invalidated": 0}
        assert (await visitor.post(path, json={"partiton": "x"})).status_code == 422


async def test_what_waits_is_told_before_what_is_on_record(visit):
    """In the counts, in the list, and by `status=`; what is on record stands beside it."""
    pipeline = Pipeline("bank")

    @pipeline.asset(partitions=DailyPartitions("2026-11-01", "2026-11-10"))
    async def booked(context) -> int:
        if context.partition.day in {3, 4}:
            context.approval("book")
        return 1

    async with visit(pipeline) as visitor:
        await visitor.runtime.backfill("booked", start="2026-11-01", end="2026-11-02")
        run = await visitor.runtime.submit_backfill("booked", start="2026-11-03", end="2026-11-04")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        path = "/api/v1/assets/booked"
        assert (await visitor.get(path)).json()["counts"] == {"succeeded": 2, "waiting": 2, "never": 6}
        waiting = (await visitor.get(f"{path}/partitions?status=waiting")).json()["items"]
        assert [(each["partition"], each["status"], each["recorded"]) for each in waiting] == [
            ("2026-11-03", "waiting", "never"),
            ("2026-11-04", "waiting", "never"),
        ]
