"""`/api/v1/runs`: starting runs, finding them, stopping them."""

from __future__ import annotations

import asyncio
import json

import pytest

from flowstone import Pipeline, Runtime, StaticPartitions
from flowstone.errors import ArgumentError
from tests.server.api.shops import ended, shop


async def test_one_partition_is_computed(visit):
    """With everything upstream, and what was asked for is shown as it was written."""
    async with visit(shop()) as visitor:
        body = {"asset": "visits", "partition": "2025-01-03", "tags": {"why": "test"}, "priority": 2}
        answer = await visitor.post("/api/v1/runs", json=body)
        run = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v1/runs/{run['id']}")
        assert (run["kind"], run["partitions"], run["tags"]) == (
            "materialize_all",
            ["2025-01-03"],
            {"why": "test"},
        )
        assert (await ended(visitor, run["id"]))["counts"] == {"succeeded": 1}


async def test_many_partitions_are_computed(visit):
    """A range, or a selection."""
    async with visit(shop()) as visitor:
        ranged = {"asset": "visits", "start": "2025-01-03", "end": "2025-01-09"}
        run = (await visitor.post("/api/v1/runs", json=ranged)).json()
        assert (run["kind"], run["start"], run["end"], run["total"]) == (
            "backfill",
            "2025-01-03",
            "2025-01-09",
            7,
        )
        chosen = {"asset": "visits", "partitions": ["2025-01-03", "2025-01-30"], "refresh": "all"}
        run = (await visitor.post("/api/v1/runs", json=chosen)).json()
        assert (run["partitions"], run["partition_count"]) == (["2025-01-03", "2025-01-30"], 2)
        assert (await ended(visitor, run["id"]))["counts"] == {"succeeded": 2}


async def test_ten_thousand_partitions_are_selected_by_hand(visit):
    """The run shows the first of them, and how many there are."""
    pipeline = Pipeline("many")
    keys = [f"customer-{number:05d}" for number in range(10_001)]

    @pipeline.asset(partitions=StaticPartitions(keys))
    async def balance() -> int:
        return 1

    async with visit(pipeline) as visitor:
        answer = await visitor.post("/api/v1/runs", json={"asset": "balance", "partitions": keys[:-1]})
        run = answer.json()
        assert (answer.status_code, run["partition_count"], len(run["partitions"])) == (201, 10_000, 100)
        assert (await visitor.post(f"/api/v1/runs/{run['id']}/cancel")).json()["status"] == "cancelled"


async def test_what_is_of_no_use_is_refused(visit):
    """Rather than left out."""
    async with visit(shop()) as visitor:
        for body, word in (
            ({"asset": "visits", "partition": "2025-01-03", "start": "2025-01-01"}, "partition"),
            ({"asset": "visits", "kind": "backfill", "join": True}, "join"),
            ({"asset": "visits", "kind": "materialize", "partitions": []}, "partitions"),
            ({"asset": "visits", "start": "2025-01-01", "timeout": 3}, "timeout"),
        ):
            problem = (await visitor.post("/api/v1/runs", json=body)).json()
            assert problem["type"] == "ArgumentError"
            assert problem["detail"].startswith(f"`{word}` is of no use to ")


async def test_what_cannot_be_computed_is_refused(visit):
    """Before anything is started."""
    async with visit(shop()) as visitor:
        for body, kind in (
            ({"asset": "visit"}, "AssetNotFound"),
            ({"asset": "visits"}, "PartitionError"),
            ({"asset": "visits", "partition": "yesterday"}, "PartitionError"),
            ({"asset": "visits", "partitions": ["2025-01-03"], "start": "2025-01-03"}, "PartitionError"),
            ({"asset": "report", "start": "2025-01-01"}, "PartitionError"),
            ({"asset": "report", "upstream": False}, "DependencyNotReady"),
            ({"asset": "report", "config": {"treshold": 1}}, "ConfigError"),
            ({"asset": "report", "config": {"threshold": "many"}}, "ConfigError"),
            ({"asset": "report", "key": "\ud800"}, "ArgumentError"),
            ({"asset": "report", "priority": 2**80}, "ArgumentError"),
            ({"asset": "report", "timeout": 0}, "ArgumentError"),
            ({"asset": "report", "max_parallel": 2**31}, "ArgumentError"),
            ({"asset": "report", "tags": {"a": "\x00"}}, "ArgumentError"),
            ({"asset": "report", "tags": {"a": "x" * 8_200}}, "ArgumentError"),
            ({"asset": "report", "tags": {"a" * 201: "x"}}, "ArgumentError"),
            ({"asset": "report", "tags": {f"{n}": "v" for n in range(5_000)}}, "ArgumentError"),
            ({"asset": "visits", "kind": "backfill", "tags": {"a": "x" * 8_200}}, "ArgumentError"),
            ({"asset": "report", "refersh": "all"}, "ArgumentError"),
            ([], "ArgumentError"),
            (None, "ArgumentError"),
        ):
            content = json.dumps(body).encode()
            headers = {"Content-Type": "application/json"}
            problem = (await visitor.post("/api/v1/runs", content=content, headers=headers)).json()
            assert problem["type"] == kind, problem
            assert problem["detail"].count("\n") == 0
        assert await visitor.runtime.runs() == []


