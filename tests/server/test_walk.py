"""Every route there is, also those that come later: who may ask for it, and what asking changes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flowstone import Pipeline
from flowstone.server.access.origin import SAFE
from flowstone.store.snapshot import snapshot
from tests.server.walk import asked, filled, routes_of

OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login"), ("POST", "/login"), ("GET", "/static")}
"""What anybody may ask for: probes, the login, style sheets and scripts."""

OF_ANYBODY_KNOWN = {("POST", "/logout"), ("POST", "/api/v1/plan")}
"""What every role may send: to end one's own session, and to ask for a plan, which changes nothing."""

ASKS = {("POST", "/api/v1/plan")}
"""What only asks, and has too much to say for an address."""

FEWEST = 15
"""Routes that there are at least: else the walk has lost its way."""


def shop() -> Pipeline:
    pipeline = Pipeline("shop")
    pipeline.pool("w", slots=2)

    @pipeline.asset
    async def orders(context) -> int:
        return 1

    @pipeline.asset
    async def paid(context, orders: int) -> int:
        context.approval("pay", message="pay?")
        return 1

    pipeline.schedule("nightly", cron="0 6 * * *", asset="orders")
    return pipeline


async def begun(visitor):
    """What there is to look at: a run that is over, one that waits, and what their paths are filled with."""
    run = await visitor.runtime.submit("paid")
    async for event in run.events():
        if event.kind == "run.waiting":
            break
    (approval,) = await visitor.runtime.approvals()
    ids = {"run_id": run.id, "run": run.id, "approval": approval.id, "asset": "orders", "id": run.id}
    return ids | {"name": "orders"}


async def test_nobody_unknown_is_answered(visit):
    """401 for programs and streams, the login for whoever opens a page."""
    async with visit(shop()) as visitor:
        routes = list(routes_of(visitor.app))
        assert len(routes) >= FEWEST
        assert set(routes) >= OPEN | OF_ANYBODY_KNOWN
        answered = {}
        for method, path in routes:
            if (method, path) not in OPEN:
                answer = await asked(visitor.app, method, filled(path, {}), elsewhere=True)
                led = answer.status == 303 and answer.headers["location"].startswith("/login?next=/")
                if answer.status != 401 and not (led and method == "GET"):
                    answered[method, path] = answer.status
        assert answered == {}


async def test_what_is_worth_nothing_opens_nothing(visit):
    """A token that was made up, at this machine, for any route."""
    async with visit(shop()) as visitor:
        answered = {}
        for method, path in routes_of(visitor.app):
            if (method, path) not in OPEN:
                answer = await asked(
                    visitor.app, method, filled(path, {}), authorization="Bearer fst_" + "A" * 43
                )
                if answer.status not in {401, 303}:
                    answered[method, path] = answer.status
        assert answered == {}


async def test_who_may_read_changes_nothing(visit):
    """Every method but GET is refused, before anything is looked at."""
    async with visit(shop()) as visitor:
        token = await visitor.runtime.create_token("ada", "read")
        ids = await begun(visitor)
        answered = {}
        for method, path in routes_of(visitor.app):
            if method not in SAFE and (method, path) not in OF_ANYBODY_KNOWN | ASKS:
                answer = await asked(
                    visitor.app, method, filled(path, ids), elsewhere=True, authorization=f"Bearer {token}"
                )
                answered[method, path] = answer.status
        assert {route: status for route, status in answered.items() if status != 403} == {}
        assert answered


@pytest.mark.parametrize("headers", [{"origin": "http://127.0.0.1:9"}, {"sec_fetch_site": "same-site"}])
async def test_no_page_of_another_origin_changes_anything(visit, headers):
    """Nor by the loopback, where nobody logs in; nor one of ours that does not show its word."""
    async with visit(shop()) as visitor:
        ids = await begun(visitor)
        answered = {}
        for method, path in routes_of(visitor.app):
            if method not in SAFE:
                for sent in (headers, {"origin": "http://127.0.0.1:8150"}):
                    answer = await asked(visitor.app, method, filled(path, ids), **sent)
                    answered[method, path] = answer.status
        assert {route: status for route, status in answered.items() if status != 403} == {}


async def test_looking_changes_nothing(visit):
    """What the store has is the same afterwards, but for when the token was used."""
    async with visit(shop(), store="memory://") as visitor:
        token = await visitor.runtime.create_token("ada", "admin")
        ids = await begun(visitor)
        before = remembered(visitor.runtime)
        statuses = {}
        for method, path in routes_of(visitor.app):
            if method in SAFE:
                answer = await asked(
                    visitor.app, method, filled(path, ids), elsewhere=True, authorization=f"Bearer {token}"
                )
                statuses[method, path] = answer.status
        assert remembered(visitor.runtime) == before
        assert {route: status for route, status in statuses.items() if status >= 500} == {}
        assert statuses["GET", "/"] == statuses["GET", "/live/"] == 200


def remembered(runtime):
    """All that the store has, as its journal would say it; without when tokens were used."""
    history = runtime._ctx.store.state
    tokens = history.tokens.tokens
    for digest, token in tokens.items():
        tokens[digest] = replace(token, used_at=None)
    return [json.dumps(operation, default=str) for operation in snapshot(history)]


@pytest.mark.parametrize(
    "name",
    [
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "%2e%2e%2fapp.py",
        "..%5capp.py",
        "....//app.py",
        "vendor/../../app.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "%00",
        "flowstone.css%00.js",
        "..%c0%afapp.py",
        "~root",
        "a" * 5_000,
        "",
        "vendor",
    ],
)
async def test_static_files_are_those_of_one_folder(visit, name):
    """Whatever a path is made of."""
    async with visit(shop()) as visitor:
        for path in (f"/static/{name}", f"/static//{name}"):
            answer = await asked(visitor.app, "GET", path, elsewhere=True)
            assert answer.status in {404, 400}, path
            assert b"create_app" not in answer.body
        assert (await asked(visitor.app, "GET", "/static/flowstone.css", elsewhere=True)).status == 200


@pytest.mark.parametrize(
    "path", ["//evil.example", "/%0d%0aSet-Cookie:%20a=b", "/runs/%0d%0aX:%20y", "/a\\b"]
)
async def test_no_header_is_made_of_what_is_asked_for(visit, path):
    """Not in what leads elsewhere, either."""
    async with visit(shop()) as visitor:
        for each in (path, f"{path}/", f"/login?next={path}"):
            answer = await asked(visitor.app, "GET", each, elsewhere=True)
            assert "x" not in answer.headers
            for value in answer.headers.values():
                assert "\r" not in value
                assert "\n" not in value
            location = answer.headers.get("location", "/")
            assert location.startswith(("/", "http://10.0.0.1:8150/"))
            assert not location.startswith("//")
