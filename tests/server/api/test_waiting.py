"""`/api/v1/approvals` and `/api/v1/signals`: what somebody says to a step that waits."""

from __future__ import annotations

from flowstone import Context, Pipeline, Runtime, StaticPartitions

BRANCHES = StaticPartitions([f"branch-{number}" for number in range(5)])


def bank() -> tuple[Pipeline, list[str]]:
    """An asset that asks for approval at each partition, and one that hands out tokens."""
    pipeline = Pipeline("bank")
    tokens: list[str] = []

    @pipeline.asset(partitions=BRANCHES)
    def paid(context: Context) -> str:
        return context.approval("pay", message=f"pay {context.partition}", data={"eur": 5}).by

    @pipeline.asset
    def booked(context: Context) -> dict:
        tokens.append(context.signal_token("booking"))
        return context.signal("booking")

    return pipeline, tokens


async def waiting(runtime: Runtime, asset: str, **options):
    """A run that waits."""
    run = await runtime.submit(asset, **options)
    async for event in run.events():
        if event.kind == "run.waiting":
            return run
    raise AssertionError("it does not wait")


async def test_approvals_come_a_page_at_a_time(visit, store_url):
    """Newest first, whatever is asked for or decided meanwhile; the decision says who it was."""
    pipeline, _ = bank()
    async with visit(pipeline, store=store_url) as visitor:
        runtime = visitor.runtime
        for number in range(4):
            await waiting(runtime, "paid", partition=f"branch-{number}")
        first = (await visitor.get("/api/v1/approvals?limit=2")).json()
        assert [each["partition"] for each in first["items"]] == ["branch-3", "branch-2"]
        assert (first["items"][0]["message"], first["items"][0]["data"]) == ("pay branch-3", {"eur": 5})
        path = f"/api/v1/approvals/{first['items'][1]['id']}/approve"
        approved = await visitor.post(path, json={"reason": "fine"})
        assert {"status": "approved", "by": "local", "reason": "fine"}.items() <= approved.json().items()
        await waiting(runtime, "paid", partition="branch-4")
        rest = (await visitor.get("/api/v1/approvals", params={"cursor": first["next"]})).json()
        assert [each["partition"] for each in rest["items"]] == ["branch-1", "branch-0"]
        again = await visitor.post(path)
        assert (again.status_code, again.json()["type"]) == (409, "AlreadyDecided")
        rejected = await visitor.post(f"/api/v1/approvals/{rest['items'][0]['id']}/reject")
        assert rejected.json()["status"] == "rejected"
        every = (await visitor.get("/api/v1/approvals?status=all")).json()["items"]
        assert [each["status"] for each in every] == ["pending", "pending", "approved", "rejected", "pending"]
        assert (await visitor.get("/api/v1/approvals?asset=booked")).json()["items"] == []


async def test_an_unknown_approval_is_not_found(visit):
    """And what cannot be said is refused."""
    pipeline, _ = bank()
    async with visit(pipeline) as visitor:
        for path in ("0", "x" * 400, "0f3a5c1d2e4b6a798091"):
            assert (await visitor.post(f"/api/v1/approvals/{path}/approve")).status_code == 404
        run = await waiting(visitor.runtime, "paid", partition="branch-0")
        (asked,) = (await visitor.get("/api/v1/approvals")).json()["items"]
        assert asked["run_id"] == run.id
        for body in ({"reason": ""}, {"reason": 3}, {"data": "x" * 1_100_000}, {"who": "ada"}):
            refused = await visitor.post(f"/api/v1/approvals/{asked['id']}/approve", json=body)
            assert (refused.status_code, refused.json()["type"]) == (422, "ArgumentError"), body


async def test_a_signal_is_taken_once(visit):
    """By the token that the step handed out."""
    pipeline, tokens = bank()
    async with visit(pipeline) as visitor:
        run = await waiting(visitor.runtime, "booked")
        path = f"/api/v1/signals/{tokens[0]}"
        assert (await visitor.post(path, json={"payload": {"id": 7}})).json() == {"status": "taken"}
        assert await (await run.wait()).value("booked") == {"id": 7}
        assert (await visitor.post(path)).json()["type"] in ("TokenUsed", "TokenExpired")
        assert (await visitor.post("/api/v1/signals/forged")).json()["type"] == "TokenUnknown"
        assert tokens[0] not in (await visitor.get("/api/v1/runs")).text