async def test_a_run_of_the_same_key_is_the_answer(visit):
    """200 instead of 201, and the same for `join`."""
    pipeline = Pipeline("slow")
    release = asyncio.Event()

    @pipeline.asset
    async def slow() -> int:
        await release.wait()
        return 1

    async with visit(pipeline) as visitor:
        first = await visitor.post("/api/v1/runs", json={"asset": "slow", "key": "k"})
        again = await visitor.post("/api/v1/runs", json={"asset": "slow", "key": "k"})
        joined = await visitor.post("/api/v1/runs", json={"asset": "slow", "join": True})
        assert [each.status_code for each in (first, again, joined)] == [201, 200, 200]
        assert {each.json()["id"] for each in (first, again, joined)} == {first.json()["id"]}
        release.set()


async def test_runs_are_found_by_what_they_are(visit):
    """Status, asset and labels, newest first; a page holds whatever is started meanwhile."""
    async with visit(shop()) as visitor:
        ids = []
        for number in range(3):
            body = {"asset": "visits", "partition": "2025-01-03", "tags": {"n": str(number), "a": "b"}}
            ids.append((await visitor.post("/api/v1/runs", json=body)).json()["id"])
            await ended(visitor, ids[-1])
        first = (await visitor.get("/api/v1/runs?limit=2")).json()
        await visitor.post("/api/v1/runs", json={"asset": "visits", "partition": "2025-01-03"})
        rest = (await visitor.get("/api/v1/runs", params={"limit": 2, "cursor": first["next"]})).json()
        assert [each["id"] for each in first["items"] + rest["items"]] == ids[::-1]
        tagged = (await visitor.get("/api/v1/runs", params=[("tag", "a=b"), ("tag", "n=1")])).json()
        assert [each["id"] for each in tagged["items"]] == [ids[1]]
        assert len((await visitor.get("/api/v1/runs?tag=a")).json()["items"]) == 3
        assert len((await visitor.get("/api/v1/runs?tag=a&tag=n")).json()["items"]) == 3
        named = (
            await visitor.get("/api/v1/runs", params=[("tag", "n=1"), ("tag", "a"), ("tag", "n")])
        ).json()
        assert [each["id"] for each in named["items"]] == [ids[1]]
        assert (await visitor.get("/api/v1/runs?tag=a&tag=none")).json()["items"] == []
        assert (await visitor.get("/api/v1/runs?status=failed")).json()["items"] == []
        assert (await visitor.get("/api/v1/runs?asset=visit")).status_code == 404
        assert (await visitor.get("/api/v1/runs/0")).json()["type"] == "RunNotFound"


async def test_a_run_is_stopped(visit):
    """It is answered when it has; one that has ended stays as it is."""
    pipeline = Pipeline("endless")

    @pipeline.asset
    async def endless() -> int:
        await asyncio.Event().wait()
        return 1

    async with visit(pipeline) as visitor:
        run = (await visitor.post("/api/v1/runs", json={"asset": "endless"})).json()
        stopped = (await visitor.post(f"/api/v1/runs/{run['id']}/cancel")).json()
        assert stopped["status"] == "cancelled"
        assert (await visitor.post(f"/api/v1/runs/{run['id']}/cancel")).json() == stopped
        assert (await visitor.post("/api/v1/runs/0/cancel")).status_code == 404


async def test_a_request_is_carried_out_once(visit, store_url):
    """Whether its run has ended or not; with other words its key is refused."""
    async with visit(shop(), store=store_url) as visitor:
        headers = {"Idempotency-Key": "nightly-2025-01-15"}

        async def ask(**body):
            return await visitor.post("/api/v1/runs", json=body, headers=headers)

        asked = {"asset": "visits", "start": "2025-01-30"}
        both = await asyncio.gather(ask(**asked), ask(**asked))
        assert len({each.json()["id"] for each in both}) == 1
        run_id = both[0].json()["id"]
        await ended(visitor, run_id)
        again = await ask(**asked)
        assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, run_id, "succeeded")
        for other in ({"asset": "visits"}, asked | {"end": "2025-01-30"}, asked | {"priority": 1}):
            refused = await ask(**{"kind": "backfill"} | other)
            assert (refused.status_code, refused.json()["type"]) == (422, "ArgumentError")
            assert refused.json()["detail"] == f"Another run was asked for by this key: {run_id}."
        assert (await ask(**asked, key="k")).status_code == 422
        assert len(await visitor.runtime.runs()) == 1


async def test_a_request_is_carried_out_once_over_restarts(tmp_path):
    """On a store that lasts."""
    for number in range(2):
        async with Runtime(shop(), store=f"file://{tmp_path}") as runtime:
            run = await runtime.submit("visits", partition="2025-01-03", once="k")
            assert run.submitted is (number == 0)
            await run.wait()
            with pytest.raises(ArgumentError, match="Another run was asked for by this key"):
                await runtime.submit("visits", partition="2025-01-04", once="k")
            for wrong in ({"once": ""}, {"once": "k", "join": True}, {"once": "k", "key": "k"}):
                with pytest.raises(ArgumentError):
                    await runtime.submit("visits", partition="2025-01-03", **wrong)
            assert len(await runtime.runs()) == 1
