"""`/api/v1/plan` and `/api/v1/runs` of several assets and partitions: looking at a plan, and starting just that."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Context, DailyPartitions, Pipeline
from flowstone.errors import PlanOutdated
from tests.server.api.shops import ended, shop

DAYS = DailyPartitions("2025-01-01", "2025-01-05")


def sales() -> Pipeline:
    """Raw -> clean by day, a report of all days, and notes beside them."""
    pipeline = Pipeline("sales")

    @pipeline.asset(partitions=DAYS, tags={"team": "core"})
    async def raw(context: Context) -> int:
        return context.partition.day

    @pipeline.asset(partitions=DAYS)
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset
    async def report(clean: object) -> int:
        return 1

    @pipeline.asset(tags={"team": "core"})
    async def notes() -> int:
        return 1

    return pipeline


async def planned(visitor, **body):
    answer = await visitor.post("/api/v1/plan", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_run_of_several_assets_is_started_and_shown(visit):
    """By a selection; it is found by each of them, and has a title."""
    async with visit(sales()) as visitor:
        body = {"asset": "raw+", "kind": "backfill", "start": "2025-01-02", "end": "2025-01-03"}
        run = (await visitor.post("/api/v1/runs", json=body)).json()
        assert (run["asset"], run["assets"], run["total"]) == ("clean", ["raw", "clean", "report"], 5)
        assert run["title"] == "raw, clean and report, 2025-01-02 to 2025-01-03"
        assert (await ended(visitor, run["id"]))["status"] == "failed"  # The report needs all days.
        for name in run["assets"]:
            (found,) = (await visitor.get("/api/v1/runs", params={"asset": name})).json()["items"]
            assert found["id"] == run["id"]
        alone = (await visitor.post("/api/v1/runs", json={"asset": "notes"})).json()
        assert (alone["assets"], alone["title"]) == (["notes"], "notes")


@pytest.mark.parametrize(
    ("body", "status", "kind", "detail"),
    [
        ({"asset": "rw+"}, 422, "SelectionError", "There is no asset 'rw'. Did you mean 'raw'?"),
        ({"asset": "rw"}, 404, "AssetNotFound", "There is no asset 'rw'. Did you mean 'raw'?"),
        ({"asset": "raw -raw"}, 422, "SelectionError", "No asset is in this selection"),
        ({"asset": "raw,clean", "partition": "2025-01-09"}, 422, "PartitionError", "2025-01-01"),
        (
            {"asset": "raw", "partition": "2025-01-02", "start": "2025-01-01"},
            422,
            "PartitionError",
            "not both",
        ),
        ({"asset": "raw", "partitons": []}, 422, "ArgumentError", "Did you mean 'partitions'?"),
    ],
    ids=str,
)
async def test_what_means_nothing_is_a_problem(visit, body, status, kind, detail):
    """The same for a plan and, with a digest, for its run."""
    async with visit(sales()) as visitor:
        for path, more in (("plan", {}), ("plan/run", {"digest": "x"})):
            answer = await visitor.post(f"/api/v1/{path}", json=body | more)
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert (answer.status_code, problem["type"]) == (status, kind)
            assert detail in problem["detail"]


async def test_a_plan_names_partitions_and_reasons(visit):
    """Of a selection and a list of partitions, in an address or in a body."""
    async with visit(sales()) as visitor:
        await visitor.runtime.backfill("raw", partitions=["2025-01-02"])
        body = {"asset": "raw,clean", "partitions": ["2025-01-02", "2025-01-04"], "refresh": "missing"}
        plan = await planned(visitor, **body)
        assert (plan["to_run"], plan["to_reuse"], plan["by_reason"]) == (3, 1, {"missing": 3, "fresh": 1})
        assert [(step["asset"], step["partition"], step["action"]) for step in plan["items"]] == [
            ("raw", "2025-01-02", "reuse"),
            ("raw", "2025-01-04", "run"),
            ("clean", "2025-01-02", "run"),
            ("clean", "2025-01-04", "run"),
        ]
        assert (await visitor.get("/api/v1/plan", params=body)).json() == plan


async def test_many_partitions_are_planned_a_page_at_a_time(visit):
    """The body is the same each time; a cursor of a plan that is another one by now is refused."""
    async with visit(sales()) as visitor:
        body = {
            "asset": "raw+",
            "partitions": [f"2025-01-0{day}" for day in range(1, 6)],
            "refresh": "missing",
        }
        first = (await visitor.post("/api/v1/plan?limit=8", json=body)).json()
        rest = (
            await visitor.post("/api/v1/plan", params={"limit": 8, "cursor": first["next"]}, json=body)
        ).json()
        assert (len(first["items"]), len(rest["items"]), rest["next"]) == (8, 3, None)
        assert first["digest"] == rest["digest"]
        await visitor.runtime.materialize("raw", partition="2025-01-01")
        late = await visitor.post("/api/v1/plan", params={"cursor": first["next"]}, json=body)
        assert (late.status_code, late.json()["detail"]) == (422, "The plan has other steps by now.")


async def test_what_was_planned_is_run(visit, store_url):
    """Just that, with labels; where it is to be found is said."""
    async with visit(sales(), store=store_url) as visitor:
        body = {"asset": "raw+,notes", "refresh": "missing", "max_parallel": 2}
        plan = await planned(visitor, **body)
        answer = await visitor.post(
            "/api/v1/plan/run", json=body | {"digest": plan["digest"], "tags": {"why": "test"}}
        )
        run = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v1/runs/{run['id']}")
        assert (run["total"], run["max_parallel"], run["tags"]) == (12, 2, {"why": "test"})
        assert (await ended(visitor, run["id"]))["counts"] == {"succeeded": 12}


async def test_a_plan_that_is_outdated_starts_nothing(visit):
    """409, what would run now, and what to do; with the digest of the new one it starts."""
    async with visit(sales()) as visitor:
        body = {"asset": "raw", "refresh": "missing"}
        plan = await planned(visitor, **body)
        await visitor.runtime.materialize("raw", partition="2025-01-01")
        answer = await visitor.post("/api/v1/plan/run", json=body | {"digest": plan["digest"]})
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (409, "PlanOutdated")
        assert problem["detail"].endswith("now 4 steps would run.")
        assert problem["remedy"] == "Plan it again with `POST /api/v1/plan`, and look at it."
        assert len((await visitor.get("/api/v1/runs")).json()["items"]) == 1
        again = await planned(visitor, **body)
        assert again["digest"] != plan["digest"]
        started = await visitor.post("/api/v1/plan/run", json=body | {"digest": again["digest"]})
        assert started.status_code == 201


async def test_what_changes_between_two_looks_starts_nothing(visit, monkeypatch):
    """The runtime looks once more: its answer is the same problem."""
    async with visit(sales()) as visitor:
        body = {"asset": "raw", "refresh": "missing"}
        plan = await planned(visitor, **body)

        async def outdated(*_, **__):
            raise PlanOutdated("What would run has changed.")

        monkeypatch.setattr(type(visitor.runtime), "run_plan", outdated)
        answer = await visitor.post("/api/v1/plan/run", json=body | {"digest": plan["digest"]})
        assert (answer.status_code, answer.json()["type"]) == (409, "PlanOutdated")


async def test_who_asks_twice_with_a_key_is_given_the_run_that_there_is(visit):
    """As with a run that is started without a plan."""
    pipeline, held = sales(), asyncio.Event()

    @pipeline.asset
    async def slow() -> int:
        await held.wait()
        return 1

    async with visit(pipeline) as visitor:
        body = {"asset": "slow,notes"}
        body["digest"] = (await planned(visitor, **body))["digest"]
        first, second = [await visitor.post("/api/v1/plan/run", json=body | {"key": "k"}) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["id"] == second.json()["id"]
        held.set()
        await ended(visitor, first.json()["id"])


async def test_digests_tell_what_would_be_done(visit):
    """Alike for the same, however many steps run at a time; others for other steps, assets, config or refresh."""
    async with visit(shop()) as visitor:
        plan = visitor.runtime.plan
        chosen = ["2025-01-02", "2025-01-03"]
        same = [await plan("visits", partitions=chosen, max_parallel=number) for number in (1, 7)]
        others = [
            await plan("visits", partitions=["2025-01-02", "2025-01-04"]),
            await plan("visits", partitions=chosen, refresh="all"),
            await plan("visits,report", partitions=chosen),
            await plan("visits"),
            *[await plan("report", config=config) for config in (None, {"threshold": 4}, {"threshold": 5})],
        ]
        assert len({each.digest for each in others}) == len(others)
        assert len({each.digest for each in same}) == 1
        assert same[0].digest not in {each.digest for each in others}


async def test_a_plan_warns_of_what_one_may_not_expect(visit):
    """Of inputs without a value; and of a partition of what has none, which the start of a run says as well."""
    async with visit(shop()) as visitor:
        plan = await visitor.get("/api/v1/plan?asset=report&upstream=false")
        assert plan.json()["warnings"][0].startswith("1 step would fail: visits[2025-01-01], ")
        page = (await visitor.get("/launch?asset=report&shown=yes&upstream=no")).text
        assert "1 step would fail: visits[2025-01-01], " in page
        started = await visitor.post("/api/v1/runs", json={"asset": "report", "partition": "2025-01-02"})
        assert (started.status_code, len(started.json()["notes"])) == (201, 1)
        assert "report has no partition set" in started.json()["notes"][0]
        assert (await visitor.get(f"/api/v1/runs/{started.json()['id']}")).json()["notes"] == []
