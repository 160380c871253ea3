"""`/api/v1/runs/{id}/…`: steps, attempts, logs, and computing again what failed."""

from __future__ import annotations

import asyncio
import json

from flowstone import Context, Pipeline, StaticPartitions
from tests.server.api.shops import ended, shop


async def test_steps_come_a_page_at_a_time(visit):
    """In the order in which they ended; more may end meanwhile."""
    async with visit(shop()) as visitor:
        run = (await visitor.post("/api/v1/runs", json={"asset": "visits", "start": "2025-01-01"})).json()
        await ended(visitor, run["id"])
        path = f"/api/v1/runs/{run['id']}/steps"
        first = (await visitor.get(path, params={"limit": 20})).json()
        rest = (await visitor.get(path, params={"limit": 20, "cursor": first["next"]})).json()
        partitions = {each["partition"] for each in first["items"] + rest["items"]}
        assert (len(partitions), len(rest["items"]), rest["next"]) == (31, 11, None)
        assert (await visitor.get(path, params={"status": "failed"})).json()["items"] == []
        assert (await visitor.get(path, params={"status": "done"})).status_code == 422
        assert (await visitor.get("/api/v1/runs/0/steps")).json()["type"] == "RunNotFound"


async def test_what_failed_is_computed_again(visit):
    """By a new run; there has to be something."""
    async with visit(shop()) as visitor:
        failed = (await visitor.post("/api/v1/runs", json={"asset": "broken"})).json()
        assert (await ended(visitor, failed["id"]))["status"] == "failed"
        again = await visitor.post(f"/api/v1/runs/{failed['id']}/retry")
        assert (again.status_code, again.json()["asset"]) == (201, "broken")
        assert again.headers["location"] == f"/api/v1/runs/{again.json()['id']}"
        assert again.json()["retry_of"] == failed["id"]
        good = (
            await visitor.post("/api/v1/runs", json={"asset": "visits", "partition": "2025-01-01"})
        ).json()
        await ended(visitor, good["id"])
        refused = await visitor.post(f"/api/v1/runs/{good['id']}/retry")
        assert (refused.status_code, refused.json()["type"]) == (422, "ArgumentError")


async def test_attempts_are_followed(visit):
    """All at first, then what has changed."""
    async with visit(shop()) as visitor:
        run = (await visitor.post("/api/v1/runs", json={"asset": "visits", "start": "2025-01-30"})).json()
        await ended(visitor, run["id"])
        path = f"/api/v1/runs/{run['id']}/timeline"
        whole = (await visitor.get(path)).json()
        assert (whole["whole"], whole["totals"], len(whole["attempts"])) == (True, {"visits": 2}, 2)
        assert whole["attempts"][0]["status"] == "succeeded"
        later = (await visitor.get(path, params={"after": whole["position"]})).json()
        assert (later["attempts"], later["position"]) == ([], whole["position"])
        for query in ("after=-1", "after=x", "limit=0", "cursor=x"):
            assert (await visitor.get(f"{path}?{query}")).status_code == 422


def talkative() -> tuple[Pipeline, asyncio.Event]:
    pipeline = Pipeline("talkative")
    go_on = asyncio.Event()

    @pipeline.asset(partitions=StaticPartitions(["eu", "us"]))
    async def said(context: Context) -> int:
        context.log.info("counted", n=3)
        print("red \x1b[31m")
        await go_on.wait()
        context.log.warning("two\nlines")
        return 1

    return pipeline, go_on


async def test_logs_are_lines_of_json_or_text(visit):
    """By what `Accept` says; nothing of them drives a terminal."""
    pipeline, go_on = talkative()
    go_on.set()
    async with visit(pipeline) as visitor:
        run = await visitor.runtime.submit_backfill("said")
        await run.wait()
        async for _ in visitor.runtime.logs(run.id, follow=True):
            pass
        path = f"/api/v1/runs/{run.id}/logs"
        answer = await visitor.get(path, params={"asset": "said", "partition": "eu"})
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert [line["message"] for line in lines] == ["counted", "red \x1b[31m", "two\nlines"]
        assert (lines[0]["fields"]["n"], lines[0]["partition"]) == (3, "eu")
        rest = await visitor.get(path, params={"after": lines[0]["number"], "limit": 1, "asset": "said"})
        assert rest.text.count("\n") == 1
        text = await visitor.get(path, headers={"Accept": "text/plain"})
        assert text.headers["content-type"].startswith("text/plain")
        assert "info said[eu] counted" in text.text
        assert "\x1b" not in text.text
        assert (await visitor.get(path, params={"partition": "eu"})).json()[
            "remedy"
        ] == "Give `asset` as well."
        assert (await visitor.get("/api/v1/runs/0/logs")).json()["type"] == "RunNotFound"


async def test_logs_are_followed_until_the_run_has_ended(visit):
    """As server-sent events, which go on after the last one that somebody has."""
    pipeline, go_on = talkative()
    async with visit(pipeline) as visitor:
        run = await visitor.runtime.submit("said", partition="eu")
        go_on.set()
        path = f"/api/v1/runs/{run.id}/logs"
        whole = await visitor.get(path, params={"follow": True})
        assert whole.headers["content-type"].startswith("text/event-stream")
        messages = whole.text.split("\n\n")
        assert [json.loads(each.partition("data: ")[2])["message"] for each in messages[:-2]] == [
            "counted",
            "red \x1b[31m",
            "two\nlines",
        ]
        assert messages[-2].startswith("event: end")
        last = messages[0].partition("id: ")[2].partition("\n")[0]
        rest = await visitor.get(path, params={"follow": True}, headers={"Last-Event-ID": last})
        assert rest.text.split("\n\n")[0] == messages[1]
        bad = await visitor.get(path, params={"follow": True}, headers={"Last-Event-ID": "x"})
        assert bad.json()["detail"] == "`Last-Event-ID` is no id of this stream."
