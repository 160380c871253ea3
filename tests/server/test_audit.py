"""The audit log over HTTP and on pages: who did what, by the name of their token."""

from __future__ import annotations

import pytest

from flowstone import Context, Pipeline
from tests.server.api.shops import shop

ELSEWHERE = {"host": "10.0.0.7", "base": "http://10.0.0.1:8150"}


def busy() -> Pipeline:
    pipeline = shop()
    pipeline.pool("warehouse", slots=4)

    @pipeline.asset
    async def plain() -> int:
        return 1

    pipeline.schedule("nightly", cron="0 6 * * *", asset="plain")

    @pipeline.asset
    async def asks(context: Context) -> int:
        context.approval("publish")
        return 1

    return pipeline


async def tokens_of(runtime):
    """A header for a holder of each role."""
    made = {role: await runtime.create_token(f"{role}-er", role) for role in ("read", "operate", "admin")}
    return {role: {"Authorization": f"Bearer {token}"} for role, token in made.items()}


async def waiting(runtime, run_id):
    """When nothing is left of the run but what waits."""
    async for event in (await runtime.run(run_id)).events():
        if event.kind == "run.waiting":
            return


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")


async def test_each_act_is_of_the_holder_of_the_token(visit, store):
    """Whatever is asked for by HTTP, and with the reasons that were given."""
    async with visit(busy(), store=store, **ELSEWHERE) as visitor:
        headers = await tokens_of(visitor.runtime)

        async def post(path, who="operate", /, **body):
            answer = await visitor.post(f"/api/v1/{path}", json=body or None, headers=headers[who])
            assert answer.status_code < 300, answer.text
            return answer.json()

        run = await post("runs", asset="asks", tags={"reason": "by hand"})
        assert run["by"] == "operate-er"
        await waiting(visitor.runtime, run["id"])
        await post(f"runs/{run['id']}/cancel", reason="not now")
        again = await post(f"runs/{run['id']}/retry")
        await waiting(visitor.runtime, again["id"])
        (approval,) = await visitor.runtime.approvals()
        await post(f"approvals/{approval.id}/approve", reason="fine")
        await (await visitor.runtime.run(again["id"])).wait()
        await post("automations/nightly/pause", reason="moving")
        await post("automations/nightly/resume")
        await post("assets/asks/invalidate", "admin", reason="wrong")
        await post("pools/warehouse", "admin", slots=8)
        await post("tokens", "admin", name="eve", role="read")
        answer = await visitor.client.delete("/api/v1/tokens/eve", headers=headers["admin"])
        assert answer.status_code == 200
        page = (await visitor.get("/api/v1/audit", headers=headers["admin"])).json()
        assert page["next"] is None
        assert [(each["by"], each["action"], each["reason"]) for each in reversed(page["items"])][3:] == [
            ("operate-er", "run.queued", "by hand"),
            ("operate-er", "run.cancel_requested", "not now"),
            ("operate-er", "run.queued", "by hand"),
            ("operate-er", "approval.approved", "fine"),
            ("operate-er", "automation.paused", "moving"),
            ("operate-er", "automation.resumed", ""),
            ("admin-er", "asset.invalidated", "wrong"),
            ("admin-er", "pool.changed", ""),
            ("admin-er", "token.created", ""),
            ("admin-er", "token.revoked", ""),
        ]


async def test_the_list_is_paged_and_filtered(visit):
    """By asset, run and who; a cursor is of one list."""
    async with visit(busy()) as visitor:
        runs = [
            (await visitor.post("/api/v1/runs", json={"asset": asset})).json()["id"]
            for asset in ("plain", "asks", "plain")
        ]
        first = (await visitor.get("/api/v1/audit?limit=2")).json()
        rest = (await visitor.get("/api/v1/audit", params={"cursor": first["next"]})).json()
        assert [each["run_id"] for each in first["items"] + rest["items"]] == runs[::-1]
        assert rest["next"] is None
        for query, found in (
            ({"asset": "plain"}, [runs[2], runs[0]]),
            ({"run_id": runs[1]}, [runs[1]]),
            ({"by": "local", "limit": "1"}, [runs[2]]),
            ({"by": "eve"}, []),
        ):
            page = (await visitor.get("/api/v1/audit", params=query)).json()
            assert [each["run_id"] for each in page["items"]] == found
        other = await visitor.get("/api/v1/audit", params={"cursor": first["next"], "by": "local"})
        assert (other.status_code, other.json()["type"]) == (422, "ArgumentError")
        assert (await visitor.get("/api/v1/audit?asset=plaid")).status_code == 404


async def test_who_has_access_is_for_those_who_may_give_it(visit):
    """Others see what was done with it, and page on all the same."""
    async with visit(busy(), **ELSEWHERE) as visitor:
        headers = await tokens_of(visitor.runtime)
        await visitor.runtime.materialize("plain", by="ada")
        for role, number in (("read", 1), ("operate", 1), ("admin", 4)):
            page = (await visitor.get("/api/v1/audit", headers=headers[role])).json()
            assert len(page["items"]) == number
            text = (await visitor.get("/audit", headers=headers[role])).text
            assert ("made a token" in text) == (role == "admin")
            assert "ada" in text
        assert (await visitor.get("/api/v1/audit")).status_code == 401
        page = (await visitor.get("/api/v1/audit?limit=1", headers=headers["read"])).json()
        page = (
            await visitor.get(f"/api/v1/audit?cursor={page['next']}&limit=2", headers=headers["read"])
        ).json()
        assert (page["items"], page["next"] is None) == ([], False)


async def test_the_page_says_who_did_what(visit):
    """With a link to each run and asset, filters, and the pages after it."""
    async with visit(busy()) as visitor:
        for number in range(102):
            await visitor.runtime.materialize("plain", by=f"user-{number}")
        await visitor.runtime.invalidate("plain", by="bob", reason="counted twice")
        text = (await visitor.get("/audit")).text
        assert all(words in text for words in ("bob", "invalidated", "counted twice", "/assets/plain"))
        older = text[text.index("/audit?before=") :].partition('"')[0]
        assert "user-0<" in (await visitor.get(older)).text
        assert "user-0<" not in text
        only = (await visitor.get("/audit?by=user-7&asset=plain")).text
        assert ("user-7<" in only, "user-8<" in only) == (True, False)
        assert "Nothing is like that" in (await visitor.get("/audit?asset=nothing&before=x")).text


async def test_the_page_of_a_run_says_who_began_and_stopped_it(visit):
    """And why; the form that cancels takes the reason."""
    async with visit(busy()) as visitor:
        run = await visitor.runtime.submit("asks", by="ada")
        await waiting(visitor.runtime, run.id)
        page = await visitor.get(f"/runs/{run.id}")
        assert "by ada" in page.text
        word = page.text[page.text.index('name="csrf"') :].partition('value="')[2].partition('"')[0]
        gone = await visitor.post(f"/runs/{run.id}/cancel", data={"csrf": word, "reason": "not <b>now</b>"})
        assert gone.status_code == 303
        text = (await visitor.get(f"/runs/{run.id}")).text
        assert "local cancelled the run" in text
        assert "not &lt;b&gt;now&lt;/b&gt;" in text
        (nightly,) = await visitor.runtime.fire("nightly", by="grace")
        await nightly.wait()
        assert "fired by grace" in (await visitor.get(f"/runs/{nightly.id}")).text
        again = await visitor.runtime.retry(run.id, by="cy")
        assert "by cy" in (await visitor.get(f"/runs/{again.id}")).text
        await again.cancel()
