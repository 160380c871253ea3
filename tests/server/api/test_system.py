"""`/api/v1/automations`, `pools`, `nodes`, `tree`, `health`, `lineage` and `plan`."""

from __future__ import annotations

from flowstone import Pipeline, RunRequest
from tests.server.api.shops import DAYS, shop


def night() -> Pipeline:
    pipeline = shop()
    pipeline.pool("warehouse", slots=4)
    pipeline.schedule("nightly", cron="0 6 * * *", asset="report", timezone="Europe/Oslo")
    pipeline.schedule("weekly", cron="0 6 * * 1", asset="report")

    @pipeline.asset(pool={"warehouse": 2})
    async def stocked() -> int:
        return 1

    @pipeline.sensor("broken-sensor", every=30.0)
    async def broken_sensor(context):
        raise OSError("the disk is full")
        yield RunRequest("report")

    return pipeline


async def test_automations_are_steered(visit):
    """Paused by whom and why, resumed, and fired."""
    async with visit(night()) as visitor:
        first = (await visitor.get("/api/v1/automations?limit=2")).json()
        rest = (await visitor.get("/api/v1/automations", params={"cursor": first["next"]})).json()
        names = [each["name"] for each in first["items"] + rest["items"]]
        assert names == ["broken-sensor", "nightly", "weekly"]
        paused = (await visitor.post("/api/v1/automations/nightly/pause", json={"reason": "audit"})).json()
        assert (paused["paused"], paused["paused_by"], paused["paused_because"]) == (True, "local", "audit")
        assert paused["next_fire"] is None
        resumed = (await visitor.post("/api/v1/automations/nightly/resume")).json()
        assert (resumed["paused"], resumed["next_fire"][-1]) == (False, "Z")
        (run,) = (await visitor.post("/api/v1/automations/nightly/fire")).json()
        assert run["asset"] == "report"
        (nightly,) = [
            each
            for each in (await visitor.get("/api/v1/automations?fires=1")).json()["items"]
            if each["name"] == "nightly"
        ]
        assert nightly["last_fires"][0]["runs"][0]["id"] == run["id"]
        assert nightly["last_fires"][0]["by"] == "local"


async def test_an_automation_that_fails_is_a_problem(visit):
    """Its function's message, and no failure of the server."""
    async with visit(night()) as visitor:
        failed = await visitor.post("/api/v1/automations/broken-sensor/fire")
        assert (failed.status_code, failed.json()["type"]) == (422, "AutomationError")
        unknown = (await visitor.post("/api/v1/automations/nightyl/fire")).json()
        assert (unknown["type"], unknown["remedy"]) == (
            "AutomationNotFound",
            "`GET /api/v1/automations` lists them.",
        )


async def test_a_pool_is_given_slots(visit):
    """At least as many as an asset asks for; null gives it back what its pipeline says."""
    async with visit(night()) as visitor:
        (pool,) = (await visitor.get("/api/v1/pools")).json()["items"]
        assert pool == {"name": "warehouse", "slots": 4, "taken": 0, "waiting": 0, "holders": []}
        assert (await visitor.post("/api/v1/pools/warehouse", json={"slots": 8})).json()["slots"] == 8
        assert (await visitor.post("/api/v1/pools/warehouse", json={"slots": None})).json()["slots"] == 4
        for body in ({"slots": 1}, {"slots": 0}, {"slots": 2**40}, {"slots": "many"}, {}, {"slot": 3}):
            refused = await visitor.post("/api/v1/pools/warehouse", json=body)
            assert (refused.status_code, refused.json()["type"]) == (422, "ArgumentError"), body
        unknown = (await visitor.post("/api/v1/pools/warehous", json={"slots": 3})).json()
        assert unknown["detail"] == "There is no pool 'warehous'. Did you mean 'warehouse'?"


async def test_the_processes_are_shown(visit):
    """The nodes, the tree of the one that answers, and how well it is."""
    async with visit(night()) as visitor:
        (node,) = (await visitor.get("/api/v1/nodes")).json()["items"]
        assert (node["id"], node["alive"], node["tree"]) == (visitor.runtime.node, True, None)
        (node,) = (await visitor.get("/api/v1/nodes?trees=true")).json()["items"]
        tree = (await visitor.get("/api/v1/tree")).json()
        assert tree["name"] == node["tree"]["name"] == "runtime"
        assert "runs" in [child["name"] for child in tree["children"]]
        health = (await visitor.get("/api/v1/health")).json()
        assert (health["status"], health["problems"]) == ("ok", [])


async def test_an_asset_is_explained(visit):
    """Down to the root, without passwords."""
    async with visit(shop()) as visitor:
        run = await visitor.runtime.submit("broken")
        async for _ in run.events():
            pass
        found = (await visitor.get("/api/v1/why?asset=broken")).json()
        assert (found["status"], found["run_id"], found["partition"]) == ("failed", run.id, None)
        assert "***" in found["sentence"]
        assert (await visitor.get("/api/v1/why?asset=visits")).json()["type"] == "PartitionError"
        assert (await visitor.get("/api/v1/why?asset=visit")).status_code == 404


async def test_lineage_leads_both_ways(visit):
    """A page at a time."""
    async with visit(shop()) as visitor:
        await visitor.runtime.materialize_all("report")
        query = {"asset": "report", "limit": 30}
        first = (await visitor.get("/api/v1/lineage", params=query)).json()
        rest = (await visitor.get("/api/v1/lineage", params=query | {"cursor": first["next"]})).json()
        found = first["items"] + rest["items"]
        assert [each["partition"] for each in found] == [str(day) for day in DAYS]
        assert found[0] == {
            "asset": "visits",
            "partition": "2025-01-01",
            "partition_key": "d:2025-01-01",
            "depth": 1,
        }
        down = {"asset": "visits", "partition": "2025-01-05", "direction": "downstream"}
        assert (await visitor.get("/api/v1/lineage", params=down)).json()["items"] == [
            {"asset": "report", "partition": None, "partition_key": None, "depth": 1}
        ]
        assert (await visitor.get("/api/v1/lineage?asset=visits")).json()["type"] == "PartitionError"
        assert (await visitor.get("/api/v1/lineage")).json()["detail"] == "`asset` is missing."


async def test_a_plan_is_shown_a_page_at_a_time(visit):
    """With the numbers of the whole; a cursor of a plan that has other steps by now is refused."""
    async with visit(shop()) as visitor:
        await visitor.runtime.materialize("visits", partition="2025-01-01")
        query = {"asset": "report", "refresh": "missing", "limit": 30}
        first = (await visitor.get("/api/v1/plan", params=query)).json()
        assert (first["to_run"], first["to_reuse"], len(first["items"])) == (31, 1, 30)
        assert {"asset": "visits", "partition": "2025-01-01", "action": "reuse"}.items() <= first["items"][
            0
        ].items()
        rest = (await visitor.get("/api/v1/plan", params=query | {"cursor": first["next"]})).json()
        assert [each["asset"] for each in rest["items"]] == ["visits", "report"]
        ranged = {"asset": "visits", "start": "2025-01-30"}
        assert len((await visitor.get("/api/v1/plan", params=ranged)).json()["items"]) == 2
