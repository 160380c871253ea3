"""Who may look, and from where."""

from __future__ import annotations

import pytest

from flowstone import Pipeline
from flowstone.runs.access import Role
from flowstone.server import ServerOptions
from flowstone.server.access.guard import Operator

PIPELINE = Pipeline("empty")


async def test_this_machine_needs_no_token(visit):
    """At an address of the loopback."""
    async with visit(PIPELINE) as visitor:
        assert (await visitor.get("/api/v1/assets")).json()["items"] == []


@pytest.mark.parametrize(
    "options",
    [
        {"host": "10.0.0.7"},
        {"base": "http://flow.example.com"},
        {"options": ServerOptions(open_on_loopback=False)},
    ],
    ids=["another machine", "another name", "closed"],
)
async def test_everybody_else_does(visit, options):
    """Also where somebody else's name leads to the loopback."""
    async with visit(PIPELINE, **options) as visitor:
        for path in ("/live/", "/api/v1/assets"):
            refused = await visitor.get(path)
            assert refused.status_code in (400, 401)
            assert refused.headers["content-type"] == "application/problem+json"


async def test_what_a_proxy_passes_on_is_not_asked_by_this_machine(visit):
    """It says so in a header."""
    async with visit(PIPELINE) as visitor:
        refused = await visitor.get("/api/v1/assets", headers={"X-Forwarded-For": "203.0.113.9"})
        assert refused.status_code == 401
        assert refused.json()["type"] == "Unauthorized"


def test_roles_include_those_before_them():
    """Read, operate, admin."""
    assert [[role.may(needed) for needed in Role] for role in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


async def test_a_probe_may_ask(visit):
    """Without a token, from anywhere: that is what probes are for."""
    async with visit(PIPELINE, host="10.0.0.7", base="http://10.0.0.1:8150") as visitor:
        assert (await visitor.get("/healthz")).json() == {"status": "ok"}
        assert (await visitor.get("/readyz")).json() == {"status": "ok"}


async def test_a_browser_proves_that_a_page_of_ours_asks(visit):
    """By a word of the page that belongs to its cookie, as a header or in a form; programs need none."""
    async with visit(PIPELINE) as visitor:

        @visitor.app.post("/change")
        async def change(_: Operator) -> str:
            return "changed"

        assert (await visitor.post("/change")).status_code == 200
        own = {"Origin": "http://127.0.0.1:8150", "Sec-Fetch-Site": "same-origin"}
        assert (await visitor.post("/change", headers=own)).status_code == 403
        page = await visitor.get("/")
        word = page.text.partition('<meta name="csrf" content="')[2].partition('"')[0]
        cookie = page.headers["set-cookie"]
        assert cookie.startswith("flowstone_visitor_8150=")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
        assert (await visitor.post("/change", headers=own | {"X-CSRF-Token": word})).status_code == 200
        assert (await visitor.post("/change", headers=own, data={"csrf": word})).status_code == 200
        assert (await visitor.post("/change", headers=own, data={"csrf": word[:-1]})).status_code == 403
        assert (await visitor.post("/change", headers=own, data={"csrf": ""})).status_code == 403
        assert (await visitor.post("/change", headers=own, content=b"csrf=\xff")).status_code == 403
        assert "set-cookie" not in (await visitor.get("/")).headers
        visitor.client.cookies.clear()
        assert (await visitor.post("/change", headers=own | {"X-CSRF-Token": word})).status_code == 403
